"""Is it the model or the picture? Two maps with one cursor, and one patch in two scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vitviz.capture.attention import Attention
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import SIDE_BY_SIDE, Frame, page
from vitviz.ui.controls.pickers import (
    MEAN_OF_HEADS,
    head_of_number,
    head_words,
    marked_or_middle,
    marked_patch,
    named,
    number_of_head,
    queries_of,
)
from vitviz.ui.escape import escaped
from vitviz.ui.pages.compare import maps, scenes, sides
from vitviz.ui.pages.compare import text as words
from vitviz.ui.pages.compare.sides import ComparedSide, corresponding_query, heatmap_of, layers_of_query
from vitviz.ui.text import common


def render(context: PageContext) -> None:
    with page(words.PAGES[str(state.value_of("compared"))], context) as its:
        with its.controls():
            st.selectbox(words.COMPARED, list(words.KINDS), format_func=named(words.KINDS), **state.bound("compared"))
        with guarded("comparison"):
            (scenes.show if state.value_of("compared") == "scenes" else show_maps)(context, its)


# Two maps side by side, with one cursor: in what they differ, and the query of each.

LAYER_WIDTH, HEAD_WIDTH = 108, 148  # CSS pixels


def show_maps(context: PageContext, its: Frame) -> None:
    """Both maps, and below them in what B differs."""
    if not context.trace.layers:
        with its.figure():
            st.info(words.NO_LAYERS)
        return
    kind = str(state.value_of("compared"))
    with its.controls():
        _choices(context, kind)
    with its.figure(), st.container(key=SIDE_BY_SIDE, gap="small"):
        titles = st.columns(2)
        pictures = st.container()
        with titles[0]:
            one = _first(context, kind)
        with titles[1]:
            two = _second(context, one)
        with pictures:
            maps.maps(one, two)
    with its.settings():
        if kind != "positions":
            _choose_query(context)
        if two is not None:
            maps.display(one, two)
    if two is not None:
        its.say(maps.verdict(one, two))
        with its.details():
            maps.details(one, two)


def _choices(context: PageContext, kind: str) -> None:
    """The choice of what differs on side B."""
    differs, possible = sides.differs(), sides.DIFFERS[kind]
    if len(possible) > 1:
        st.selectbox(words.DIFFERS, possible, format_func=named(words.DIFFERENCES), **state.bound("differs", differs))
    if differs == "model":
        sides.choose_model(context)
    elif differs == "picture":
        sides.choose_picture(context)


def _choose_query(context: PageContext) -> None:
    """The choice of the query: a prefix token, the pooling query, all patches, or the marked patch."""
    queries = queries_of(context)
    key, patch = "choice of query to compare", "patch"
    st.session_state[key] = context.query if context.query in queries else patch
    marked = marked_or_middle(context)

    def taken() -> None:
        asks = st.session_state[key]
        if asks == patch:
            state.change(query=cell_name(*marked), pin="")
        else:
            state.change(query=asks, pin=cell_name(*marked) if marked_patch(context) else "")

    askers = {name: common.token(name) for name in queries} | {patch: words.MARKED}
    st.selectbox(words.WHOSE, list(askers), format_func=named(askers), help=words.WHOSE_HELP, key=key, on_change=taken)


def _first(context: PageContext, kind: str) -> ComparedSide:
    query = cell_name(*marked_or_middle(context)) if kind == "positions" else context.query
    layer = head = None
    with _titled("A", context, words.SIDE_A_NOTE):
        if kind == "attention":
            layers = layers_of_query(context, query)
            layer = min(context.layer, len(layers) - 1)
            head = context.selection.head_of(layers[layer].num_heads)
            _layer_and_head(
                "A", layers, state.bound("layer", layer), state.bound("head", number_of_head(head), head_of_number)
            )
    return ComparedSide("A", context, kind, query, layer, head, heatmap_of(context, kind, query, layer, head))


def _second(context: PageContext, first: ComparedSide) -> ComparedSide | None:
    other = sides.open_other(context)
    if other is None:
        return None
    kind = first.kind
    query = corresponding_query(context, other, first.query)
    layer = head = None
    with _titled("B", other):
        if kind == "attention":
            layers = layers_of_query(other, query)
            layer = min(sides.layer_of(context, other), len(layers) - 1)
            head = sides.head_of(context, layers[layer].num_heads)
            _layer_and_head(
                "B",
                layers,
                state.bound("other_layer", layer, sides.read_layer(context, other)),
                state.bound("other_head", number_of_head(head), sides.read_head(context)),
            )
    if other.layout.cell_named(query) is None and query != first.query:
        st.caption(words.QUERY_INSTEAD.format(wanted=common.token(first.query), given=common.token(query)))
    return ComparedSide("B", other, kind, query, layer, head, heatmap_of(other, kind, query, layer, head))


def _titled(letter: str, context: PageContext, note: str | None = None) -> DeltaGenerator:
    """A side's name; layer and head are chosen below it."""
    model, picture = sides.model_words(context), sides.picture_words(context.selection.image)
    st.markdown(words.SIDE.format(side=letter, model=escaped(model), picture=escaped(picture)), help=note)
    return st.container(horizontal=True, gap="small")


def _layer_and_head(letter: str, layers: Sequence[Attention], layer: dict[str, Any], head: dict[str, Any]) -> None:
    """Shows the choices of layer and head of one side.

    Args:
        letter: "A" or "B".
        layers: The layers of the side's trace.
        layer: Arguments of the widget that bind the layer to the selection.
        head: The same for the head.
    """
    look: dict[str, Any] = {"label_visibility": "collapsed"}
    depths = {at: words.LAYER_NAME.format(layer=at) for at in range(len(layers))}
    name = words.LAYER_OF.format(side=letter)
    st.selectbox(name, list(depths), format_func=named(depths), width=LAYER_WIDTH, **look, **layer)
    count = layers[st.session_state[layer["key"]]].num_heads
    heads = {number: head_words(head_of_number(number)) for number in (MEAN_OF_HEADS, *range(count))}
    name = words.HEAD_OF.format(side=letter)
    st.selectbox(name, list(heads), format_func=named(heads), width=HEAD_WIDTH, **look, **head)
