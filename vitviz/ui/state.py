"""The selection of this session: kept between runs, in step with the URL and with every widget that shows a part of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import streamlit as st

from vitviz.ui.knobs import KNOBS, knob_value, turned
from vitviz.ui.selection import Selection
from vitviz.ui.urls import from_parameters, to_parameters

_SELECTION, _WRITTEN, _LEFT, _CALLED_OFF = "selection", "parameters written", "parameters left", "called off"
# A browser sends the URL it has with everything it asks. What was clicked before our last URL arrived comes with the
# one before.
_LATE_SECONDS = 2.0
_FIELDS = {field.name for field in fields(Selection)} - {"knobs"}


def begin() -> tuple[str, ...]:
    """Call first in every run. Follows the URL where it was changed by hand, by a link or by the Back button.

    Returns the names of URL parameters that could not be followed.
    """
    given = st.query_params.to_dict()
    new = _SELECTION not in st.session_state
    # Streamlit empties the parameters when the page changes: an empty URL is no wish, except at the very beginning.
    if new or (given and given != st.session_state.get(_WRITTEN) and not _late(given)):
        st.session_state[_SELECTION], ignored = from_parameters(given)
        st.session_state[_WRITTEN] = given
        return ignored
    return ()


def finish() -> None:
    """Call last in every run: the URL says what is shown."""
    wanted = to_parameters(selection())
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
    before = st.session_state.get(_WRITTEN)
    if before is not None and before != wanted:
        st.session_state[_LEFT] = [*_left(), (before, time.monotonic())]
    st.session_state[_WRITTEN] = wanted


def _left() -> list[tuple[dict[str, str], float]]:
    """The URLs of this session that were current a moment ago, and when each was left."""
    now = time.monotonic()
    return [(url, when) for url, when in st.session_state.get(_LEFT, []) if now - when < _LATE_SECONDS]


def _late(given: dict[str, str]) -> bool:
    """Whether this URL is no wish but the echo of one that has just been left: hands can be quicker than the server."""
    return any(url == given for url, _ in _left())


def selection() -> Selection:
    return st.session_state[_SELECTION]


def change(**values: Any) -> None:
    """Sets fields and knobs of the selection; for callbacks, and before the widgets of a run are drawn."""
    chosen = selection()
    for name, value in values.items():
        if name in _FIELDS:
            chosen = replace(chosen, **{name: value})
        else:
            chosen = replace(chosen, knobs=turned(chosen, name, value))
    st.session_state[_SELECTION] = chosen
    st.session_state.pop(_CALLED_OFF, None)


def value_of(name: str) -> Any:
    """A field or a knob of the selection."""
    return getattr(selection(), name) if name in _FIELDS else knob_value(selection(), name)


def bound(
    name: str, shown: Any = None, read: Callable[[Any], Any] = lambda value: value, part: str = ""
) -> dict[str, Any]:
    """Arguments that tie a widget to a field or knob: `st.slider(words.ALPHA, 0.0, 1.0, **bound("alpha"))`.

    shown  what the widget shows, where that is not the value itself
    read   from what the widget holds to the value
    part   tells widgets apart that show parts of one value
    """
    if name not in _FIELDS and name not in KNOBS:
        raise KeyError(name)
    key = f"choice of {name} {part}".strip()
    st.session_state[key] = value_of(name) if shown is None else shown

    def taken() -> None:
        held = st.session_state[key]
        if held is not None:  # a segmented control can be emptied by a second click; the selection then stays
            change(**{name: read(held)})

    return {"key": key, "on_change": taken}


def bound_pair(low: str, high: str, shown: tuple[int, int], end: int) -> dict[str, Any]:
    """`bound` for a slider with two ends over two knobs; the upper knob at `end` goes back to its default."""
    key = f"choice of {low} and {high}"
    st.session_state[key] = shown

    def taken() -> None:
        first, last = st.session_state[key]
        change(**{low: first, high: KNOBS[high].default if last == end else last})

    return {"key": key, "on_change": taken}


def call_off(key: object) -> None:
    """Remembers that the user does not want this computed, until something else is chosen or it is asked for again."""
    st.session_state[_CALLED_OFF] = key


def called_off(key: object) -> bool:
    return st.session_state.get(_CALLED_OFF) == key


def ask_again() -> None:
    st.session_state.pop(_CALLED_OFF, None)
