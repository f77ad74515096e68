"""A score's gradient by one layer's attention weights, a chunk of queries at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.gradients import Watched
from vitviz.capture.large_pages import AsTheyAre
from vitviz.capture.record import attention_of
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class WeightGradient:
    """One layer's attention A for one image with the gradient G of a score by it. No (queries, keys) matrix is kept unless the
    model made one.

    attention  A, with its values where the model used the fused call
    given      the gradient by the fused call's output (heads, queries, value_dim), of which G = given vT, or by the weights
               (heads, queries, keys), which is G, where the model made them itself
    """

    attention: Attention
    given: Tensor

    def rows(self, queries: slice | Tensor = slice(None)) -> Tensor:
        """(heads, chosen queries, keys) float32: G of the chosen queries. May be a view: nobody writes to it."""
        chosen = self.given[:, queries].to(self.attention.dtype)
        if self.attention.explicit is not None:
            return chosen
        assert self.attention.v is not None
        return chosen @ self.attention.v.to(chosen.dtype).transpose(1, 2)

    def support(self, queries: slice | Tensor = slice(None)) -> Tensor:
        """(chosen queries, keys): mean over heads of ReLU(G * A), what each key's weight adds to the score."""
        return (self.attention.rows(queries) * self.rows(queries)).clamp_min_(0).mean(0)

    def query_chunks(self) -> Sequence[Tensor]:
        """Indices of the queries whose gradient is not zero throughout, a chunk at a time: before a class token is read, the
        last layer has one. For all others both G and `support` are zero.
        """
        asked = self.given.abs().amax((0, 2)).nonzero()[:, 0]  # (queries,) -> (queries asked,)
        return asked.split(self.attention.queries_at_once())


def weight_gradient(watched: Watched, gradient: Tensor, module: nn.Module, layout: TokenLayout) -> WeightGradient:
    """`gradient` is the score's by `watched.result`, for a batch of one image or with the batch folded into the heads.

    Raises UnsupportedError where the call does not relate tokens of `layout`'s grid.
    """
    with torch.no_grad():
        call = watched.call.of_a_batch()
        attention = attention_of(call, module, layout, AsTheyAre(), keep_values=True)
    folded = {2: gradient[None], 3: gradient}  # a batch of one image folded into the heads, or one head, too
    return WeightGradient(attention, folded.get(gradient.ndim, gradient[0]))
