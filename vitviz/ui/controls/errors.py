"""Errors on a page: one sentence and a next step each; the rest of the page is still drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from vitviz.capture.memory import out_of_memory
from vitviz.errors import Cancelled, HubError, VitvizError
from vitviz.ui import state
from vitviz.ui.compute import loading
from vitviz.ui.compute.consent import ConsentRequired
from vitviz.ui.compute.services import Stopped
from vitviz.ui.escape import escaped
from vitviz.ui.selection import Selection
from vitviz.ui.server import session
from vitviz.ui.server.watching import without_message
from vitviz.ui.text import common as words

_LOG = logging.getLogger(__name__)


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Shows an exception raised inside as a sentence on the page.

    Args:
        where: Distinguishes the buttons' keys; different on each page.
    """
    try:
        yield
    except Cancelled as stopped:
        key = stopped.key if isinstance(stopped, Stopped) else None
        st.info(words.CALLED_OFF)
        st.button(words.ASK_AGAIN, key=f"again {where}", on_click=state.ask_again, args=(key,))
    except ConsentRequired as question:
        question.ask(where)
    except HubError as error:
        _show_error(str(error), where)
        _offer_others(where)
    except VitvizError as error:
        _show_error(words.NO_MEMORY if out_of_memory(error) else str(error), where)
    except Exception as error:
        # The message may hold paths or pieces of a visitor's file: it goes neither to the page nor to the log.
        _LOG.error("unexpected, in %s, session %s: %s", where, session.current().label, without_message(error))
        _show_error(words.NO_MEMORY if out_of_memory(error) else words.UNEXPECTED, where)


def _show_error(sentence: str, where: str) -> None:
    st.error(escaped(sentence))
    if state.selection() != Selection():
        st.button(words.BACK_TO_START, key=f"back {where}", on_click=_back)


def _offer_others(where: str) -> None:
    """Buttons for what needs no hub: the same model with random weights, and models whose weights are on disk."""
    chosen = state.selection()
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen.weights == "trained":
            st.button(
                words.RANDOM_INSTEAD.format(model=escaped(chosen.model)),
                key=f"random {where}",
                on_click=_change,
                kwargs={"weights": "random"},
            )
        for name in loading.on_disk():
            if name != chosen.model:
                label = words.EMBEDDED_MODEL if name == "embedded" else escaped(name)
                change = {"model": name, "weights": "trained", "size": 0}
                st.button(label, key=f"{name} {where}", on_click=_change, kwargs=change)


def _change(**values: Any) -> None:
    state.change(**values)


def _back() -> None:
    plain = Selection()
    state.change(model=plain.model, weights=plain.weights, image=plain.image, size=plain.size, framing=plain.framing)
