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

from vitviz.analysis.queries import MEAN, POOL, query_index
from vitviz.analysis.question import AttentionGradients, Question
from vitviz.capture.layouts import token_layout
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout


def positive_part(weights: Tensor, gradient: Tensor) -> Tensor:
    """(heads, queries, keys) twice -> (queries, keys): mean over heads of ReLU(G * A)."""
    return (weights * gradient).clamp_min(0).mean(0)


def gradient_rollout_row(matrices: Sequence[Tensor], start: Tensor, alpha: float = 0.5) -> Tensor:
    """Rolls a query's row through `matrices`, each X_l (tokens, tokens), first layer first; start (tokens,) ->
    (tokens,).
    """
    row = start
    for matrix in reversed(matrices):
        total = matrix.sum(-1)  # (tokens,)
        # r (alpha I + (1 - alpha) X / rowsum), where a zero row passes everything on to its own token
        empty = total <= 0
        spread = torch.where(empty, 0.0, row / total.masked_fill(empty, 1.0))
        row = alpha * row + (1 - alpha) * (spread @ matrix + torch.where(empty, row, 0.0))
    return row


def generic_relevance_row(matrices: Sequence[Tensor], start: Tensor) -> Tensor:
    """start (tokens,) times (I + X_L) ... (I + X_1) -> (tokens,)."""
    row = start
    for matrix in reversed(matrices):
        row = row + row @ matrix
    return row


def gradient_rollout(question: Question, alpha: float = 0.5) -> Heatmap:
    """Heatmap (rows, cols) of gradient rollout. Raises UnsupportedError where the model does not attend over its
    token grid.
    """
    matrices, start, layout = _prepared(question)
    return _map(gradient_rollout_row(matrices, start, alpha), layout, "gradient rollout")


def generic_relevance(question: Question) -> Heatmap:
    """Heatmap (rows, cols) of generic attention relevance. Raises UnsupportedError as `gradient_rollout`."""
    matrices, start, layout = _prepared(question)
    return _map(generic_relevance_row(matrices, start), layout, "attention relevance")


def _prepared(question: Question) -> tuple[list[Tensor], Tensor, TokenLayout]:
    """X of every layer, the row to start from, and the layout of its tokens."""
    seen = question.attention_gradients
    if len({w.shape[-2:] for w in seen.weights}) != 1:
        raise UnsupportedError(
            f"The layers of {question.subject.name} do not share one grid: no relevance can be multiplied."
        )
    layout = token_layout(seen.weights[0].shape[-1], question.layout)
    assert layout is not None
    matrices = [positive_part(weights, gradient) for weights, gradient in seen.pairs]
    return matrices, _start(question, seen, layout), layout


def _start(question: Question, seen: AttentionGradients, layout: TokenLayout) -> Tensor:
    """(tokens,): where the output is read. A pooling query reads by its own weighted attention."""
    first = seen.weights[0]
    start = torch.zeros(layout.num_tokens, device=first.device, dtype=first.dtype)
    query = question.query
    if seen.pool_weights and query in (POOL, "cls"):
        weights, gradient = seen.pool_weights[-1], seen.pool_gradients[-1]
        row = positive_part(weights, gradient).sum(0)  # (queries, keys) -> (keys,)
        # Class attention has its class token among the keys, ahead of the patches; only what the trunk made goes on.
        return row[-layout.num_tokens :]
    if query == MEAN:
        start[layout.num_prefix :] = 1 / layout.num_patches
    else:
        start[query_index(query, layout)] = 1
    return start


def _map(row: Tensor, layout: TokenLayout, label: str) -> Heatmap:
    return Heatmap(layout.patches(row.float().cpu().numpy()), label)
