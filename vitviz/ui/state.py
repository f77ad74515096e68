"""The selection of this session: kept between runs, in step with the URL and with every widget that shows a part of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, replace
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vitviz.ui.params import PARAMS, param_value, with_param
from vitviz.ui.selection import Selection
from vitviz.ui.urls import from_parameters, to_parameters

_SELECTION, _CALLED_OFF, _REPORTS = "selection", "called off", "ways to take reports"
_FIELDS = {field.name for field in fields(Selection)} - {"params"}


def begin() -> tuple[str, ...]:
    """Call first in every run. Reads the selection from the URL when a session opens and after the Back and Forward buttons.

    In every other run the URL is the one that the browser showed at its request, and the session's selection may be newer.

    Returns the names of URL parameters that could not be read.
    """
    if _SELECTION in st.session_state and not _walked():
        return ()
    st.session_state[_SELECTION], ignored = from_parameters(st.query_params.to_dict())
    ask_again()
    return ignored


def finish() -> None:
    """Call last in every run: the URL says what is shown."""
    wanted = to_parameters(selection())
    # A run that was stopped by the Back button may have sent its own URL after the browser had left it.
    if _walked() or st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def _walked() -> bool:
    """Whether the Back or Forward button asked for this run. Streamlit keeps this in a private field."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


def selection() -> Selection:
    return st.session_state[_SELECTION]


def change(**values: Any) -> None:
    """Sets fields and parameters of the selection; for callbacks, and before the widgets of a run are drawn."""
    take_reports()
    chosen = selection()
    for name, value in values.items():
        if name in _FIELDS:
            chosen = replace(chosen, **{name: value})
        else:
            chosen = replace(chosen, params=with_param(chosen, name, value))
    st.session_state[_SELECTION] = chosen
    ask_again()


def on_report(key: str, take: Callable[[], None]) -> None:
    """`take` applies what the component `key` reported, if it has not been applied; it does so once for each report."""
    st.session_state.setdefault(_REPORTS, {})[key] = take


def take_reports() -> None:
    """Applies what components reported and no run has received. For callbacks, before they read what they change.

    Streamlit calls the callbacks of a run's buttons before those of its components, whichever came first. A stroke that
    ended before a button was pressed would otherwise overwrite what the button did.
    """
    for take in [*st.session_state.get(_REPORTS, {}).values()]:
        take()


def value_of(name: str) -> Any:
    """A field or a parameter of the selection."""
    return getattr(selection(), name) if name in _FIELDS else param_value(selection(), name)


def bound(
    name: str, shown: Any = None, read: Callable[[Any], Any] = lambda value: value, part: str = ""
) -> dict[str, Any]:
    """Arguments that tie a widget to a field or parameter: `st.slider(words.ALPHA, 0.0, 1.0, **bound("alpha"))`.

    Args:
        shown: What the widget shows, where that is not the value itself.
        read: From what the widget holds to the value.
        part: Distinguishes widgets that show parts of one value.
    """
    if name not in _FIELDS and name not in PARAMS:
        raise KeyError(name)
    key = f"choice of {name} {part}".strip()
    st.session_state[key] = value_of(name) if shown is None else shown

    def taken() -> None:
        held = st.session_state[key]
        if held is not None:  # a segmented control can be emptied by a second click; the selection then stays
            change(**{name: read(held)})

    return {"key": key, "on_change": taken}


def bound_pair(low: str, high: str, shown: tuple[int, int], end: int) -> dict[str, Any]:
    """`bound` for a slider with two ends over two parameters; the upper one at `end` goes back to its default."""
    key = f"choice of {low} and {high}"
    st.session_state[key] = shown

    def taken() -> None:
        first, last = st.session_state[key]
        change(**{low: first, high: PARAMS[high].default if last == end else last})

    return {"key": key, "on_change": taken}


def call_off(key: Hashable) -> None:
    """Remembers that the user stopped this computation, until the selection changes or the user starts it again."""
    st.session_state[_CALLED_OFF] = _called_off() | {key}


def called_off(key: Hashable) -> bool:
    return key in _called_off()


def ask_again(key: Hashable = None) -> None:
    """Forgets that the computation of this key was stopped; without a key, all that were."""
    st.session_state[_CALLED_OFF] = _called_off() - {key} if key is not None else frozenset()


def _called_off() -> frozenset[Hashable]:
    stopped: frozenset[Hashable] = st.session_state.get(_CALLED_OFF, frozenset())
    return stopped
