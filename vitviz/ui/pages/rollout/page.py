"""Rollout: attention through all layers, and head by head."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import streamlit as st

from vitviz.analysis.attention import head_statistics, sink_tokens
from vitviz.analysis.rollout import RolloutOptions, check_defined
from vitviz.draw import Scale
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.attention import rollout_figure, rollout_without_sinks_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure, navigation
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame, page
from vitviz.ui.controls.pickers import named, queries_of, robust_or_raw, take_query
from vitviz.ui.controls.rollouts import rollout_of, rollout_sinks_of
from vitviz.ui.escape import escaped
from vitviz.ui.pages.rollout import heads
from vitviz.ui.pages.rollout import text as words
from vitviz.ui.text import common

SINKS_SHOWN = 8


def render(context: PageContext) -> None:
    why_not = why_no_rollout(context)
    one_head = bool(why_not) or state.value_of("of") == "head"
    text = words.HEAD_PAGE if one_head else words.PAGE
    with page(text, context, query=common.token(context.query), layer=context.layer) as its:
        options = options_of(context)
        kinds = ("attention",) if why_not else heads.KINDS
        with its.figure():
            _queries(context)
            with guarded("rollout figure"):
                if one_head:
                    sinks = () if why_not else rollout_sinks_of(context, context.query, options).cells
                    heads.show_one(context, options, kinds, sinks)
                else:
                    _show_rollout(its, context, options)
        with its.controls():
            if not why_not:
                st.segmented_control(
                    words.OF, list(words.OF_WHAT), format_func=named(words.OF_WHAT), required=True, **state.bound("of")
                )
            if one_head:
                heads.choose_one(context)
            else:
                st.slider(words.ALPHA, 0.0, 0.95, step=0.05, help=words.ALPHA_HELP, width=220, **state.bound("alpha"))
        with its.settings():
            robust_or_raw()
            if not why_not:
                _params(context)
        if why_not:
            st.info(escaped(why_not))
            navigation.link("layers", common.LAYERS_LINK)
        with its.details():
            with guarded("exports"):
                if one_head:
                    heads.exports(context, options, kinds)
                else:
                    _show_sinks_sentence(context, options)
                    _exports(context, options)
            st.subheader(words.BOARD_TITLE, anchor=False)
            with guarded("heads"):
                heads.show_all(context, options, rollouts=not why_not)
            with guarded("sinks"):
                _sinks(context)
            with guarded("statistics"):
                _statistics(context)


def _queries(context: PageContext) -> None:
    """The choice among queries that are no patches, above all maps, which all show the same query."""
    names, key = queries_of(context), "choice of query of no patch"
    st.session_state[key] = context.query if context.query in names else None

    def taken() -> None:
        if st.session_state[key]:  # a second click clears the widget, and the query stays
            state.change(query=st.session_state[key])

    st.pills(
        common.PICTURE_WORDS["tokens"],
        names,
        format_func=common.token,
        label_visibility="collapsed",
        key=key,
        on_change=taken,
    )


def why_no_rollout(context: PageContext) -> str:
    """Why the product of this model's layers is not defined; "" where rollout is defined."""
    try:
        check_defined(context.layers, context.model.name)
    except UnsupportedError as reason:
        return str(reason)
    return ""


def options_of(context: PageContext) -> RolloutOptions:
    """The params as the analysis takes them; layers beyond the model's are clipped to its first and last."""
    end = context.trace.num_layers - 1
    first, last = min(int(state.value_of("first")), end), min(int(state.value_of("last")), end)
    return RolloutOptions(
        alpha=float(state.value_of("alpha")),
        fusion=str(state.value_of("fusion")),
        discard=float(state.value_of("discard")),
        first_layer=min(first, last),
        last_layer=None if last == end else last,
    )


def _show_rollout(its: Frame, context: PageContext, options: RolloutOptions) -> None:
    """The rollout, its sinks marked; beside it the same without them where they dominate it, else one layer alone."""
    query, grid = context.query, context.layout.grid
    heatmap = rollout_of(context, query, options)
    found = rollout_sinks_of(context, context.query, options)
    robust = context.robust
    last = context.trace.num_layers - 1 if options.last_layer is None else options.last_layer
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{words.WHOLE_WITH_SINK.format(share=found.share) if found.peak_is_sink else words.WHOLE}**")
        _picture(
            context,
            "rollout",
            heatmap,
            Scale.of(heatmap.values, robust=robust),
            words.ROLLED_ALT.format(query=common.token(query), first=options.first_layer, last=last),
            (("query", query), ("options", options)),
            found.cells,
        )
    with right:
        if found.peak_is_sink:
            its.say(words.ONE_SINK_REMOVED if len(found.cells) == 1 else words.SINKS_REMOVED, share=found.share)
            st.markdown(f"**{words.WITHOUT_SINKS}**")
            among = np.ones(grid, bool)
            among[tuple(zip(*found.cells, strict=True))] = False
            _picture(
                context,
                "rollout without sinks map",
                found.without_sinks,
                Scale.of(found.without_sinks.values[among], robust=robust),
                words.WITHOUT_SINKS_ALT.format(query=common.token(query), count=len(found.cells)),
                (("query", query), ("options", options)),
                found.cells,
                among,
            )
        else:
            shown = heads.maps_of(context, options, "attention")
            layer = shown.first + len(shown.maps) - 1
            alone = Heatmap(shown.maps[-1].mean(0), common.ATTENTION_WEIGHT)
            st.markdown(f"**{words.ALONE.format(layer=layer)}**")
            _picture(
                context,
                "last layer",
                alone,
                Scale.of(alone.values, robust=robust),
                words.ALONE_ALT.format(query=common.token(query), layer=layer),
                (("query", query), ("layer", layer)),
            )


