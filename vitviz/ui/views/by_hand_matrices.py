"""The last step by hand: the same arithmetic for all tokens at once, as matrices."""

from __future__ import annotations

import streamlit as st

from vitviz.figures.by_hand import LARGEST, output_figure, scores_figure, weights_figure
from vitviz.ui import figure, state
from vitviz.ui.choices import named
from vitviz.ui.text import by_hand as words
from vitviz.ui.views.by_hand_board import Board

FIGURES = {"scores": scores_figure, "weights": weights_figure, "output": output_figure}


def show(board: Board) -> None:
    board.step(words.MATRICES)
    stage, hand, opened = board.stage, board.hand, board.opened
    tokens = hand.layout.num_tokens
    if tokens > LARGEST:
        st.markdown(words.MATRIX_TOO_LARGE.format(tokens=tokens))
        return
    st.segmented_control(
        words.MATRIX, list(words.MATRIX_OF), format_func=named(words.MATRIX_OF), required=True,
        label_visibility="collapsed", **state.bound("matrix"),
    )  # fmt: skip
    kind = str(state.value_of("matrix"))
    st.markdown(words.MATRICES_TEXT[kind].format(query=hand.query))
    make = FIGURES[kind]
    figure.show(
        stage,
        "matrix by hand",
        lambda: make(stage.subject, opened, hand, theme=stage.theme),
        kind=kind,
        layer=hand.layer,
        head=hand.head,
        query=hand.query,
        key=hand.key,
    )
