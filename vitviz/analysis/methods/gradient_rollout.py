"""Gradient rollout: attention weighted by its gradients, normalised and multiplied through the layers as in rollout.

X_l = mean_h ReLU(G[l, h] * A[l, h]), with G the gradient of the target's score by A of the same layer (Chefer, Gur and
Wolf 2021, arXiv 2103.15679, equation 5). Its rows are normalised to sum to 1 (a zero row becomes the identity's), mixed with
alpha I and multiplied as in rollout (Abnar and Zuidema 2020, arXiv 2005.00928, equation 1). The map is not negated when a
difference of logits is swapped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vitviz.analysis.methods.base import Method
from vitviz.analysis.methods.relevance import layers_and_start, row_map
from vitviz.analysis.question import Question
from vitviz.capture.gradients import WeightGradient
from vitviz.heatmap import Heatmap
from vitviz.references import publication


def gradient_rollout_row(layers: Sequence[WeightGradient], start: Tensor, alpha: float = 0.5) -> Tensor:
    """The row of a query multiplied through the layers from the last to the first, in chunks of queries.

    Args:
        layers: Attention with gradients, first layer first.
        start: (tokens,), one-hot for a token.
        alpha: Weight of the residual connection.

    Returns:
        (tokens,).
    """
    row = start
    for layer in reversed(layers):
        passed, spread = torch.zeros_like(row), row.clone()
        for chunk in layer.query_chunks():
            support = layer.support(chunk)  # (chunk, tokens)
            total = support.sum(-1)  # (chunk,)
            # r (alpha I + (1 - alpha) X / rowsum), with the identity in place of zero rows
            kept = total <= 0
            passed += torch.where(kept, 0.0, row[chunk] / total.masked_fill(kept, 1.0)) @ support
            spread[chunk] = torch.where(kept, row[chunk], 0.0)
        row = alpha * row + (1 - alpha) * (passed + spread)
    return row


def gradient_rollout(question: Question, alpha: float = 0.5) -> Heatmap:
    """Heatmap (rows, cols) of gradient rollout. Raises UnsupportedError for a model without attention over its token grid."""
    layers, start, layout = layers_and_start(question)
    return row_map(gradient_rollout_row(layers, start, alpha), layout, "gradient rollout")


METHOD = Method(
    "gradient_rollout",
    "Gradient rollout",
    gradient_rollout,
    per_class=True,
    signed=False,
    formula="rollout of mean_h ReLU(G[l, h] * A[l, h]), rows summing to 1; G = d target / d A, same layer",
    reference=f"{publication('abnar').short}; weights as in {publication('chefer').short}",
    cost="about 2",
    limitations="Each row is normalised, so an unimportant layer counts as much as an important one.",
    order=30,
    of_a_query=True,
)
