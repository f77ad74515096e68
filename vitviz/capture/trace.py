"""What one traced forward pass leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vitviz.capture.attention import Attention
from vitviz.capture.coordinates.placement import Placement
from vitviz.capture.windows import WindowedAttention
from vitviz.tokens import Query, TokenLayout


@dataclass(frozen=True, eq=False)
class Trace:
    """One image through one model. Holds one image only; collections stream batches into reducers instead.

    model_name    the name the model was loaded by
    input         (3, height, width): the model input, normalised, in the precision that the model computes in
    layout        which token is which patch at the model's input
    layers        every self-attention over the token grid, first layer first
    pooling       attention that only collects at the end (class attention, attention pooling), in order; often empty
    logits        (classes,) float32, or the pooled features where the model has no classifier
    hidden        module name -> (tokens, width), where a method asked for hidden states
    weights_hash  names the weights, for provenance
    reads         the query that the output is computed from (see `capture.readout`); None where nobody has found out
    """

    model_name: str
    input: Tensor
    layout: TokenLayout
    layers: tuple[Attention, ...]
    logits: Tensor
    pooling: tuple[Attention, ...] = ()
    hidden: dict[str, Tensor] = field(default_factory=dict)
    weights_hash: str = ""
    reads: Query | None = None

    @property
    def device(self) -> torch.device:
        return self.logits.device

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes this trace keeps alive."""
        own = self.input.nbytes + self.logits.nbytes + sum(t.nbytes for t in self.hidden.values())
        return own + sum(layer.nbytes for layer in (*self.layers, *self.pooling))


Layer = Attention | WindowedAttention


@dataclass(frozen=True, eq=False)
class StagedTrace:
    """One image through one model whose layers may differ in grid, heads and kind; each carries its own layouts.

    model_name    the name the model was loaded by
    input         (3, height, width) float32: the model input, normalised
    layout        which token is which patch where the picture enters the model
    layers        attention whose queries are patches, first layer first
    pooling       attention that only collects (class attention, attention pooling), in order; often empty
    left_out      calls that cannot be shown, with why
    logits        (classes,) float32, or the pooled features where the model has no classifier
    weights_hash  names the weights, for provenance
    reads         the query that the output is computed from (see `capture.readout`); None where nobody has found out
    """

    model_name: str
    input: Tensor
    layout: TokenLayout
    layers: tuple[Layer, ...]
    logits: Tensor
    pooling: tuple[Attention, ...] = ()
    left_out: tuple[Placement, ...] = ()
    weights_hash: str = ""
    reads: Query | None = None

    @classmethod
    def of(cls, trace: Trace) -> StagedTrace:
        """The same view of a model whose layers all share one grid."""
        return cls(
            trace.model_name,
            trace.input,
            trace.layout,
            trace.layers,
            trace.logits,
            trace.pooling,
            weights_hash=trace.weights_hash,
            reads=trace.reads,
        )

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
        """Bytes this trace keeps alive."""
        return self.input.nbytes + self.logits.nbytes + sum(layer.nbytes for layer in self.every)
