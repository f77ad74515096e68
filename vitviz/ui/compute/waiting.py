"""Waiting for the compute queue on a page: place in the queue, progress, and a button to stop."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from vitviz.errors import Cancelled
from vitviz.ui import state
from vitviz.ui.compute import ComputeQueue, Key, Ticket
from vitviz.ui.compute.queue import Work
from vitviz.ui.escape import escaped
from vitviz.ui.server import session
from vitviz.ui.text import common as words

# Most answers are there within this time; a progress bar that flashes would only disturb.
QUIET_SECONDS = 0.4
STEP_SECONDS = 0.15


class Stopped(Cancelled):
    """The user stopped a computation. key: which, so that it alone can be asked for again."""

    def __init__(self, key: Key) -> None:
        super().__init__(words.CALLED_OFF)
        self.key = key


def answer(queue: ComputeQueue, key: Key, lane: str, work: Work, what: str) -> Any:
    """The result of `work`, from the store at once or after waiting in the queue, with its progress on the page.

    Args:
        what: names the work to people: "Running the model".

    Raises:
        Stopped: where the user stopped it. Whatever the work raises is raised here as well.
    """
    kept = queue.results.get(key)
    if kept is not None:
        return kept
    if state.called_off(key):
        raise Stopped(key)
    with queue.submit(key, lane, work) as ticket:
        try:
            if not ticket.wait(QUIET_SECONDS):
                _show_progress(queue, key, ticket, what)
            return ticket.result()
        except Cancelled:
            raise Stopped(key) from None
        except StopException:  # the connection was lost, and may be back in a moment
            ticket.leave(session.patience(private=key.scope is not None))
            raise


def _show_progress(queue: ComputeQueue, key: Key, ticket: Ticket, what: str) -> None:
    place = st.empty()
    with place.container():
        # Every call into Streamlit is a moment at which a newer run may take over; the ticket is then left and joined
        # again.
        what = escaped(what)  # a model's name is in it
        bar = st.progress(0.0, what)
        st.button(words.CANCEL, key=f"cancel {key}", on_click=_give_up, args=(queue, key, ticket))
        while not ticket.wait(STEP_SECONDS):
            ahead = ticket.place
            note = words.IN_QUEUE.format(what=what, count=ahead) if ahead else what
            bar.progress(ticket.fraction or 0.0, note)
    place.empty()


def _give_up(queue: ComputeQueue, key: Key, ticket: Ticket) -> None:
    ticket.cancel()  # the run that shows the button may not have stopped yet, and would leave the work to linger
    queue.cancel(key)
    state.call_off(key)
