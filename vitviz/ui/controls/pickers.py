"""Choices that several pages offer: values by their names, where colours end, the queries, and the marked patch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from vitviz.analysis.queries import MEAN, POOL, default_query
from vitviz.analysis.queries import moved as moved
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.text import common as words

Cell = tuple[int, int]


def named(readings: Mapping[Any, str]) -> Callable[[Any], str]:
    """A widget's `format_func`: the words for a value, or the value itself where there are none."""
    return lambda value: readings.get(value, str(value))


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
    reads = str(default_query(context.trace))
    return queries if reads in queries else [*queries, reads]


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
