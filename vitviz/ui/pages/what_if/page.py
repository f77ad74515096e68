"""What if: patches, order, heads, layers and tokens changed, and the model run again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import streamlit as st
from PIL import Image

from vitviz.analysis.interventions import Interventions
from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.queries import POOL, Query, layers_with_query
from vitviz.analysis.targets import needs_classifier
from vitviz.draw import Scale
from vitviz.draw.scale import number
from vitviz.figures.attention import map_code
from vitviz.figures.interventions import ChangedMap, seen_picture, what_if_figure
from vitviz.heatmap import Heatmap
from vitviz.outputs import has_classifier
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import edits, figure, tables
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.edits import ChangedAnswer, changed_answer, gallery_means, map_of, needs_means, trace_of
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame, page
from vitviz.ui.controls.pickers import answer_button, choose_head, choose_layer, head_words, named, take_query
from vitviz.ui.controls.targets import ExplainedTarget, class_name, explained_target
from vitviz.ui.escape import escaped
from vitviz.ui.pages.what_if import inspection, interventions
from vitviz.ui.pages.what_if import text as words
from vitviz.ui.text import common, outputs


def render(context: PageContext) -> None:
    with page(words.PAGES[str(state.value_of("switch"))], context) as its:
        with its.controls():
            section = st.selectbox(
                words.SECTION,
                list(words.SECTIONS),
                format_func=named(words.SECTIONS),
                width=170,
                **state.bound("switch"),
            )
        with guarded(f"section {section}"):
            given = edits.present(context)
            explained = explained_target(context)
            if section in INSPECTIONS:
                INSPECTIONS[section](its, explained, given)
                if given.items:
                    interventions.show_list(context, given)
            else:
                _switch(its, explained, given, section)


def _switch(its: Frame, explained: ExplainedTarget, given: Interventions, section: str) -> None:
    with its.figure():
        left, right = st.columns([3, 2], gap="medium")
    with left, guarded(f"switches {section}"):
        SWITCHES[section](its, explained.context, given)
    with right:
        # The list comes after the answer: the first stroke must not move the figure that is watched.
        with guarded("answer"):
            show_answer(explained, given)
        interventions.show_list(explained.context, given)
    if given.items and its.details().open:  # maps take another pass
        with its.details(), guarded("maps"):
            show_maps(explained, given)


# The changed model beside the unchanged one: outputs, one map, the input, and how far features moved.

PICTURE = 330  # CSS pixels
LINK = "before and after"


def show_answer(explained: ExplainedTarget, given: Interventions) -> None:
    """The target's likelihood with its change, and the likeliest classes side by side."""
    found = changed_answer(explained, given)
    result = found.effect
    label = outputs.SHARE_METRIC if explained.shares else outputs.NUMBER_METRIC
    label = (label if needs_classifier(explained.target) else outputs.COSINE_METRIC).format(
        target=escaped(explained.name)
    )
    if math.isnan(result.likelihood_after):
        st.info(words.NO_LIKELIHOOD)
    else:
        st.metric(
            label,
            explained.amount(result.likelihood_after),
            explained.change(result.change) if given.items else words.UNCHANGED,
            delta_color="normal" if given.items else "off",
            delta_arrow="auto" if given.items else "off",
        )
    if has_classifier(explained.context.model):
        _outputs(explained, found)


def _outputs(explained: ExplainedTarget, found: ChangedAnswer) -> None:
    """The likeliest classes or labels side by side, or the first plain numbers."""
    context, kind = explained.context, explained.kind
    before, after = (each.values[0].cpu() for each in (found.effect.before, found.effect.after))
    order = [one.index for one in top_predictions(found.effect.before.logits[0], kind=kind)]
    now = top_predictions(found.effect.after.logits[0], count=1, kind=kind)[0].index
    if context.answer_hidden:
        if now != order[0]:
            st.markdown(words.NOW_ANOTHER)
        answer_button("what if")
        return
    order += [] if now in order else [now]
    rows = [(class_name(context, at), float(before[at]), float(after[at])) for at in order]
    text: Callable[[float], str] = _share if kind.is_probability else number
    columns = (
        [name for name, _, _ in rows],
        [text(one) for _, one, _ in rows],
        [text(two) for _, _, two in rows],
        [_points(two - one) if kind.is_probability else signed(two - one) for _, one, two in rows],
    )
    tables.show(tables.STYLE)
    strong = [order.index(now)] if kind.is_probability else []
    tables.show(tables.numbers([*map(tables.Column, (outputs.COLUMN[kind], *words.TOP), columns)], strong=strong))
    if now != order[0]:
        st.markdown(
            words.NOW.format(after=escaped(class_name(context, now)), before=escaped(class_name(context, order[0])))
        )


