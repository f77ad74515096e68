"""Patches: how a model reads a picture."""

from __future__ import annotations

import streamlit as st

from vitviz.draw import draw_patch
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.embeddings import filters_figure, grid_figure, sequence_figure
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.context import Stage
from vitviz.ui.controls import figure
from vitviz.ui.controls.frame import page
from vitviz.ui.escape import escaped
from vitviz.ui.pages.patches import text as words

FILTERS = 28


def render(stage: Stage) -> None:
    cols = stage.layout.grid[1]
    row, col = stage.selection.patch_of(stage.layout)
    with page(words.PAGE, cols=cols):
        left, right = st.columns(2)
        with left:
            _grid(stage, row, col)
        with right:
            _patch(stage, row, col)
        st.subheader(words.SEQUENCE, anchor=False)
        _sequence(stage, row, col)
        st.subheader(words.FILTERS, anchor=False)
        try:
            figure.show(stage, "filters", lambda: filters_figure(stage.sight, FILTERS, theme=stage.theme))
            st.caption(words.FILTERS_TEXT.format(count=FILTERS))
        except UnsupportedError as reason:  # a stem of several convolutions has no filter over a whole patch
            st.info(escaped(reason))


def _grid(stage: Stage, row: int, col: int) -> None:
    rows, cols = stage.layout.grid
    token = stage.layout.token_at(row, col)
    cut, dim = state.value_of("cut"), state.value_of("dim")
    show_picture(
        stage,
        "patch grid",
        alt=words.GRID_ALT.format(rows=rows, cols=cols),
        on_pick=lambda name: state.change(query=name),
        chosen=cell_name(row, col),
        line=cut,
        dim=dim,
    )
    figure.ways_out(
        stage,
        "patch grid",
        lambda: grid_figure(stage.sight, highlight=[token], line_width=cut, dim=dim, theme=stage.theme),
        token=token,
        cut=cut,
        dim=dim,
    )
    one, two = st.columns(2)
    one.slider(words.CUT, 0, 8, step=1, **state.bound("cut"))
    two.slider(words.DIM, 0.0, 0.9, step=0.1, **state.bound("dim"))


def _patch(stage: Stage, row: int, col: int) -> None:
    layout, token = stage.layout, stage.layout.token_at(row, col)
    high, wide = layout.patch_size

    def draw() -> Figure:
        return Figure(
            arrays={},
            drawing=draw_patch(stage.shown, layout, token, theme=stage.theme),
            alt=words.PATCH_ALT.format(row=row, col=col),
            provenance=stage.sight.provenance("patch", query=cell_name(row, col)),
            snippet=stage.sight.snippet(),
        )

    st.markdown(f"**{words.PATCH}**")
    figure.show(stage, "patch", draw, token=token)
    place = {"left": col * wide, "right": (col + 1) * wide - 1, "top": row * high, "bottom": (row + 1) * high - 1}
    st.caption(words.PATCH_FACTS.format(token=token, tokens=layout.num_tokens, row=row, col=col, **place))
    one, two = st.columns(2)
    rows, cols = layout.grid
    one.number_input(words.ROW, 0, rows - 1, step=1, **state.bound("query", row, lambda r: cell_name(r, col), "row"))
    two.number_input(words.COL, 0, cols - 1, step=1, **state.bound("query", col, lambda c: cell_name(row, c), "col"))


def _sequence(stage: Stage, row: int, col: int) -> None:
    layout, token = stage.layout, stage.layout.token_at(row, col)
    counts = {"prefix": layout.num_prefix, "patches": layout.num_patches, "tokens": layout.num_tokens}
    st.caption(words.SEQUENCE_TEXT.format(**counts))
    figure.show(
        stage,
        "sequence",
        lambda: sequence_figure(stage.sight, highlight=token, columns=16, theme=stage.theme),
        token=token,
    )
