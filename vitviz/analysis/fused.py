"""Heads fused once, for many rollouts: what neither the query nor most of the knobs change."""

from __future__ import annotations

from dataclasses import replace

import torch

from vitviz.analysis.rollout import PAPER, Progress, RolloutOptions, fuse_heads
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace


def fused_nbytes(trace: Trace) -> int:
    """Bytes that the layers of `fused_trace` would take."""
    return sum(4 * layer.num_queries * layer.num_keys for layer in trace.layers)


def fused_trace(trace: Trace, options: RolloutOptions = PAPER, progress: Progress | None = None) -> Trace:
    """The trace with one head a layer in place of all, fused as `options.fusion` says; its weights are kept as matrices.

    A rollout of it with the same fusion is the rollout of `trace`, whatever the query, alpha, discard and range of layers:
    one head's mean, maximum and minimum are that head. It costs a product of a vector and a matrix a layer.

    progress  called with (layers done, layers) after each; raise from it to stop
    """
    layers = []
    for done, layer in enumerate(trace.layers, start=1):
        matrix = torch.empty(1, layer.num_queries, layer.num_keys, device=layer.device, dtype=layer.dtype)
        for chunk in layer.query_chunks():
            matrix[0, chunk] = fuse_heads(layer.rows(chunk), options.fusion)
        fused = Attention(
            layer.name, layer.query_layout, layer.key_layout, explicit=matrix, rows_sum_to_one=layer.rows_sum_to_one
        )
        layers.append(fused)
        if progress:
            progress(done, len(trace.layers))
    return replace(trace, layers=tuple(layers))
