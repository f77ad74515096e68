"""Keeps attention calls in the autograd graph, so that a score can be differentiated by every attention weight.

The fused call does not compute the weights A. Its output is O = A v, so that d score / d A = (d score / d O) vT, row by row:
fused calls run unchanged, and their inputs and outputs are kept. Weights that a model computes itself are part of the graph and
are kept directly.
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
from vitviz.capture.memory import NoCopies
from vitviz.capture.modules import ModuleNames, eval_mode, unordered_modules, unwrapped
from vitviz.capture.observe import refuse_unseen
from vitviz.errors import CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout

# Bytes. Explicit weights stay in memory until the backward pass, and their gradients take as much again: 540 MB for 12 layers
# of 6 heads at 1,370 tokens.
LARGEST = 1 << 30


@dataclass(frozen=True, eq=False)
class DifferentiatedCall:
    """One attention call in the autograd graph.

    Attributes:
        call: The call's inputs.
        result: The tensor to differentiate by: a fused call's output (batch, heads, queries, value_dim), or explicit weights in
            the model's order of axes.
        orient: Brings the gradient by `result` into the call's order of axes: (batch, heads, queries, value_dim) or (batch,
            heads, queries, keys).
    """

    call: Call
    result: Tensor
    orient: Callable[[Tensor], Tensor] = lambda gradient: gradient


class _CallRecorder(AttentionEvents):
    """Collects the attention calls of a pass in order."""

    def __init__(self) -> None:
        self.calls: list[DifferentiatedCall] = []
        self._leaf: tuple[Tensor, Tensor] | None = None  # the last weights: as computed, and as leaf of the graph

    def fused(self, call: FusedCall) -> Tensor:
        result = _in_a_graph(call.run())
        self.calls.append(DifferentiatedCall(call.as_call(""), result))
        return result

    def weights(self, weights: Tensor) -> Tensor:
        """Raises before memory runs out if the weights of all layers exceed LARGEST bytes."""
        if self._leaf is not None and self._leaf[0] is weights:  # the same weights, multiplied with further values
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
            self.calls.append(DifferentiatedCall(seen, call.operand, call.oriented))
        return out


def _in_a_graph(result: Tensor) -> Tensor:
    """Makes `result` a leaf of the graph if nothing before it requires a gradient, as in the first layer.

    Raises UnsupportedError if the model's own code disables gradients, which would all be zero.
    """
    if not torch.is_grad_enabled():
        raise UnsupportedError(
            "The model attends under torch.no_grad, as reentrant gradient checkpointing does, so there are no gradients on its "
            "attention. Give checkpoint use_reentrant=False, or choose a method without gradients."
        )
    return result if result.requires_grad else result.detach().requires_grad_()


@contextmanager
def watched_attention(module: nn.Module) -> Iterator[list[DifferentiatedCall]]:
    """Appends each attention call of `module` inside the `with` block to the list that it yields.

    The calls belong to the graph of the forward pass's result: differentiate with `gradients_of`, and remove calls from the
    list to free their memory. Gradients are enabled inside. The module is unchanged afterwards, also after an exception.

    Raises:
        UnsupportedError: For attention that cannot be recognised, and if the explicit weights of all layers would
            exceed LARGEST bytes.
    """
    module = unwrapped(module)
    named = list(unordered_modules(module))
    refuse_unseen(named)
    watcher = _CallRecorder()
    calls = AttentionCalls(watcher, ModuleNames(named))
    with eval_mode(module, [part for _, part in named]), torch.inference_mode(False), torch.enable_grad(), calls:
        yield watcher.calls


def gradients_of(score: Tensor, watched: Sequence[DifferentiatedCall]) -> list[Tensor]:
    """The gradient d score / d result of each call, in the call's order of axes; zeros if the score does not depend on it.

    Raises:
        CaptureError: Without an attention call.
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
    """One layer's attention A for one image with the gradient G of a score by it.

    Attributes:
        attention: A, with its values if the model used the fused call.
        given: After a fused call the gradient by its output (heads, queries, value_dim), so that G = given vT is computed in
            chunks of queries; with explicit weights G itself (heads, queries, keys).
    """

    attention: Attention
    given: Tensor

    def rows(self, queries: slice | Tensor = slice(None)) -> Tensor:
        """(heads, chosen queries, keys) float32: G of the chosen queries. May be a view: do not write to it."""
        chosen = self.given[:, queries].to(self.attention.dtype)
        if self.attention.explicit is not None:
            return chosen
        assert self.attention.v is not None
        # (heads, chosen, value_dim) @ (heads, value_dim, keys) -> (heads, chosen, keys)
        return chosen @ self.attention.v.to(chosen.dtype).transpose(1, 2)

    def support(self, queries: slice | Tensor = slice(None)) -> Tensor:
        """(chosen queries, keys): mean over heads of ReLU(G * A), to first order each weight's positive part in the score."""
        return (self.attention.rows(queries) * self.rows(queries)).clamp_min_(0).mean(0)

    def query_chunks(self) -> Sequence[Tensor]:
        """Indices of the queries with a gradient other than zero, in chunks; in the last layer often the class token alone.

        For all other queries G and `support` are zero.
        """
        asked = self.given.abs().amax((0, 2)).nonzero()[:, 0]  # (queries,) -> (queries with a gradient,)
        return asked.split(self.attention.queries_at_once())


def weight_gradient(
    watched: DifferentiatedCall, gradient: Tensor, module: nn.Module, layout: TokenLayout
) -> WeightGradient:
    """The attention of one call, and the gradient of a score by its weights.

    Args:
        watched: The call, for a batch of one image, or with the batch folded into the heads.
        gradient: Of the score by `watched.result`, in the call's order of axes.
        module: The model.
        layout: Which token is which patch.

    Raises:
        UnsupportedError: If the call does not relate tokens of `layout`'s grid.
    """
    with torch.no_grad():
        call = watched.call.with_batch_axis()
        attention = attention_of(call, module, layout, NoCopies(), keep_values=True)
    folded = {2: gradient[None], 3: gradient}  # a batch of one image folded into the heads, or one head, too
    return WeightGradient(attention, folded.get(gradient.ndim, gradient[0]))