def _share(value: float) -> str:
    return words.SHARE.format(share=value)


def signed(change: float) -> str:
    """A change of a plain number, with its sign."""
    return "±0" if change == 0 else number(change) if change < 0 else f"+{number(change)}"


def _points(change: float) -> str:
    text = f"{100 * change:+.1f}".replace("-", "\N{MINUS SIGN}")
    return words.SAME if text in ("+0.0", "\N{MINUS SIGN}0.0") else text


@dataclass(frozen=True)
class MapChoice:
    """The map that is compared.

    Attributes:
        kind: "attention" or "rollout".
        query: Its text form.
        layer, head: Of the attention; head None for the mean of heads.
    """

    kind: str
    query: str
    layer: int
    head: int | None

    @property
    def name(self) -> str:
        return words.MAPS[self.kind].format(
            query=common.token(self.query), layer=self.layer, head=head_words(self.head)
        )


def show_maps(explained: ExplainedTarget, given: Interventions) -> None:
    """The change of the features that the output is read from, one map before and after, the input, and each
    patch's similarity.
    """
    context, found = explained.context, changed_answer(explained, given)
    if (cosine := found.token_read) is not None:
        sentence(words.TOKEN_READ, token=common.token(str(found.read)), cosine=cosine)
    choice = _choose_map(context)
    maps = _maps(explained, given, found, choice)
    seen = seen_picture(context.subject, given)
    what = (("changes", given.encode()), ("means", found.means))
    caption(words.MAP_OF, map=choice.name)
    _before_and_after(context, choice, maps, seen, what)
    _notes(given, choice)
    _exports(explained, given, found, choice, maps)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{words.SEEN}**")
        show_picture(
            context,
            "seen",
            alt=words.SEEN_ALT,
            shown=seen,
            params=what,
            size=PictureSize(widest=PICTURE),
            link=LINK,
            on_pick=take_query,
            chosen=context.query,
            one_of_many=True,
        )
    with right:
        st.markdown(f"**{words.SIMILARITY}**")
        _similarity(context, found, what)


def _maps(
    explained: ExplainedTarget, given: Interventions, found: ChangedAnswer, choice: MapChoice
) -> tuple[Heatmap, Heatmap]:
    """The chosen map of the model as it is, and of the changed one."""
    context, changed, off = explained.context, trace_of(explained.context, given), edits.layers_off(given)
    params = asdict(choice)
    before: Heatmap = context.ask("map as it is", lambda _: map_of(context.trace, **params), **params)
    after: Heatmap = explained.ask(
        "map changed",
        lambda _, __: map_of(changed, **params, off=off),
        changes=given.encode(),
        means=found.means,
        **params,
    )
    return before, after


def _before_and_after(
    context: PageContext,
    choice: MapChoice,
    maps: tuple[Heatmap, Heatmap],
    seen: Image.Image,
    what: tuple[tuple[str, str], ...],
) -> None:
    """Both maps on one scale, beside each other: over the photograph, and over what the changed model sees."""
    scale = Scale.of(*(heatmap.values for heatmap in maps), robust=context.robust)
    for column, heatmap, key in zip(st.columns(2), maps, ("before", "after"), strict=True):
        with column:
            st.markdown(f"**{words.MAP_TITLES[key]}**")
            show_picture(
                context,
                f"map {key}",
                alt=words.MAP_ALT.format(name=words.MAP_NAMES[key].format(map=choice.name)),
                heatmap=heatmap,
                scale=scale,
                params=(*asdict(choice).items(), *(what if key == "after" else ())),
                size=PictureSize(widest=PICTURE),
                link=LINK,
                chosen=context.query,
                shown=seen if key == "after" else None,
                on_pick=take_query,
                one_of_many=True,
            )


