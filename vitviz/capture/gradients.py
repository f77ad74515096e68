"""A gradient on every attention matrix, with no edit to the model.

The fused call never makes the weights, so there is nothing to differentiate. Here a `TorchFunctionMode` puts the
explicit softmax(q kT * scale + bias) @ v in its place while a forward pass runs; where a model multiplies its own
weights with the values, those are taken as they are. The graph then holds every matrix as the model used it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.listener import MATMUL, SOFTMAX, additive, over_scores, refuse_unseen
from vitviz.capture.stand_in import FUSED
from vitviz.errors import CaptureError, UnsupportedError

# All matrices of a pass are held at once, and as much again for their gradients: 540 MB for 12 layers of 6 heads at
# 1,370 tokens.
LARGEST = 1 << 30


class _Explicit(TorchFunctionMode):
    """Collects attention weights (batch, heads, queries, keys) that are part of the graph, in the order of the
    calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []
        self.nbytes = 0
        self._softmaxed: torch.Size | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            return self._instead(*args, **kwargs)
        if func in SOFTMAX:
            result = func(*args, **kwargs)
            if over_scores(result, args, kwargs):
                self._softmaxed = result.shape
            return result
        if func in MATMUL and self._softmaxed is not None and len(args) == 2 and args[0].shape == self._softmaxed:
            self._softmaxed = None
            return func(self._watched(args[0]), args[1], **kwargs)
        return func(*args, **kwargs)

    def _instead(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        self._make_room(query.shape[:-1].numel() * key.shape[-2] * query.element_size(), query.shape[-2])
        scores = (query * factor) @ key.transpose(-2, -1)  # (batch, heads, queries, keys)
        mask = additive(attn_mask, is_causal, query, key)
        if mask is not None:
            scores = scores + mask
        return self._watched(scores.softmax(-1)) @ value

    def _make_room(self, nbytes: int, tokens: int) -> None:
        """Refuses before memory runs out, and not after."""
        self.nbytes += nbytes
        if self.nbytes > LARGEST:
            raise UnsupportedError(
                f"Gradients on every attention matrix of {tokens} tokens need more than {LARGEST >> 30} GB. "
                "Choose a smaller input size, or a method without gradients on attention."
            )

    def _watched(self, weights: Tensor) -> Tensor:
        # Nothing before the first layer asks for a gradient: there the weights themselves become the leaf of the graph.
        if not weights.requires_grad:
            weights = weights.detach().requires_grad_()
        self.weights.append(weights)
        return weights


@contextmanager
def explicit_attention(module: nn.Module) -> Iterator[list[Tensor]]:
    """While inside, each attention call of `module` appends its weights (batch, heads, queries, keys) to the list
    given.

    They belong to the graph of whatever the forward pass returns: differentiate with `gradients_of`. Gradients are
    enabled inside. Nothing is left on the module, also after an exception. Raises UnsupportedError for attention
    that cannot be seen, and where the matrices together would be larger than LARGEST bytes.
    """
    refuse_unseen(module.named_modules())
    with torch.inference_mode(False), torch.enable_grad():
        mode = _Explicit()
        with mode:
            yield mode.weights


def gradients_of(score: Tensor, weights: Sequence[Tensor], keep_graph: bool = False) -> list[Tensor]:
    """One gradient a matrix, d score / d weights, each of the matrix's own shape; zero where the score does not
    depend on it.

    Raises CaptureError where there is no attention at all.
    """
    if not weights:
        raise CaptureError("No attention was seen in this forward pass, so there is nothing to differentiate by.")
    if not score.requires_grad:
        return [torch.zeros_like(w) for w in weights]
    grads = torch.autograd.grad(score, list(weights), retain_graph=keep_graph, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(grads, weights, strict=True)]
