"""What one traced forward pass leaves behind."""

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
    """One image through one model of any shape. Layers may differ in grid, heads and kind; each carries its own layouts.

    Holds one image only; collections stream batches into reducers instead.

    Attributes:
        model_name: the name the model was loaded by.
        input: (3, height, width) the model input, normalised, in the precision that the model computes in.
        layout: which token is which patch where the picture enters the model.
        layers: attention whose queries are patches, first layer first.
        logits: (classes,) float32, or the pooled features where the model has no classifier.
        pooling: attention that only collects (class attention, attention pooling), in order; often empty.
        hidden: module name -> (tokens, width), where a method asked for hidden states.
        left_out: attention calls that cannot be shown, with why.
        separate: why the layers are no sequence over one grid, as the end of a sentence about the model; "" where they are.
            Only what is "" may be multiplied from layer to layer.
        weights_hash: names the weights, for provenance.
        reads: the query that the output is computed from (see `capture.readout`); None where that was not determined.
        image_hash: names the image by its pixels; "" where the trace was made from a prepared input.
        framing: how the image became the input, "crop", "squash" or "fit"; "" as above.
        shown: (height, width, 3) uint8, the pixels that went into the model before normalisation; None as above.
        model: the model at the size it ran, for `vitviz.plot`; None as above, so that what the app keeps holds no model.
    """

    model_name: str
    input: Tensor
    layout: TokenLayout
    layers: tuple[Layer, ...]
    logits: Tensor
    pooling: tuple[Attention, ...] = ()
    hidden: dict[str, Tensor] = field(default_factory=dict)
    left_out: tuple[Placement, ...] = ()
    separate: str = ""
    weights_hash: str = ""
    reads: Query | None = None
    image_hash: str = ""
    framing: str = ""
    shown: np.ndarray | None = None
    model: Any = None

    def __repr__(self) -> str:
        more = f", {len(self.pooling)} that collect" if self.pooling else ""
        return (
            f"Trace({self.model_name!r}: {self.layout.describe()}, {self.num_layers} layers of attention{more}, "
            f"{self.logits.shape[-1]} outputs)"
        )

    def sequence(self, what: str) -> tuple[Attention, ...]:
        """The layers as a sequence over one grid.

        Args:
            what: is computed from them, as the beginning of a sentence: "Rollout".

        Raises:
            UnsupportedError: where they are none.
        """
        if self.separate:
            raise UnsupportedError(
                f"{what} takes layers one after the other over one grid of patches, and {self.model_name} {self.separate}. "
                "Look at its layers one by one, or choose a model that attends globally."
            )
        return cast(tuple[Attention, ...], self.layers)

    @property
    def every(self) -> tuple[Layer, ...]:
        """All layers that can be shown, in the order of the numbers that pages give them: those that collect come last."""
        return (*self.layers, *self.pooling)

    @property
    def device(self) -> torch.device:
        return self.logits.device

    @property
    def num_layers(self) -> int:
        """Layers whose queries are patches."""
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes that this trace holds."""
        own = self.input.nbytes + self.logits.nbytes + (0 if self.shown is None else self.shown.nbytes)
        return own + sum(kept.nbytes for kept in (*self.hidden.values(), *self.every))
