"""Attention calls as parts of a graph, so that a score can be differentiated by every attention weight.

The fused call never makes the weights, and need not: its output is O = A v, so a score's gradient by the weights follows from
its gradient by the output, d score / d A = (d score / d O) vT, row by row. So every fused call runs as it is, and what went in
and came out is remembered. Where a model multiplies weights of its own with the values, those are in the graph already and are
remembered themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.calls import AttentionCalls
from vitviz.capture.events import AttentionEvents, Call, FusedCall
from vitviz.capture.functions import WeightedSum
from vitviz.capture.layers import attention_of
from vitviz.capture.memory import AsTheyAre
from vitviz.capture.modules import ModuleNames, evaluating, unwrapped, walk
from vitviz.capture.observe import refuse_unseen
from vitviz.errors import CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout

# A model that makes its own weights holds all of them until the backward pass, and as much again for their gradients:
# 540 MB for 12 layers of 6 heads at 1,370 tokens.
LARGEST = 1 << 30


@dataclass(frozen=True, eq=False)
class Watched:
    """One attention call inside a graph.

    Attributes:
        call: what went in, as ever.
        result: what a score is to be differentiated by: a fused call's output (batch, heads, queries, value_dim), or the
            weights that the model made itself, with their axes in the model's order.
        orient: the gradient by `result` -> with the axes of the call: (batch, heads, queries, value_dim) or (batch, heads,
            queries, keys).
    """

    call: Call
    result: Tensor
    orient: Callable[[Tensor], Tensor] = lambda gradient: gradient


class _Watcher(AttentionEvents):
    """Collects the attention calls of a pass in order."""

    def __init__(self) -> None:
        self.calls: list[Watched] = []
        self._leaf: tuple[Tensor, Tensor] | None = None  # the weights that were used last, as made and in the graph

    def fused(self, call: FusedCall) -> Tensor:
        result = _in_a_graph(call.run())
        self.calls.append(Watched(call.seen(""), result))
        return result

    def weights(self, weights: Tensor) -> Tensor:
        """Refuses before memory runs out, and not after."""
        if self._leaf is not None and self._leaf[0] is weights:  # multiplied with other values, too
            return self._leaf[1]
        held = sum(one.result.nbytes for one in self.calls if not one.call.fused)
        if held + weights.nbytes > LARGEST:
            raise UnsupportedError(
                f"This model makes its attention weights itself, and gradients on all those of {weights.shape[-1]} tokens need "
                f"more than {LARGEST >> 30} GB. Choose a smaller input size, or a method without gradients on attention."
            )
        self._leaf = (weights, _in_a_graph(weights))
        return self._leaf[1]

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        if not call.repeated:
            seen = Call(call.module, v=call.values, explicit=call.weights)
            self.calls.append(Watched(seen, call.operand, call.oriented))
        return out


def _in_a_graph(result: Tensor) -> Tensor:
    """Nothing before the first layer asks for a gradient: there the result itself becomes the leaf of the graph.

    Raises UnsupportedError where the model's own code computes without gradients: all of them would be zero.
    """
    if not torch.is_grad_enabled():
        raise UnsupportedError(
            "The model attends under torch.no_grad, as reentrant gradient checkpointing does, so there are no gradients on its "
            "attention. Give checkpoint use_reentrant=False, or choose a method without gradients."
        )
    return result if result.requires_grad else result.detach().requires_grad_()


@contextmanager
def watched_attention(module: nn.Module) -> Iterator[list[Watched]]:
    """While inside, each attention call of `module` is appended to the list given; clear it of those that are done with.

    They belong to the graph of whatever the forward pass returns: differentiate with `gradients_of`. Gradients are enabled
    inside. Nothing is left on the module, also after an exception.

    Raises:
        UnsupportedError: for attention that cannot be seen, and where weights that a model makes itself would together be
            larger than LARGEST bytes.
    """
    module = unwrapped(module)
    named = list(walk(module))
    refuse_unseen(named)
    watcher = _Watcher()
    calls = AttentionCalls(watcher, ModuleNames(named))
    with evaluating(module, [part for _, part in named]), torch.inference_mode(False), torch.enable_grad(), calls:
        yield watcher.calls


def gradients_of(score: Tensor, watched: Sequence[Watched]) -> list[Tensor]:
    """One gradient a call, d score / d result, with the axes of the call; zero where the score does not depend on it.

    Raises:
        CaptureError: where there is no attention at all.
    """
    if not watched:
        raise CaptureError("No attention was seen in this forward pass, so there is nothing to differentiate by.")
    results = [one.result for one in watched]
    if not score.requires_grad:
        return [one.orient(torch.zeros_like(one.result)) for one in watched]
    grads = torch.autograd.grad(score, results, allow_unused=True)
    return [
        one.orient(torch.zeros_like(one.result) if grad is None else grad)
        for grad, one in zip(grads, watched, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class WeightGradient:
    """One layer's attention A for one image with the gradient G of a score by it. No (queries, keys) matrix is kept unless the
    model made one.

    Attributes:
        attention: A, with its values where the model used the fused call.
        given: the gradient by the fused call's output (heads, queries, value_dim), of which G = given vT, or by the weights
            (heads, queries, keys), which is G, where the model made them itself.
    """

    attention: Attention
    given: Tensor

    def rows(self, queries: slice | Tensor = slice(None)) -> Tensor:
        """(heads, chosen queries, keys) float32: G of the chosen queries. May be a view: do not write to it."""
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

    Raises:
        UnsupportedError: where the call does not relate tokens of `layout`'s grid.
    """
    with torch.no_grad():
        call = watched.call.of_a_batch()
        attention = attention_of(call, module, layout, AsTheyAre(), keep_values=True)
    folded = {2: gradient[None], 3: gradient}  # a batch of one image folded into the heads, or one head, too
    return WeightGradient(attention, folded.get(gradient.ndim, gradient[0]))