def _picture(
    context: PageContext,
    key: str,
    heatmap: Heatmap,
    scale: Scale,
    alt: str,
    params: tuple[tuple[str, Hashable], ...],
    sinks: tuple[tuple[int, int], ...] = (),
    among: np.ndarray | None = None,
) -> None:
    show_picture(
        context,
        key,
        alt=alt,
        on_pick=take_query,
        heatmap=heatmap,
        scale=scale,
        among=among,
        params=params,
        chosen=context.query,
        marks=sinks,
        tag=words.SINK,
        link="rollout",
        size=PictureSize(around=416),
        one_of_many=True,
    )


def _show_sinks_sentence(context: PageContext, options: RolloutOptions) -> None:
    """What counts as a sink of this map, and what leaving them out does not change."""
    found = rollout_sinks_of(context, context.query, options)
    if found.peak_is_sink:
        caption(words.WITH_ONE_SINK if len(found.cells) == 1 else words.WITH_SINKS, share=found.share)
        caption(words.WITHOUT_SINKS_TEXT)
    else:
        caption(words.FRAMED_SINKS if found.cells else words.NO_STRONGEST_SINK, count=len(found.cells))


def _exports(context: PageContext, options: RolloutOptions) -> None:
    query, robust = context.query, context.robust
    heatmap = rollout_of(context, query, options)
    params: dict[str, Hashable] = {"query": query, "options": options, "robust": robust}

    def whole() -> Figure:
        return rollout_figure(context.subject, query, options, heatmap=heatmap, robust=robust, theme=context.theme)

    def without_sinks() -> Figure:
        found = rollout_sinks_of(context, context.query, options)
        return rollout_without_sinks_figure(
            context.subject, query, options, heatmap=heatmap, found=found, robust=robust, theme=context.theme
        )

    figure.exports(context, "rollout", whole, label=words.WHOLE, **params)
    figure.exports(context, "rollout without sinks", without_sinks, label=words.WITHOUT_SINKS, **params)


def _params(context: PageContext) -> None:
    st.segmented_control(
        words.FUSION,
        list(words.FUSIONS),
        format_func=named(words.FUSIONS),
        help=words.FUSION_HELP,
        required=True,
        **state.bound("fusion"),
    )
    st.slider(words.DISCARD, 0.0, 0.95, step=0.05, help=words.DISCARD_HELP, **state.bound("discard"))
    end = context.trace.num_layers - 1
    if end > 0:
        options = options_of(context)
        last = end if options.last_layer is None else options.last_layer
        st.slider(
            words.LAYERS,
            0,
            end,
            step=1,
            help=words.LAYERS_HELP,
            **state.bound_pair("first", "last", (options.first_layer, last), end),
        )


def _sinks(context: PageContext) -> None:
    layer = context.layer
    st.subheader(words.SINKS.format(layer=layer), anchor=False)
    found = context.ask("sinks", lambda _: tuple(sink_tokens(context.layers[layer])), layer=layer)
    if not found:
        sentence(words.SINKS_NONE)
        return
    caption(words.SINKS_TEXT)
    for sink in found[:SINKS_SHOWN]:
        st.markdown(
            "- " + words.SINK_LINE.format(name=common.token(sink.name), share=sink.share, times=sink.times_median)
        )
    if len(found) > SINKS_SHOWN:
        st.caption(words.SINKS_MORE.format(count=len(found) - SINKS_SHOWN))


def _statistics(context: PageContext) -> None:
    layer = context.layer
    st.subheader(words.HEADS.format(layer=layer), anchor=False)
    try:
        of = context.ask("head statistics", lambda _: head_statistics(context.layers[layer]), layer=layer)
    except UnsupportedError as reason:
        st.info(escaped(reason))
        return
    values = (
        range(len(of.entropy)),
        of.entropy.tolist(),
        of.distance.tolist(),
        of.prefix_mass.tolist(),
        of.largest.tolist(),
    )
    digits = {name: st.column_config.NumberColumn(format=words.HEADS_DIGITS[name]) for name in words.HEADS_COLUMNS}
    st.dataframe(
        dict(zip(words.HEADS_COLUMNS, values, strict=True)),
        hide_index=True,
        column_config=digits,
        placeholder=common.NOTHING,
    )
    even = float(context.layout.distances().mean())
    low, high = float(of.distance.min()), float(of.distance.max())
    st.caption(f"{words.HEADS_REACH.format(low=low, high=high, even=even)} {words.HEADS_TEXT}")
