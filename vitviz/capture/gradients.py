"""Attention calls as parts of a graph, so that a score can be differentiated by every attention weight.

The fused call never makes the weights, and need not: its output is O = A v, so a score's gradient by the weights follows from
its gradient by the output, d score / d A = (d score / d O) vT, row by row. So a `TorchFunctionMode` lets every fused call
run as it is and remembers what went in and came out. Where a model multiplies weights of its own with the values, those are
in the graph already and are remembered themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.call import Call
from vitviz.capture.fused_call import FUSED, FusedCall
from vitviz.capture.listener import MATMUL, SOFTMAX, over_scores, refuse_unseen
from vitviz.errors import CaptureError, UnsupportedError

# A model that makes its own weights holds all of them until the backward pass, and as much again for their gradients:
# 540 MB for 12 layers of 6 heads at 1,370 tokens.
LARGEST = 1 << 30


@dataclass(frozen=True, eq=False)
class Watched:
    """One attention call inside a graph.

    call    what went in, as ever
    result  what a score is to be differentiated by: a fused call's output (batch, heads, queries, value_dim), or the weights
            (batch, heads, queries, keys) that the model made itself
    """

    call: Call
    result: Tensor


class _Watcher(TorchFunctionMode):
    """Collects the attention calls of a pass in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Watched] = []
        self._softmaxed: torch.Size | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            asked = FusedCall(*args, **kwargs)
            return self._watched(asked.run(), asked.heard(""))
        if func in SOFTMAX:
            result = func(*args, **kwargs)
            if over_scores(result, args, kwargs):
                self._make_room(result)
                self._softmaxed = result.shape
            return result
        if func in MATMUL and self._softmaxed is not None and len(args) == 2 and args[0].shape == self._softmaxed:
            self._softmaxed = None
            weights = self._watched(args[0], Call("", v=args[1], explicit=args[0]))
            return func(weights, args[1], **kwargs)
        return func(*args, **kwargs)

    def _watched(self, result: Tensor, call: Call) -> Tensor:
        # Nothing before the first layer asks for a gradient: there the result itself becomes the leaf of the graph.
        if not result.requires_grad:
            result = result.detach().requires_grad_()
        self.calls.append(Watched(call, result))
        return result

    def _make_room(self, weights: Tensor) -> None:
        """Refuses before memory runs out, and not after."""
        held = sum(one.result.nbytes for one in self.calls if not one.call.fused)
        if held + weights.nbytes > LARGEST:
            raise UnsupportedError(
                f"This model makes its attention weights itself, and gradients on all those of {weights.shape[-1]} tokens need "
                f"more than {LARGEST >> 30} GB. Choose a smaller input size, or a method without gradients on attention."
            )


@contextmanager
def watched_attention(module: nn.Module) -> Iterator[list[Watched]]:
    """While inside, each attention call of `module` is appended to the list given; clear it of those that are done with.

    They belong to the graph of whatever the forward pass returns: differentiate with `gradients_of`. Gradients are
    enabled inside. Nothing is left on the module, also after an exception. Raises UnsupportedError for attention
    that cannot be seen, and where weights that a model makes itself would together be larger than LARGEST bytes.
    """
    refuse_unseen(module.named_modules())
    with torch.inference_mode(False), torch.enable_grad():
        mode = _Watcher()
        with mode:
            yield mode.calls


def gradients_of(score: Tensor, watched: Sequence[Watched]) -> list[Tensor]:
    """One gradient a call, d score / d result, each of the result's own shape; zero where the score does not depend on it.

    Raises CaptureError where there is no attention at all.
    """
    if not watched:
        raise CaptureError("No attention was seen in this forward pass, so there is nothing to differentiate by.")
    results = [one.result for one in watched]
    if not score.requires_grad:
        return [torch.zeros_like(result) for result in results]
    grads = torch.autograd.grad(score, results, allow_unused=True)
    return [torch.zeros_like(result) if g is None else g for g, result in zip(grads, results, strict=True)]