def _choose_map(context: PageContext) -> MapChoice:
    one, two, three = st.columns([2, 1, 1], vertical_alignment="bottom")
    with one:
        kind = st.segmented_control(
            words.BESIDE, list(words.BESIDES), format_func=named(words.BESIDES), required=True, **state.bound("beside")
        )
    query, layer = context.query, context.layer
    heads = layers_with_query(context.trace, Query.parse(query))[0 if query == POOL else layer].num_heads
    head = context.selection.head_of(heads)
    if kind == "attention":
        if query != POOL:
            with two:
                choose_layer(context.trace.num_layers, layer)
        with three:
            choose_head(heads, head, width="stretch")
    return MapChoice(kind, query, layer, head)


def _notes(given: Interventions, choice: MapChoice) -> None:
    if choice.kind == "rollout" and (edits.layers_off(given) or edits.heads_off(given)):
        caption(words.ROLLOUT_LEFT_OUT)
    elif choice.kind == "attention" and choice.layer in edits.layers_off(given):
        st.caption(words.LAYER_IS_OFF.format(layer=choice.layer))
    elif choice.kind == "attention" and (choice.layer, choice.head) in edits.heads_off(given):
        caption(words.HEAD_IS_OFF)


def _similarity(context: PageContext, found: ChangedAnswer, what: tuple[tuple[str, str], ...]) -> None:
    similarity = found.effect.similarity
    if similarity is None:
        st.info(words.NO_SIMILARITY)
        return
    signed = float(similarity.values.min()) < 0
    show_picture(
        context,
        "similarity",
        alt=words.SIMILARITY_ALT,
        heatmap=Heatmap(similarity.values, words.SIMILARITY_LABEL, signed),
        scale=Scale(-1.0, 1.0, signed=True) if signed else Scale(0.0, 1.0),
        params=what,
        size=PictureSize(widest=PICTURE),
        link=LINK,
        on_pick=take_query,
        chosen=context.query,
        one_of_many=True,
    )


def _exports(
    explained: ExplainedTarget,
    given: Interventions,
    found: ChangedAnswer,
    choice: MapChoice,
    maps: tuple[Heatmap, Heatmap],
) -> None:
    context, kind, query, pools = explained.context, choice.kind, choice.query, choice.query == POOL
    line_after = ""
    if kind == "rollout" and (off := edits.layers_off(given)):
        kept = f"tuple(each for at, each in enumerate(after.layers) if at not in {off})"
        changed = map_code(kind, query, trace=f"replace(after, layers={kept})")
        line_after = f"from dataclasses import replace\n\nheatmap_after = {changed}"
    line = "heatmap = " + map_code(kind, query, 0 if pools else choice.layer, choice.head)
    place = {"head": choice.head} if pools else {"layer": choice.layer, "head": choice.head}
    name = "rollout" if kind == "rollout" else "attention weights"
    details = {"map": name, "query": query, **({} if kind == "rollout" else place)}
    means = gallery_means(context) if needs_means(given) else None
    robust = context.robust
    figure.exports(
        context,
        "what if",
        lambda: what_if_figure(
            context.subject,
            given,
            found.effect.after.logits[0],
            ChangedMap(*maps, line, line_after, details),
            means=means,
            classes=has_classifier(context.model),
            robust=robust,
            theme=context.theme,
        ),
        changes=given.encode(),
        means=found.means,
        robust=robust,
        **asdict(choice),
    )


# Sections that change the model, with the outputs beside them; and those that only measure.
SWITCHES: dict[str, Callable[[Frame, PageContext, Interventions], None]] = {
    "hide": interventions.show_hide,
    "order": interventions.show_order,
    "heads": interventions.show_heads,
    "cut": interventions.show_cut,
}
INSPECTIONS: dict[str, Callable[[Frame, ExplainedTarget, Interventions], None]] = {
    "worth": inspection.show_head_importance,
    "sinks": lambda its, explained, _: inspection.show_sinks(its, explained),
}
