"""Choices that several pages offer: layer, head, query, patch, where colours end, the answer shown; values by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import streamlit as st

from vitviz.analysis.queries import MEAN, POOL, default_query
from vitviz.glossary import GLOSSARY
from vitviz.tokens import Cell, cell_name
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.text import common as words

MEAN_OF_HEADS = -1  # in widgets, which hold numbers


def named(readings: Mapping[Any, str]) -> Callable[[Any], str]:
    """A widget's `format_func`: the words for a value, or the value itself where there are none."""
    return lambda value: readings.get(value, str(value))


def choose_layer(
    count: int,
    chosen: int,
    label: str = words.LAYER,
    *,
    param: str = "layer",
    width: int | Literal["stretch"] = "stretch",
) -> None:
    """A layer by its number, where there are several."""
    _choose_number(label, GLOSSARY["layer"], count, param, chosen, width)


def choose_one_head(
    count: int, chosen: int, *, param: str = "head", width: int | Literal["stretch"] = "stretch"
) -> None:
    """A head by its number, where there are several and their mean is no choice."""
    _choose_number(words.HEAD, GLOSSARY["head"], count, param, chosen, width)


def _choose_number(label: str, term: str, count: int, param: str, chosen: int, width: int | Literal["stretch"]) -> None:
    if count > 1:
        st.number_input(label, 0, count - 1, step=1, help=term, width=width, **state.bound(param, chosen))


def choose_head(count: int, chosen: int | None, *, width: int | Literal["stretch"] = 170) -> None:
    """One of the heads, or their mean."""
    st.selectbox(
        words.HEAD,
        [MEAN_OF_HEADS, *range(count)],
        format_func=lambda number: words.HEAD_MEAN if number == MEAN_OF_HEADS else str(number),
        help=GLOSSARY["head"],
        width=width,
        **state.bound("head", number_of_head(chosen), head_of_number),
    )


def number_of_head(head: int | None) -> int:
    """A head as a widget holds it."""
    return MEAN_OF_HEADS if head is None else head


def head_of_number(number: int) -> int | None:
    """The head that a widget holds; None is the mean of heads."""
    return None if number == MEAN_OF_HEADS else number


def head_words(head: int | None) -> str:
    """One head, or the mean of all, for people."""
    return words.HEAD_MEAN if head is None else words.HEAD_NAME.format(head=head)


def choose_patch(grid: Cell, cell: Cell, part: str = "") -> None:
    """The query's patch by its row and column.

    Args:
        part: Distinguishes several of these on one page.
    """
    (rows, cols), (row, col) = grid, cell
    by_row, by_col = (lambda r: cell_name(r, col)), (lambda c: cell_name(row, c))
    st.number_input(words.ROW, 0, rows - 1, step=1, **state.bound("query", row, by_row, f"row {part}".strip()))
    st.number_input(words.COL, 0, cols - 1, step=1, **state.bound("query", col, by_col, f"col {part}".strip()))


def take_query(token: str) -> None:
    """The token becomes the query, for pictures that are pointed at."""
    state.change(query=token)


def answer_button(key: str) -> None:
    """A button that shows the prediction, on all pages."""
    st.button(
        words.SHOW_ANSWER,
        key=f"show the answer {key}",
        on_click=lambda: state.change(answer="shown"),
        icon=":material/visibility:",
    )


def shared_or_own(label: str = words.TILE_SCALES, note: str = words.TILE_SCALE_HELP) -> None:
    """Whether maps beside each other have one scale."""
    st.segmented_control(
        label,
        list(words.TILE_SCALE_OF),
        format_func=named(words.TILE_SCALE_OF),
        help=note,
        required=True,
        **state.bound("colours"),
    )


def robust_or_raw(label: str = words.SCALE) -> None:
    """Whether colours end at the 99th percentile or at the largest value."""
    ends = {"robust": words.SCALE_ROBUST, "raw": words.SCALE_RAW}
    st.segmented_control(
        label, list(ends), format_func=named(ends), help=words.SCALE_HELP, required=True, **state.bound("scale")
    )


def queries_of(context: PageContext) -> list[str]:
    """The queries that are no patches: prefix tokens, the pooling query, the mean over patches, and the mixture that the output
    is computed from where it is none of those.
    """
    queries = [*context.layout.prefix, *([POOL] if context.trace.pooling else []), MEAN]
    output_query = str(default_query(context.trace))
    return queries if output_query in queries else [*queries, output_query]


def marked_patch(context: PageContext) -> Cell | None:
    """(row, col) of the query where it is a patch, else of the pinned patch; None where there is neither."""
    return context.layout.cell_named(context.query) or context.layout.cell_named(str(state.value_of("pin")))


def marked_or_middle(context: PageContext) -> Cell:
    """(row, col) of the marked patch, or of the one in the middle."""
    rows, cols = context.layout.grid
    return marked_patch(context) or (rows // 2, cols // 2)


def mark(context: PageContext, cell: Cell) -> None:
    """Marks a patch, for callbacks: it becomes the query where the query is a patch, and is pinned otherwise."""
    if context.layout.cell_named(context.query) is None:
        state.change(pin=cell_name(*cell))
    else:
        state.change(query=cell_name(*cell), pin="")
