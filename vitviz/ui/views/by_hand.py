"""One head by hand: one token followed from its pixels through one head, every step with its numbers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.by_hand import Entrance, HeadByHand, OpenLayer, entrance, head_by_hand, open_layer
from vitviz.draw import Scale
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name
from vitviz.ui import exhibits, state, tables
from vitviz.ui.page import page
from vitviz.ui.stage import Stage
from vitviz.ui.text import by_hand as words
from vitviz.ui.text import common
from vitviz.ui.trouble import guarded
from vitviz.ui.views import by_hand_entrance, by_hand_matrices, by_hand_scores
from vitviz.ui.views.by_hand_board import Board

PATCHES_SHOWN = 5


def render(stage: Stage) -> None:
    with page(words.PAGE):
        if not stage.trace.layers:
            st.info(words.NO_LAYERS)
            return
        tables.show(tables.STYLE)
        with guarded("one head by hand"):
            board = _choose(stage)
            st.caption(words.ROUNDED)
            with guarded("the entrance"):
                by_hand_entrance.show(board, _entrance(board))
            by_hand_scores.show(board)
            with guarded("matrices"):
                by_hand_matrices.show(board)


def query_of(stage: Stage) -> str:
    """Name of the token to follow: the one chosen, else the patch under discussion, because a story begins with pixels."""
    try:
        stage.layout.token_named(stage.selection.query)
    except ValueError:
        row, col = stage.selection.patch_of(stage.layout)
        return cell_name(row, col)
    return stage.selection.query


def _choose(stage: Stage) -> Board:
    layer, query = stage.layer, query_of(stage)
    head = stage.head or 0
    left, right = st.columns([11, 9])
    opened: OpenLayer = stage.ask(
        "open layer",
        lambda _: open_layer(stage.model, stage.trace, layer),
        words.OPENING.format(layer=layer),
        layer=layer,
    )
    hand = head_by_hand(opened, head, query)
    shown = tuple(hand.strongest(PATCHES_SHOWN))
    with right:
        st.markdown(words.FOLLOWED.format(query=common.token(query), layer=layer, head=head))
        _widgets(stage, layer, head, hand, shown)
    pair = shown[min(int(state.value_of("pair")), len(shown) - 1)]
    hand = head_by_hand(opened, head, query, pair)
    with left:
        weights = Heatmap(hand.layout.patches(hand.weights.astype(np.float32)), words.WEIGHT)
        exhibits.picture(
            stage,
            "by hand",
            alt=words.PICTURE_ALT.format(query=common.token(query), layer=layer, head=head),
            on_pick=lambda name: state.change(query=name),
            heatmap=weights,
            scale=Scale.of(weights.values, robust=state.value_of("scale") == "robust"),
            knobs=(("query", query), ("layer", layer), ("head", head)),
            chosen=query,
            prefix=stage.layout.prefix,
            marks=[cell for token in shown if (cell := stage.layout.cell_of(token)) is not None],
            widest=360,
        )
    component = min(int(state.value_of("component")), hand.head_dim - 1)
    return Board(stage, opened, hand, component, shown)


def _widgets(stage: Stage, layer: int, head: int, hand: HeadByHand, shown: tuple[int, ...]) -> None:
    rows, cols = stage.layout.grid
    row, col = stage.selection.patch_of(stage.layout)
    one, two = st.columns(2)
    if stage.trace.num_layers > 1:
        one.number_input(words.LAYER, 0, stage.trace.num_layers - 1, step=1, **state.bound("layer", layer))
    heads = stage.trace.layers[layer].num_heads
    if heads > 1:
        two.number_input(words.HEAD, 0, heads - 1, step=1, **state.bound("head", head))
    one, two = st.columns(2)  # a second pair, so that on a phone row and column follow one another
    one.number_input(words.ROW, 0, rows - 1, step=1, **state.bound("query", row, lambda r: cell_name(r, col), "row"))
    two.number_input(words.COL, 0, cols - 1, step=1, **state.bound("query", col, lambda c: cell_name(row, c), "col"))
    component = min(int(state.value_of("component")), hand.head_dim - 1)
    st.number_input(
        words.COMPONENT, 0, hand.head_dim - 1, step=1, help=words.COMPONENT_HELP, **state.bound("component", component)
    )
    names = [words.short(stage.layout.name_of(token)) for token in shown]
    st.selectbox(
        words.PAIR, list(range(len(shown))), format_func=lambda index: names[index], help=words.PAIR_HELP,
        **state.bound("pair", min(int(state.value_of("pair")), len(shown) - 1)),
    )  # fmt: skip


def _entrance(board: Board) -> Entrance:
    stage, query = board.stage, board.hand.query
    start: Entrance = stage.ask(
        "entrance by hand", lambda _: entrance(stage.model, stage.trace, board.opened, query), query=query
    )
    return start
