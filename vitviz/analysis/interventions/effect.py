"""What an intervention did to one image: the answer before and after, and how far each token moved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from vitviz.analysis.interventions.application import intervene
from vitviz.analysis.interventions.base import Intervention
from vitviz.analysis.interventions.switch_off_heads import HeadMeans
from vitviz.analysis.interventions.text import Interventions
from vitviz.analysis.question import Question
from vitviz.capture.blocks import Output
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap


@dataclass(frozen=True, eq=False)
class Effect:
    """Both answers side by side.

    Attributes:
        before, after: outputs of one pass each, a batch of 1.
        likelihood_before, likelihood_after: of the target: a probability, for a class or label.
        similarity: (rows, cols) cosine of each patch's final token with what it was; None where tokens cannot be compared,
            because the model hands out none or some left the sequence.
    """

    before: Output
    after: Output
    likelihood_before: float
    likelihood_after: float
    similarity: Heatmap | None

    @property
    def change(self) -> float:
        """Of the likelihood: below zero where the intervention took from the target."""
        return self.likelihood_after - self.likelihood_before


def effect(
    question: Question, *interventions: Intervention | Interventions, head_means: HeadMeans | None = None
) -> Effect:
    """One changed pass beside the unchanged one, which is computed once a question. Raises as `intervene`."""
    before = question.reference  # outside the block: the model as it is
    with intervene(question.model, *interventions, head_means=head_means) as changed, question.asking():
        after = question.run(question.x, changed.module)
    try:
        likelihood = float(question.target.likelihood(after, before)[0])
    except UnsupportedError:
        likelihood = float("nan")  # the token that was asked about cannot be found in a shorter sequence
    return Effect(before, after, question.likelihood(), likelihood, _similarity(question, before, after))


def _similarity(question: Question, before: Output, after: Output) -> Heatmap | None:
    layout = question.layout
    if before.tokens is None or after.tokens is None or before.tokens.shape != after.tokens.shape:
        return None
    if before.tokens.shape[1] != layout.num_tokens:
        return None
    with torch.no_grad():
        cosine = F.cosine_similarity(before.tokens[0].float(), after.tokens[0].float(), dim=-1)  # (tokens,)
    return Heatmap(layout.patches(cosine.cpu().numpy()), "cosine with the token before", signed=True)
