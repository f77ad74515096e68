"""What the changed model answers: asked once for each list of changes, and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from vitviz.analysis.attention import attention_map
from vitviz.analysis.interventions import (
    Effect,
    HeadMeans,
    Interventions,
    SwitchOffHeads,
    effect,
    head_means,
    intervene,
)
from vitviz.analysis.queries import MEAN, POOL, Query, default_query, layers_asked, row_weights
from vitviz.analysis.rollout import rollout
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.models import prepare
from vitviz.samples import load_sample, samples
from vitviz.tracing import trace_input
from vitviz.ui import changes, consent, services
from vitviz.ui.asking import Asked, fraction
from vitviz.ui.compute import Progress
from vitviz.ui.stage import Stage
from vitviz.ui.text import what_if as words


@dataclass(frozen=True, eq=False)
class Outcome:
    """effect: the answers before and after; trace: the changed pass, with its attention; means: digest of the heads' mean
    outputs that were put in place of heads, "" where none were.
    """

    effect: Effect
    trace: Trace
    means: str = ""

    @property
    def nbytes(self) -> int:
        kept = (self.effect.before, self.effect.after)
        return self.trace.nbytes + sum(each.tokens.nbytes for each in kept if each.tokens is not None)

    @property
    def token_read(self) -> float | None:
        """Cosine of what the output is computed from with what it was: a token, the patches' mean, or the weighted sum of
        several; of the patches' mean where a pooling query reads them. None where unknown.
        """
        before, after = self.effect.before.tokens, self.effect.after.tokens
        if before is None or after is None:
            return None
        if before.shape != after.shape or before.shape[1] != self.trace.layout.num_tokens:
            return None
        weights = row_weights(self.read, self.trace.layout, before.device)[0]
        one, two = (weights @ tokens[0].float() for tokens in (before, after))  # (width,)
        return float(F.cosine_similarity(one, two, dim=0))

    @property
    def read(self) -> Query:
        """What `token_read` is of."""
        reads = default_query(self.trace)
        return Query(((MEAN, 1.0),)) if reads.pools else reads


def needs_means(given: Interventions) -> bool:
    return any(isinstance(item, SwitchOffHeads) and item.fill == "mean" for item in given)


def gallery_means(stage: Stage) -> HeadMeans:
    """Every head's mean output over the centre crops of the gallery's photographs, at the input size that the picture met: one
    answer for all pictures at that size.
    """
    model = stage.model
    # The size of the model and not of the key: where the whole picture is fitted, it follows from the picture.
    plain = replace(stage, key=replace(stage.key, image="", framing="crop", size=model.input_size, scope=None))

    def work(progress: Progress) -> HeadMeans:
        gallery = samples()
        inputs = (prepare(model, load_sample(sample.id)).input for sample in gallery)
        return head_means(model, inputs, fraction(progress), len(gallery))

    if plain.key.asking("head means") not in services.queue().results:
        consent.require_passes(model, len(samples()), words.MEANS_RUNNING)
    means: HeadMeans = plain.ask("head means", work, words.MEANS_RUNNING)
    return means


def outcome_of(about: Asked, given: Interventions) -> Outcome:
    """The changed model's answer to the question at hand. Raises UnsupportedError where it cannot run changed."""
    stage = about.stage
    means = gallery_means(stage) if needs_means(given) else None
    digest = means.digest if means else ""

    def work(question, progress: Progress) -> Outcome:  # type: ignore[no-untyped-def]
        try:
            found = effect(question, given, head_means=means)
            progress.report(0.5)
            with intervene(stage.model, given, head_means=means) as changed, torch.no_grad():
                trace = trace_input(changed, stage.trace.input)
        except ValueError:
            raise UnsupportedError(words.IMPOSSIBLE) from None
        return Outcome(found, trace, digest)

    return about.ask("what if", work, words.RUNNING, changes=given.encode(), means=digest)


def map_of(trace: Trace, kind: str, query: str, layer: int, head: int | None, off: tuple[int, ...] = ()) -> Heatmap:
    """The chosen map of a trace; `off`: layers that rollout leaves out, because nothing passed through them."""
    if kind == "rollout":
        left = tuple(each for at, each in enumerate(trace.layers) if at not in off)
        return rollout(replace(trace, layers=left), query)
    return attention_map(layers_asked(trace, Query.parse(query))[0 if query == POOL else layer], query, head)


def present(stage: Stage) -> Interventions:
    """What is switched, as far as this model has it."""
    return changes.fitting(changes.current(), stage.layout, (layer.num_heads for layer in stage.trace.layers))
