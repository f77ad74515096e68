"""Heads fused once, for many rollouts: what neither the query nor the knobs change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from vitviz.analysis.rollout import FUSIONS, Progress, fuse_heads
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace


def fused_nbytes(trace: Trace) -> int:
    """Bytes that the layers of `fused_traces` would take for one fusion."""
    return sum(4 * layer.num_queries * layer.num_keys for layer in trace.layers)


def fused_traces(trace: Trace, fusions: Sequence[str] = FUSIONS, progress: Progress | None = None) -> dict[str, Trace]:
    """Fusion -> the trace with one head a layer in place of all, fused that way; its weights are kept as matrices.

    A rollout of it with the same fusion is the rollout of `trace`, whatever the query, alpha, discard and range of layers:
    one head's mean, maximum and minimum are that head. It costs a product of a vector and a matrix a layer. Several fusions
    at once cost little more than one, because the heads' weights are worked out once for all.

    progress  called with (layers done, layers) after each; raise from it to stop
    """
    layers: dict[str, list[Attention]] = {fusion: [] for fusion in fusions}
    for done, layer in enumerate(trace.layers, start=1):
        shape = (1, layer.num_queries, layer.num_keys)
        matrices = {fusion: torch.empty(shape, device=layer.device, dtype=layer.dtype) for fusion in fusions}
        for chunk in layer.query_chunks():
            rows = layer.rows(chunk)  # (heads, chunk, keys)
            for fusion, matrix in matrices.items():
                matrix[0, chunk] = fuse_heads(rows, fusion)
        for fusion, matrix in matrices.items():
            fused = Attention(
                layer.name, layer.query_layout, layer.key_layout, explicit=matrix, rows_sum_to_one=layer.rows_sum_to_one
            )
            layers[fusion].append(fused)
        if progress:
            progress(done, len(trace.layers))
    return {fusion: replace(trace, layers=tuple(layers[fusion])) for fusion in fusions}
