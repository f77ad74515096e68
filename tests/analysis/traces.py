"""Traces made by hand: weights chosen by the test, so that answers are known."""

from __future__ import annotations

import torch
from torch import Tensor

from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace
from vitviz.tokens import TokenLayout


def trace_of(*layers: Tensor, prefix: tuple[str, ...] = (), grid: tuple[int, int] | None = None, **kwargs) -> Trace:
    """A trace whose layers have these explicit weights, each (heads, tokens, tokens)."""
    tokens = layers[0].shape[-1]
    layout = TokenLayout(prefix, grid or (1, tokens - len(prefix)), (10, 10))
    attention = tuple(Attention(f"blocks.{i}", layout, layout, explicit=weights) for i, weights in enumerate(layers))
    return Trace("by hand", torch.zeros(3, *layout.input_size), layout, attention, torch.zeros(2), **kwargs)


def random_weights(heads: int, tokens: int, seed: int) -> Tensor:
    """(heads, tokens, tokens) float32, rows sum to 1, far from uniform."""
    return (3 * torch.randn(heads, tokens, tokens, generator=torch.Generator().manual_seed(seed))).softmax(-1)


def random_trace(
    layers: int = 3, heads: int = 2, prefix: tuple[str, ...] = ("cls", "reg0"), grid=(2, 3), **kwargs
) -> Trace:
    tokens = len(prefix) + grid[0] * grid[1]
    return trace_of(
        *(random_weights(heads, tokens, seed) for seed in range(layers)), prefix=prefix, grid=grid, **kwargs
    )
