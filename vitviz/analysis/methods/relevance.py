"""Generic attention relevance: attention weighted by its gradients, multiplied through the layers.

Chefer, Gur and Wolf, ICCV 2021 (arXiv 2103.15679), equations 5 and 6: R = I; R <- R + X_l R for each layer, where X_l =
mean_h ReLU(G[l, h] * A[l, h]), with G the gradient of the target's score by A of the same layer. The map is not negated when a
difference of logits is swapped, because the ReLU keeps positive contributions only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vitviz.analysis.methods.base import Method
from vitviz.analysis.queries import row_weights
from vitviz.analysis.question import AttentionGradients, Question
from vitviz.analysis.rollout import among_tokens
from vitviz.capture.gradients import WeightGradient
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.references import publication
from vitviz.tokens import TokenLayout


def generic_relevance_row(layers: Sequence[WeightGradient], start: Tensor) -> Tensor:
    """start (tokens,) times (I + X_L) ... (I + X_1) -> (tokens,), in chunks of queries."""
    row = start
    for layer in reversed(layers):
        given = torch.zeros_like(row)
        for chunk in layer.query_chunks():
            given += row[chunk] @ layer.support(chunk)
        row = row + given
    return row


def generic_relevance(question: Question) -> Heatmap:
    """Heatmap (rows, cols) of generic attention relevance.

    Raises:
        UnsupportedError: For a model without attention over its token grid.
    """
    layers, start, layout = layers_and_start(question)
    return row_map(generic_relevance_row(layers, start), layout, "attention relevance")


def layers_and_start(question: Question) -> tuple[tuple[WeightGradient, ...], Tensor, TokenLayout]:
    """The input of a method that multiplies gradient-weighted attention through the layers.

    Returns:
        (every layer's attention with its gradient, first layer first; the start of the product (tokens,); the tokens' layout).

    Raises:
        UnsupportedError: If the layers do not share one grid, or the output is read by more than one pooling layer.
    """
    seen = question.attention_gradients
    if len({layer.attention.num_keys for layer in seen.layers}) != 1:
        raise UnsupportedError(
            f"The layers of {question.model.name} do not share one grid: no relevance can be multiplied."
        )
    layout = seen.layers[0].attention.key_layout
    return seen.layers, _start(question, seen, layout), layout


def _start(question: Question, seen: AttentionGradients, layout: TokenLayout) -> Tensor:
    """(tokens,): weights of the tokens that the output is read from; for a pooling query its gradient-weighted attention."""
    first = seen.layers[0].attention
    query = question.query
    if not query.pools:
        return row_weights(query, layout, first.device, first.dtype)[0]
    if len(seen.pooling) != 1 or seen.pooling[0].attention.key_layout.grid != layout.grid:
        raise UnsupportedError(
            f"{question.model.name} pools its patches in {len(seen.pooling)} layers, and not in one layer over the grid "
            "of all others, so no relevance can be multiplied. Choose another method."
        )
    pooling = seen.pooling[0]
    return among_tokens(pooling.support().sum(0), pooling.attention.key_layout, layout)  # (queries, keys) -> (tokens,)


def row_map(row: Tensor, layout: TokenLayout, label: str) -> Heatmap:
    """(tokens,) -> Heatmap (rows, cols) of the patches."""
    return Heatmap(layout.patches(row.float().cpu().numpy()), label)


METHOD = Method(
    "relevance",
    "Attention relevance",
    generic_relevance,
    per_class=True,
    signed=False,
    formula="R = I; R <- R + mean_h ReLU(G[l, h] * A[l, h]) R; R[query, patches]",
    reference=publication("chefer").short,
    cost="about 2",
    limitations="A gradient describes small changes only: removing a patch may change the output in another way.",
    order=40,
    of_a_query=True,
)
