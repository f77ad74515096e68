"""Relevance through attention, weighted by gradients: gradient rollout and generic attention relevance.

Both take X_l = mean_h ReLU(G[l, h] * A[l, h]), with G the gradient of the target's score by A of the very same
layer. Nothing is kept from one call to the next.

    Gradient rollout             rows of X_l normalised to sum to 1 (a zero row becomes the identity's), mixed with
    alpha I, multiplied
                                 as in rollout (Abnar and Zuidema 2020, arXiv 2005.00928)
    Generic attention relevance  R = I; R <- R + X_l R for each layer (Chefer, Gur and Wolf, ICCV 2021, arXiv
    2103.15679, equations 5, 6)

Neither changes sign when a difference of logits is swapped: the ReLU keeps the supporting part only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vitviz.analysis.queries import row_weights
from vitviz.analysis.question import AttentionGradients, Question
from vitviz.analysis.rollout import among_tokens
from vitviz.capture.gradients import WeightGradient
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout


def gradient_rollout_row(layers: Sequence[WeightGradient], start: Tensor, alpha: float = 0.5) -> Tensor:
    """Rolls a query's row through `layers`, first layer first; start (tokens,) -> (tokens,). Chunk by chunk: no (tokens,
    tokens) matrix is made.
    """
    row = start
    for layer in reversed(layers):
        passed, spread = torch.zeros_like(row), row.clone()
        for chunk in layer.query_chunks():
            support = layer.support(chunk)  # (chunk, tokens)
            total = support.sum(-1)  # (chunk,)
            # r (alpha I + (1 - alpha) X / rowsum), where a zero row passes everything on to its own token
            kept = total <= 0
            passed += torch.where(kept, 0.0, row[chunk] / total.masked_fill(kept, 1.0)) @ support
            spread[chunk] = torch.where(kept, row[chunk], 0.0)
        row = alpha * row + (1 - alpha) * (passed + spread)
    return row


def generic_relevance_row(layers: Sequence[WeightGradient], start: Tensor) -> Tensor:
    """start (tokens,) times (I + X_L) ... (I + X_1) -> (tokens,), chunk by chunk."""
    row = start
    for layer in reversed(layers):
        given = torch.zeros_like(row)
        for chunk in layer.query_chunks():
            given += row[chunk] @ layer.support(chunk)
        row = row + given
    return row


def gradient_rollout(question: Question, alpha: float = 0.5) -> Heatmap:
    """Heatmap (rows, cols) of gradient rollout. Raises UnsupportedError where the model does not attend over its
    token grid.
    """
    layers, start, layout = _prepared(question)
    return _map(gradient_rollout_row(layers, start, alpha), layout, "gradient rollout")


def generic_relevance(question: Question) -> Heatmap:
    """Heatmap (rows, cols) of generic attention relevance. Raises UnsupportedError as `gradient_rollout`."""
    layers, start, layout = _prepared(question)
    return _map(generic_relevance_row(layers, start), layout, "attention relevance")


def _prepared(question: Question) -> tuple[tuple[WeightGradient, ...], Tensor, TokenLayout]:
    """Every layer, the row to start from, and the layout of its tokens."""
    seen = question.attention_gradients
    if len({layer.attention.num_keys for layer in seen.layers}) != 1:
        raise UnsupportedError(
            f"The layers of {question.model.name} do not share one grid: no relevance can be multiplied."
        )
    layout = seen.layers[0].attention.key_layout
    return seen.layers, _start(question, seen, layout), layout


def _start(question: Question, seen: AttentionGradients, layout: TokenLayout) -> Tensor:
    """(tokens,): where the output is read. A pooling query reads by its own weighted attention."""
    first = seen.layers[0].attention
    query = question.query
    if not query.pools:
        return row_weights(query, layout, first.device, first.dtype)[0]
    if len(seen.pooling) != 1 or seen.pooling[0].attention.key_layout.grid != layout.grid:
        raise UnsupportedError(
            f"{question.model.name} collects from its patches in {len(seen.pooling)} layers, and not in one over the grid of "
            "all others, so no relevance can be multiplied. Choose another method."
        )
    pooling = seen.pooling[0]
    return among_tokens(pooling.support().sum(0), pooling.attention.key_layout, layout)  # (queries, keys) -> (tokens,)


def _map(row: Tensor, layout: TokenLayout, label: str) -> Heatmap:
    return Heatmap(layout.patches(row.float().cpu().numpy()), label)
