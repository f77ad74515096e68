"""`Trace`: the attention of every layer, the logits and the provenance of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vitviz.capture.attention import Attention
from vitviz.capture.coordinates.placement import Placement
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import UnsupportedError
from vitviz.tokens import Query, TokenLayout

Layer = Attention | WindowedAttention


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward pass of one image. Layers may differ in grid, heads and kind; each has its own layouts.

    Attributes:
        model_name: The name the model was loaded by.
        input: (3, height, width) model input, normalised, in the model's precision.
        layout: Which token is which patch at the model's first attention.
        layers: Attention whose queries are patches, first layer first.
        logits: (classes,) float32, or the pooled features (width,) of a model without a classifier.
        pooling: Pooling layers (class attention, attention pooling) in order; often empty.
        hidden: Module name -> output (tokens, width), for the modules that were requested.
        left_out: Placements of attention calls that cannot be shown; their `kind` is the reason.
        not_sequential: Why the layers are not a sequence over one grid, as the end of a sentence about the model; "" if they
            are. Only then may their weights be multiplied (rollout).
        weights_hash: Hash of the weights, for provenance.
        output_query: The query that the output is computed from (see `capture.readout`); None if not determined.
        image_hash: Hash of the image's pixels; "" for a trace made by `trace_input`.
        framing: How the image became the input, "crop", "squash" or "fit"; "" as above.
        shown: (height, width, 3) uint8 pixels of the model input before normalisation; None as above.
        model: The model at this input size, for `vitviz.plot`; None as above, so that traces in the app's cache do not keep
            the model in memory.
    """

    model_name: str
    input: Tensor
    layout: TokenLayout
    layers: tuple[Layer, ...]
    logits: Tensor
    pooling: tuple[Attention, ...] = ()
    hidden: dict[str, Tensor] = field(default_factory=dict)
    left_out: tuple[Placement, ...] = ()
    not_sequential: str = ""
    weights_hash: str = ""
    output_query: Query | None = None
    image_hash: str = ""
    framing: str = ""
    shown: np.ndarray | None = None
    model: Any = None

    def __repr__(self) -> str:
        more = f", {len(self.pooling)} of pooling" if self.pooling else ""
        return (
            f"Trace({self.model_name!r}: {self.layout.describe()}, {self.num_layers} layers of attention{more}, "
            f"{self.logits.shape[-1]} outputs)"
        )

    def sequence(self, what: str) -> tuple[Attention, ...]:
        """The layers as a sequence over one grid.

        Args:
            what: The computation that needs it, as the subject of the message: "Rollout".

        Raises:
            UnsupportedError: If they are not a sequence over one grid.
        """
        if self.not_sequential:
            raise UnsupportedError(
                f"{what} needs consecutive layers over one grid of patches, and {self.model_name} {self.not_sequential}. "
                "Look at its layers one by one, or choose a model that attends globally."
            )
        return cast(tuple[Attention, ...], self.layers)

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """All layers that can be shown, in the order of the pages' layer numbers: pooling layers come last."""
        return (*self.layers, *self.pooling)

    @property
    def device(self) -> torch.device:
        return self.logits.device

    @property
    def num_layers(self) -> int:
        """Number of layers whose queries are patches."""
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of this trace's tensors."""
        own = self.input.nbytes + self.logits.nbytes + (0 if self.shown is None else self.shown.nbytes)
        return own + sum(kept.nbytes for kept in (*self.hidden.values(), *self.all_layers))
