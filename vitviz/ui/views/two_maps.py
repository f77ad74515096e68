"""Two maps side by side, with one cursor: in what they differ, and what is asked of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from vitviz.capture.attention import Attention
from vitviz.tokens import cell_name
from vitviz.ui import other_side, state
from vitviz.ui.choices import named
from vitviz.ui.compared import ComparedSide, asked_in, head_words, heatmap_of, query_there
from vitviz.ui.escape import escaped
from vitviz.ui.places import marked_or_middle, marked_patch, queries_of
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import compare as words
from vitviz.ui.views import two_maps_shown

SIDE_BY_SIDE = "side-by-side"  # the key that `look` has a rule for


def show(stage: Stage) -> None:
    """Choices above, both maps below."""
    if not stage.trace.layers:
        st.info(words.NO_LAYERS)
        return
    kind = str(state.value_of("compared"))
    _choices(stage, kind)
    with st.container(key=SIDE_BY_SIDE, gap="small"):
        left, right = st.columns(2)
        with left:
            one = _first(stage, kind)
        with right:
            two = _second(stage, one)
        two_maps_shown.maps(one, two)
    if two is not None:
        two_maps_shown.below(one, two)


def _choices(stage: Stage, kind: str) -> None:
    """In what B differs, and who asks."""
    differs, possible = other_side.differs(), other_side.DIFFERS[kind]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if len(possible) > 1:
            st.segmented_control(
                words.DIFFERS, possible, format_func=named(words.DIFFERENCES), required=True,
                **state.bound("differs", differs),
            )  # fmt: skip
        if differs == "model":
            other_side.choose_model(stage)
        elif differs == "picture":
            other_side.choose_picture(stage)
        if kind != "positions":
            _whose(stage)
    if kind in words.KIND_NOTES:
        st.caption(words.KIND_NOTES[kind])


def _whose(stage: Stage) -> None:
    """Who asks: a prefix token, the pooling query, all patches, or the marked patch."""
    queries = queries_of(stage)
    key, patch = "choice of query to compare", "patch"
    st.session_state[key] = stage.query if stage.query in queries else patch
    marked = marked_or_middle(stage)

    def taken() -> None:
        asks = st.session_state[key]
        if asks == patch:
            state.change(query=cell_name(*marked), pin="")
        else:
            state.change(query=asks, pin=cell_name(*marked) if marked_patch(stage) else "")

    askers = {name: common.token(name) for name in queries} | {patch: words.MARKED}
    st.selectbox(words.WHOSE, list(askers), format_func=named(askers), help=words.WHOSE_HELP, key=key, on_change=taken)


def _first(stage: Stage, kind: str) -> ComparedSide:
    query = cell_name(*marked_or_middle(stage)) if kind == "positions" else stage.query
    _title("A", stage, words.SIDE_A_NOTE)
    layer = head = None
    if kind == "attention":
        layers = asked_in(stage, query)
        layer = min(stage.layer, len(layers) - 1)
        head = stage.selection.head
        head = head if head is not None and head < layers[layer].num_heads else None
        _layer_and_head(
            "A", layers, state.bound("layer", layer),
            state.bound("head", _held(head), _unheld),
        )  # fmt: skip
    return ComparedSide("A", stage, kind, query, layer, head, heatmap_of(stage, kind, query, layer, head))


def _second(stage: Stage, first: ComparedSide) -> ComparedSide | None:
    other = other_side.open_other(stage)
    if other is None:
        return None
    _title("B", other)
    kind = first.kind
    query = query_there(stage, other, first.query)
    layer = head = None
    if kind == "attention":
        layers = asked_in(other, query)
        layer = min(other_side.layer_of(stage, other), len(layers) - 1)
        head = other_side.head_of(stage, layers[layer].num_heads)
        _layer_and_head(
            "B", layers, state.bound("other_layer", layer, other_side.read_layer(stage, other)),
            state.bound("other_head", _held(head), other_side.read_head(stage)),
        )  # fmt: skip
    if other.layout.cell_named(query) is None and query != first.query:
        st.caption(words.QUERY_INSTEAD.format(wanted=common.token(first.query), given=common.token(query)))
    return ComparedSide("B", other, kind, query, layer, head, heatmap_of(other, kind, query, layer, head))


def _title(letter: str, stage: Stage, note: str | None = None) -> None:
    model, picture = other_side.model_words(stage), other_side.picture_words(stage.selection.image)
    st.markdown(words.SIDE.format(side=letter, model=escaped(model), picture=escaped(picture)), help=note)


def _layer_and_head(letter: str, layers: Sequence[Attention], layer: dict[str, Any], head: dict[str, Any]) -> None:
    """The two choices of one side; layer and head are what ties each to the selection."""
    one, two = st.columns(2, gap="small")
    depths = {at: words.LAYER_NAME.format(layer=at) for at in range(len(layers))}
    one.selectbox(
        words.LAYER_OF.format(side=letter),
        list(depths),
        format_func=named(depths),
        label_visibility="collapsed",
        **layer,
    )
    count = layers[st.session_state[layer["key"]]].num_heads
    heads = {held: head_words(_unheld(held)) for held in range(-1, count)}
    two.selectbox(
        words.HEAD_OF.format(side=letter), list(heads), format_func=named(heads), label_visibility="collapsed", **head
    )


def _held(head: int | None) -> int:
    """A head as a widget holds it: -1 for the mean of heads."""
    return -1 if head is None else head


def _unheld(held: int) -> int | None:
    return None if held < 0 else held
