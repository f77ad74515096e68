"""Attention rollout as an explanation method: `vitviz.analysis.rollout` for the query that the output is computed from."""

from __future__ import annotations

from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question
from vitviz.analysis.rollout import rollout
from vitviz.heatmap import Heatmap
from vitviz.references import publication


def attention_rollout(question: Question) -> Heatmap:
    """Heatmap (rows, cols): the rollout of `question.query`. Raises UnsupportedError if rollout is not defined."""
    return rollout(question.trace, question.query)


METHOD = Method(
    "rollout",
    "Attention rollout",
    attention_rollout,
    per_class=False,
    signed=False,
    formula="(Â_L ... Â_1)[query, patches], Â_l = 0.5 I + 0.5 mean_h A[l, h]",
    reference=publication("abnar").short,
    cost="1",
    limitations="It leaves out values and MLPs, and assumes that half of each token passes unmixed. A few sinks may dominate.",
    order=20,
    of_a_query=True,
)
