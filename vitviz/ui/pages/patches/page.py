"""Patches: how a picture is cut into patches and embedded as tokens."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.patches import filter_components, patch_pixels
from vitviz.draw import draw_patch
from vitviz.draw.patches import pixels
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.embeddings import filters_figure, grid_figure, sequence_figure
from vitviz.models import Model
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import GridLines, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption, costs_of
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import choose_patch, take_query
from vitviz.ui.escape import escaped
from vitviz.ui.pages.patches import text as words

FILTERS = 28
MOST_FILTERS = 100_000  # more than a model has


def render(context: PageContext) -> None:
    row, col = context.selection.patch_of(context.layout)
    with page(words.PAGE, context, cols=context.layout.grid[1]) as its:
        with its.controls():
            st.slider(words.CUT, 0, 8, step=1, **state.bound("cut"))
            st.slider(words.DIM, 0.0, 0.9, step=0.1, **state.bound("dim"))
        with its.settings():
            choose_patch(context.layout.grid, (row, col))
        with its.figure():
            left, right = st.columns(2)
            with left:
                _grid(context, row, col)
            with right:
                _patch(context, row, col)
        with its.details():
            _exports(context, row, col)
            st.subheader(words.SEQUENCE, anchor=False)
            caption(words.PAIRS, **costs_of(context))
            _sequence(context, row, col)
            st.subheader(words.FILTERS, anchor=False)
            _filters(context)


def _grid(context: PageContext, row: int, col: int) -> None:
    rows, cols = context.layout.grid
    show_picture(
        context,
        "patch grid",
        alt=words.GRID_ALT.format(rows=rows, cols=cols),
        on_pick=take_query,
        chosen=cell_name(row, col),
        lines=GridLines(line=state.value_of("cut"), dim=state.value_of("dim")),
    )


def _patch(context: PageContext, row: int, col: int) -> None:
    layout, token = context.layout, context.layout.token_at(row, col)
    high, wide = layout.patch_size
    place = {"left": col * wide, "right": (col + 1) * wide - 1, "top": row * high, "bottom": (row + 1) * high - 1}
    with st.container(gap="xxsmall"):  # the caption on a line with what is read in the other picture
        figure.show(context, "pixels", lambda: _pixels_figure(context, row, col), exported=False, token=token)
        caption(words.PATCH_FACTS, token=token, tokens=layout.num_tokens, **place)


def _pixels_figure(context: PageContext, row: int, col: int) -> Figure:
    layout, token = context.layout, context.layout.token_at(row, col)
    patch = patch_pixels(np.asarray(context.shown.convert("RGB")), layout)[token - layout.num_prefix]
    return Figure(
        arrays={"patch": patch},
        drawing=pixels(patch, figure.SHARP, context.theme),
        alt=words.PIXELS_ALT.format(row=row, col=col),
        provenance=context.traced.provenance("patch", query=cell_name(row, col)),
        snippet=context.traced.snippet(),
    )


def _patch_figure(context: PageContext, row: int, col: int) -> Figure:
    token = context.layout.token_at(row, col)
    return Figure(
        arrays={},
        drawing=draw_patch(context.shown, context.layout, token, theme=context.theme, width=figure.HALF),
        alt=words.PATCH_ALT.format(row=row, col=col),
        provenance=context.traced.provenance("patch", query=cell_name(row, col)),
        snippet=context.traced.snippet(),
    )


def _exports(context: PageContext, row: int, col: int) -> None:
    token, cut, dim = context.layout.token_at(row, col), state.value_of("cut"), state.value_of("dim")
    figure.exports(
        context,
        "patch grid",
        lambda: grid_figure(context.traced, highlight=[token], line_width=cut, dim=dim, theme=context.theme),
        label=words.CUT_PICTURE,
        token=token,
        cut=cut,
        dim=dim,
    )
    figure.exports(context, "patch", lambda: _patch_figure(context, row, col), label=words.PATCH, token=token)


def _sequence(context: PageContext, row: int, col: int) -> None:
    layout, token = context.layout, context.layout.token_at(row, col)
    counts = {"prefix": layout.num_prefix, "patches": layout.num_patches, "tokens": layout.num_tokens}
    caption(words.SEQUENCE_TEXT, **counts)
    figure.show(
        context,
        "sequence",
        lambda: sequence_figure(
            context.traced, highlight=token, columns=16, theme=context.theme, width=figure.whole(context)
        ),
        token=token,
    )


def _variance(model: Model) -> np.ndarray:
    """(components,): the share of each principal component of the filters, all of them."""
    with model.lock:
        return filter_components(model, MOST_FILTERS).explained


def _filters(context: PageContext) -> None:
    try:
        model = context.of_model
        figure.show(
            model,
            "filters",
            lambda: filters_figure(model.traced, FILTERS, theme=context.theme, width=figure.whole(context)),
            framing=context.key.framing,
        )
        explained: np.ndarray = model.ask("variance of filters", lambda _: _variance(context.model))
        half = min(int(np.searchsorted(np.cumsum(explained), 0.5)) + 1, len(explained))
        caption(words.FILTERS_TEXT, half=half, all=len(explained))
        if context.model.trained:
            caption(words.FILTERS_KNOWN)
    except UnsupportedError as reason:  # a stem of several convolutions has no filter over a whole patch
        st.info(escaped(reason))
