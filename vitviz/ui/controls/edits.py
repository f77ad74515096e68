"""The interventions of this session: kept in the URL, edited by clicks, and the outputs of the changed model.

Editing is pure: interventions in, interventions out. There is at most one of each kind that clicks make, in the order in which
they are applied, so that equal changes have one address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
import torch
from torch.nn import functional as F

from vitviz.analysis.attention import attention_map
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    Effect,
    HeadMeans,
    HidePatches,
    Intervention,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
    effect,
    head_means,
    intervene,
)
from vitviz.analysis.queries import MEAN, POOL, Query, default_query, layers_with_query, row_weights
from vitviz.analysis.question import Question
from vitviz.analysis.rollout import rollout
from vitviz.analysis.sinks import TokenOutliers, token_outliers
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.models import prepare
from vitviz.samples import load_sample, samples
from vitviz.tokens import TokenLayout
from vitviz.tracing import trace_input
from vitviz.ui import state
from vitviz.ui.compute import JobProgress, consent, services
from vitviz.ui.context import PageContext
from vitviz.ui.controls.objects import found_object, patches_in
from vitviz.ui.controls.targets import ExplainedTarget
from vitviz.ui.text import common as words

PARAM = "what"

Head = tuple[int, int]


def current() -> Interventions:
    """The interventions of this session."""
    return Interventions.decode(str(state.value_of(PARAM)))


def latest() -> Interventions:
    """`current`, with reports that were not received yet: for callbacks, which change what they read."""
    state.take_reports()
    return current()


def switch(changed: Interventions, **params: Any) -> None:
    """Replaces the current ones by these, for callbacks."""
    state.change(**{PARAM: changed.encode(), **params})


def fitting(given: Interventions, layout: TokenLayout, heads: Iterable[int]) -> Interventions:
    """What of `given` this model has: patches, tokens, layers and heads that do not exist are left out.

    Args:
        heads: Number of heads of every layer, first layer first.
    """
    heads = tuple(heads)
    fitted = (item.fit(layout, heads) for item in given)
    return Interventions(tuple(item for item in fitted if not item.is_noop))


def hidden(given: Interventions) -> tuple[int, ...]:
    """Patches hidden in any way, ascending."""
    return tuple(sorted({p for item in given if isinstance(item, HidePatches) for p in item.patches}))


def hiding(given: Interventions) -> str | None:
    """How patches are hidden, None where none is."""
    return next((item.fill for item in given if isinstance(item, HidePatches)), None)


def hide_by(given: Interventions) -> str:
    """How patches are hidden; where none is, how they would be: as chosen on "What if"."""
    return hiding(given) or str(state.value_of("hide_by"))


def hide(given: Interventions, patches: Iterable[int], fill: str) -> Interventions:
    """The interventions with exactly these patches hidden, all in one way."""
    return _with(given, HidePatches, HidePatches(tuple(patches), fill))


def show_all(**params: Any) -> None:
    """Hides no patches, for callbacks that show another photograph: hidden patches were parts of the former one."""
    switch(hide(latest(), (), "mean"), **params)


def hide_buttons(context: PageContext, given: Interventions, fill: str) -> None:
    """Buttons that hide the object that is found in patch features, its background, or nothing."""
    found = found_object(context)
    everything = frozenset(range(context.layout.num_patches))
    inside = frozenset(patches_in(found.mask)) if found is not None else None
    wanted = {words.HIDE_OBJECT: inside, words.HIDE_BACKGROUND: None if inside is None else everything - inside}
    now_hidden = frozenset(hidden(given))

    def put(patches: frozenset[int]) -> None:
        switch(hide(latest(), patches, fill))

    for label, patches in {**wanted, words.HIDE_NOTHING: frozenset()}.items():
        if patches is not None:
            st.button(label, key=label, on_click=put, args=(patches,), disabled=patches == now_hidden)


def heads_off(given: Interventions) -> tuple[Head, ...]:
    """(layer, head) of every head that is off, ascending."""
    return tuple(sorted({pair for item in given if isinstance(item, SwitchOffHeads) for pair in item.heads}))


def head_fill(given: Interventions) -> str | None:
    """What replaces the outputs of heads that are off, None where none is."""
    return next((item.fill for item in given if isinstance(item, SwitchOffHeads)), None)


def set_heads(given: Interventions, heads: Iterable[Head], fill: str) -> Interventions:
    """The interventions with exactly these heads off, all replaced in one way."""
    return _with(given, SwitchOffHeads, SwitchOffHeads(tuple(heads), fill))


def layers_off(given: Interventions) -> tuple[int, ...]:
    return tuple(sorted({layer for item in given if isinstance(item, SwitchOffLayers) for layer in item.layers}))


def set_layers(given: Interventions, layers: Iterable[int]) -> Interventions:
    """The interventions with exactly these layers off."""
    return _with(given, SwitchOffLayers, SwitchOffLayers(tuple(layers)))


def shuffled(given: Interventions) -> int | None:
    """The seed of the shuffled patches, None where they are in their places."""
    return next((item.seed for item in given if isinstance(item, ShufflePatches)), None)


def set_shuffle(given: Interventions, seed: int | None) -> Interventions:
    return _with(given, ShufflePatches, None if seed is None else ShufflePatches(seed))


def positions(given: Interventions) -> str | None:
    """How positions are changed, None where they are as learned."""
    return next((item.how for item in given if isinstance(item, ChangePositions)), None)


def set_positions(given: Interventions, how: str | None, seed: int = 0) -> Interventions:
    return _with(given, ChangePositions, None if how is None else ChangePositions(how, seed))


def cut_tokens(given: Interventions) -> tuple[int, ...]:
    return tuple(sorted({token for item in given if isinstance(item, CutTokens) for token in item.tokens}))


def cut_layers(given: Interventions) -> tuple[int, ...] | None:
    """The layers in which tokens are cut out of attention, None for all."""
    return next((item.layers for item in given if isinstance(item, CutTokens)), None)


def set_cut(given: Interventions, tokens: Iterable[int], layers: Iterable[int] | None) -> Interventions:
    """The interventions with exactly these tokens cut out of attention, in these layers or in all."""
    return _with(given, CutTokens, CutTokens(tuple(tokens), None if layers is None else tuple(layers)))


def without(given: Interventions, item: Intervention) -> Interventions:
    """The interventions without this one; where it has changed in the meantime, without those of its kind."""
    left = tuple(each for each in given if each != item)
    return Interventions(left) if len(left) < len(given.items) else _with(given, type(item), None)


def _with(given: Interventions, kind: type, item: Intervention | None) -> Interventions:
    others = [other for other in given if not isinstance(other, kind)]
    items = [*others, *([] if item is None or item.is_noop else [item])]
    return Interventions(tuple(sorted(items, key=lambda each: each.order)))


# Outputs of the changed model: computed once for each list of interventions, and kept.


@dataclass(frozen=True, eq=False)
class ChangedAnswer:
    """A model's answer before and after the changes that are made to its pass.

    Attributes:
        effect: The answers before and after.
        read: The query that the output is computed from.
        layout: Which token is which patch.
        means: Digest of the mean outputs that replace heads; "" if none do.
    """

    effect: Effect
    read: Query
    layout: TokenLayout
    means: str = ""

    @property
    def nbytes(self) -> int:
        kept = (self.effect.before, self.effect.after)
        return sum(each.tokens.nbytes for each in kept if each.tokens is not None)

    @property
    def token_read(self) -> float | None:
        """Cosine of what the output is computed from with what it was: a token, the patches' mean, or the weighted sum of
        several; of the patches' mean where a pooling query reads them. None where unknown.
        """
        before, after = self.effect.before.tokens, self.effect.after.tokens
        if before is None or after is None:
            return None
        if before.shape != after.shape or before.shape[1] != self.layout.num_tokens:
            return None
        weights = row_weights(self.read, self.layout, before.device)[0]
        one, two = (weights @ tokens[0].float() for tokens in (before, after))  # (width,)
        return float(F.cosine_similarity(one, two, dim=0))


def needs_means(given: Interventions) -> bool:
    return any(isinstance(item, SwitchOffHeads) and item.fill == "mean" for item in given)


def gallery_means(context: PageContext) -> HeadMeans:
    """Every head's mean output over the centre crops of the gallery's photographs, at the input size of the picture: one
    result for all pictures at that size.
    """
    model = context.model
    # The size of the model and not of the key: where the whole picture is fitted, it follows from the picture.
    plain = replace(context, key=replace(context.key, image="", framing="crop", size=model.input_size, scope=None))

    def work(progress: JobProgress) -> HeadMeans:
        gallery = samples()
        inputs = (prepare(model, load_sample(sample.id)).input for sample in gallery)
        return head_means(model.background_copy, inputs, progress, len(gallery))

    if plain.key.derive("head means") not in services.queue().results:
        consent.require_passes(model, len(samples()), words.TAKING_MEANS)
    means: HeadMeans = plain.ask("head means", work, words.TAKING_MEANS, len(samples()))
    return means


def changed_answer(explained: ExplainedTarget, given: Interventions) -> ChangedAnswer:
    """The outputs of the changed model for the picture: one pass.

    Raises:
        UnsupportedError: Where it cannot run changed.
    """
    context, (means, digest) = explained.context, _means_of(explained.context, given)
    output_query = default_query(context.trace)
    output_query = Query(((MEAN, 1.0),)) if output_query.pools else output_query

    def work(question: Question, _: JobProgress) -> ChangedAnswer:
        with _possible():
            return ChangedAnswer(effect(question, given, head_means=means), output_query, context.layout, digest)

    return explained.ask("what if", work, words.ASKING_CHANGED, changes=given.encode(), means=digest)


def trace_of(context: PageContext, given: Interventions) -> Trace:
    """The changed pass with its attention: another pass, needed for maps only. Raises as `changed_answer`."""
    means, digest = _means_of(context, given)

    def work(_: JobProgress) -> Trace:
        with _possible(), intervene(context.runs_on(1), given, head_means=means) as changed, torch.no_grad():
            return trace_input(changed, context.trace.input)

    trace: Trace = context.ask("changed trace", work, words.ASKING_CHANGED, 1, changes=given.encode(), means=digest)
    return trace


def _means_of(context: PageContext, given: Interventions) -> tuple[HeadMeans | None, str]:
    means = gallery_means(context) if needs_means(given) else None
    return means, means.digest if means else ""


@contextmanager
def _possible() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise UnsupportedError(words.IMPOSSIBLE) from None


def map_of(trace: Trace, kind: str, query: str, layer: int, head: int | None, off: tuple[int, ...] = ()) -> Heatmap:
    """The chosen map of a trace; `off`: layers that rollout leaves out, because they were switched off."""
    if kind == "rollout":
        left = tuple(each for at, each in enumerate(trace.layers) if at not in off)
        return rollout(replace(trace, layers=left), query)
    return attention_map(layers_with_query(trace, Query.parse(query))[0 if query == POOL else layer], query, head)


def present(context: PageContext) -> Interventions:
    """What is switched, as far as this model has it."""
    return fitting(current(), context.layout, (layer.num_heads for layer in context.trace.layers))


def found_outliers(explained: ExplainedTarget) -> TokenOutliers:
    """The picture's outlying tokens at the thresholds chosen."""
    norm, mass = float(state.value_of("norm_times")), float(state.value_of("mass_times"))
    found: TokenOutliers = explained.ask(
        "outliers", lambda question, _: token_outliers(question, norm, mass), norm=norm, mass=mass
    )
    return found
