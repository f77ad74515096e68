"""This machine: how fast it computes attention and the rest of a model, by a measurement of under a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

from vitviz.capture.attention import Attention
from vitviz.tokens import TokenLayout

# A few queries against many keys: keys of a long sequence do not stay in the processor's cache, and a short one would flatter.
QUERIES, SIDE, HEADS, HEAD_DIM = 128, 100, 6, 64
WIDTH, TOKENS = 384, 1024
REPEATS = 3


@dataclass(frozen=True)
class Pace:
    """Operations a second, two for each term of a product.

    attention  inside the fused call
    rest       in a block's other half, what lies between its products included
    sweep      where weights are computed chunk by chunk and multiplied with a vector
    """

    attention: float
    rest: float
    sweep: float


def pace_of(device: torch.device, dtype: torch.dtype) -> Pace:
    """How fast `device` is in `dtype` with as many threads as torch now has. Measured once, in about half a second."""
    return _measured(device, dtype, torch.get_num_threads())


@lru_cache(maxsize=16)
def _measured(device: torch.device, dtype: torch.dtype, _threads: int) -> Pace:
    layout = TokenLayout((), (SIDE, SIDE), (1, 1))
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        q = torch.rand(1, HEADS, QUERIES, HEAD_DIM, device=device, dtype=dtype)
        k = torch.rand(1, HEADS, SIDE * SIDE, HEAD_DIM, device=device, dtype=dtype)
        few = TokenLayout((), (1, QUERIES), (1, 1))
        lse = torch.zeros(HEADS, QUERIES, device=device)
        layer = Attention("pace", few, layout, q=q[0] / HEAD_DIM, k=k[0], scale=HEAD_DIM**-0.5, lse=lse)
        even = torch.full((1, QUERIES), 1 / QUERIES, device=device)
        with torch.device(device):
            wide, narrow, norm = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        for part in (wide, narrow, norm):
            part.to(dtype)
        x = torch.rand(1, TOKENS, WIDTH, device=device, dtype=dtype)
        pairs = HEADS * QUERIES * SIDE * SIDE
        return Pace(
            attention=4 * pairs * HEAD_DIM / _seconds(device, lambda: F.scaled_dot_product_attention(q, k, k)),
            rest=16 * TOKENS * WIDTH**2 / _seconds(device, lambda: x + narrow(F.gelu(wide(norm(x))))),
            sweep=2 * pairs * HEAD_DIM / _seconds(device, lambda: layer.pull(even)),
        )


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    """The quickest of a few, after one that warms up: what disturbs only ever slows down."""
    taken = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return max(min(taken[1:]), 1e-9)
