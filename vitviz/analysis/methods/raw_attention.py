"""Raw attention: the last layer's weights for the query that the output is computed from, mean over heads."""

from __future__ import annotations

from vitviz.analysis.attention import query_weights
from vitviz.analysis.methods.base import Method
from vitviz.analysis.queries import layers_with_query
from vitviz.analysis.question import Question
from vitviz.heatmap import Heatmap
from vitviz.references import publication


def raw_attention(question: Question) -> Heatmap:
    """Heatmap (rows, cols): the last layer's weights for `question.query`, mean over heads."""
    trace = question.trace
    layer = layers_with_query(trace, question.query)[-1]
    row = query_weights(layer, question.query).mean(0)  # (heads, keys) -> (keys,)
    return Heatmap(layer.key_layout.patches(row.float().cpu().numpy()), "attention weight")


METHOD = Method(
    "attention",
    "Raw attention",
    raw_attention,
    per_class=False,
    signed=False,
    formula="mean_h A[L, h][query, patches]",
    reference=publication("caron").short,
    cost="1",
    limitations="It shows one layer and leaves out the values: a token with much attention may contribute little.",
    order=10,
    of_a_query=True,
)
