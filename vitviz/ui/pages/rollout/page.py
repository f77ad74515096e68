"""Rollout: where the information came from, head by head and through all layers."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.attention import head_statistics, sink_tokens
from vitviz.analysis.rollout import RolloutOptions, check_defined
from vitviz.draw import Scale
from vitviz.errors import UnsupportedError
from vitviz.figures.attention import rollout_figure
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import named
from vitviz.ui.controls.questions import rollout_of
from vitviz.ui.controls.say import caption, sentence
from vitviz.ui.escape import escaped
from vitviz.ui.pages.rollout import heads
from vitviz.ui.pages.rollout import text as words
from vitviz.ui.shell import navigation
from vitviz.ui.shell.errors import guarded
from vitviz.ui.text import common

SINKS_SHOWN = 8


def render(context: PageContext) -> None:
    with page(words.PAGE, context):
        sentence(words.QUERY_LINE, query=common.token(context.query))
        why_not = why_no_rollout(context)
        with guarded("heads"):
            heads.show(context, options_of(context), rollouts=not why_not)
        st.subheader(words.ROLLED, anchor=False)
        if why_not:
            st.info(escaped(why_not))
            navigation.link("layers", common.LAYERS_LINK)
        else:
            with guarded("rollout figure"):
                _rolled(context)
        with guarded("sinks"):
            _sinks(context)
        with guarded("statistics"):
            _statistics(context)


def why_no_rollout(context: PageContext) -> str:
    """Why a product of this model's layers means nothing; "" where rollout is defined."""
    try:
        check_defined(context.layers, context.model.name)
    except UnsupportedError as reason:
        return str(reason)
    return ""


def options_of(context: PageContext) -> RolloutOptions:
    """The params as the analysis takes them; layers beyond the model's are its ends."""
    end = context.trace.num_layers - 1
    first, last = min(int(state.value_of("first")), end), min(int(state.value_of("last")), end)
    return RolloutOptions(
        alpha=float(state.value_of("alpha")),
        fusion=str(state.value_of("fusion")),
        discard=float(state.value_of("discard")),
        first_layer=min(first, last),
        last_layer=None if last == end else last,
    )


def _rolled(context: PageContext) -> None:
    left, right = st.columns([3, 2])
    with right:
        _params(context)
    options, query = options_of(context), context.query
    heatmap = rollout_of(context, query, options)
    robust = state.value_of("scale") == "robust"
    last = context.trace.num_layers - 1 if options.last_layer is None else options.last_layer
    with left:
        show_picture(
            context,
            "rollout",
            alt=words.ROLLED_ALT.format(query=common.token(query), first=options.first_layer, last=last),
            on_pick=lambda name: state.change(query=name),
            heatmap=heatmap,
            scale=Scale.of(heatmap.values, robust=robust),
            params=(("query", query), ("options", options)),
            chosen=query,
        )
        figure.exports(
            context,
            "rollout",
            lambda: rollout_figure(
                context.subject, query, options, heatmap=heatmap, robust=robust, theme=context.theme
            ),
            query=query,
            options=options,
            robust=robust,
        )


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
    st.slider(words.ALPHA, 0.0, 0.95, step=0.05, help=words.ALPHA_HELP, **state.bound("alpha"))
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
    st.dataframe(dict(zip(words.HEADS_COLUMNS, values, strict=True)), hide_index=True, column_config=digits)
    even = float(context.layout.distances().mean())
    low, high = float(of.distance.min()), float(of.distance.max())
    st.caption(f"{words.HEADS_REACH.format(low=low, high=high, even=even)} {words.HEADS_TEXT}")
