"""Components in a page: how one is registered, fed with addresses, and how its reports are received.

A choice in the browser arrives as a numbered report. Everything that is sent there says which number had been received by
then, from any component of the page, so that the browser can distinguish an answer to its last choice from a late one to
an earlier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from vitviz import frontend
from vitviz.ui import state
from vitviz.ui.server.route import base_path, frontend_address

Component = Callable[..., Any]

# The box and what is mounted share one cell, which is as large as the larger of them.
_SLOT = """<style>.st-key-{name} {{ display: grid; grid-template-columns: minmax(0, 1fr); }}
.st-key-{name} > * {{ grid-area: 1 / 1; }} .st-key-{name}::before {{ content: ""; grid-area: 1 / 1; {slot} }}</style>"""
_NO_NAME = re.compile("[^a-zA-Z0-9_-]")  # as Streamlit makes a class of a key
_RECEIVED = "number of the last report received, by component"
_LARGEST = 2**53  # of the whole numbers that a browser represents exactly


def registered(name: str, style: str, words: Mapping[str, str]) -> Component:
    """The component of the view `name`, with its sentences. To be called once for a server."""
    given = {
        "folder": frontend_address(base_path()),
        "modules": [*frontend.modules()],
        "view": name,
        "words": dict(words),
    }
    loader = (frontend.FOLDER / "hosts" / "streamlit_loader.js").read_text(encoding="utf-8")
    script = f"const given = {json.dumps(given, sort_keys=True)};\n{loader}"
    css = "".join((frontend.STYLES / part).read_text(encoding="utf-8") for part in ("shared.css", style))
    return st.components.v2.component(f"vitviz.{name}", js=script, css=css)


def mount(
    component: Component,
    key: str,
    data: Mapping[str, Any],
    taken: Callable[[Any], None],
    acted: Callable[[Any], None] = lambda _: None,
    *,
    slot: str = "",
) -> None:
    """Shows `component`.

    Args:
        slot: CSS declarations of a box as large as the view will be, so that nothing moves when the browser has its scripts.
        data: What is sent to the browser; small: arrays are fetched from addresses in it.
        taken: Called with a report, which may be anything, before the page runs again.
        acted: Called with an action that happens once (open a page, take a photograph), in the same way.
    """

    def reported() -> None:
        number, value = _report(key)
        if number > _received(key):
            _acknowledge(key, number)
            taken(value)

    def act() -> None:
        held = st.session_state.get(key)
        acted(held.get("act") if isinstance(held, Mapping) else None)

    # After a reconnection the browser sends its last report once more, and no callback is called: it is an old one.
    _acknowledge(key, _report(key)[0])
    state.on_report(key, reported)
    if slot:
        reserve(key, slot)
    component(
        key=key,
        data={"key": key, "received": max(st.session_state[_RECEIVED].values()), **data},
        on_report_change=reported,
        on_act_change=act,
        on_stale_change=lambda: None,  # the run that follows offers every payload again
    )


def reserve(key: str, slot: str) -> None:
    """Reserves space for the element or container with this key until the browser can draw it.

    Args:
        slot: CSS declarations of it.
    """
    st.html(_SLOT.format(name=_NO_NAME.sub("-", key.strip()), slot=slot))


def _received(key: str) -> int:
    return st.session_state.get(_RECEIVED, {}).get(key, 0)


def _acknowledge(key: str, number: int) -> None:
    st.session_state.setdefault(_RECEIVED, {})[key] = max(number, _received(key))


def _report(key: str) -> tuple[int, Any]:
    """The last report of a component, (0, None) where there is none or it is invalid."""
    held = st.session_state.get(key)
    report = held.get("report") if isinstance(held, Mapping) else None
    if not isinstance(report, Mapping):
        return 0, None
    number = report.get("number")
    return (number, report.get("value")) if type(number) is int and 0 < number < _LARGEST else (0, None)
