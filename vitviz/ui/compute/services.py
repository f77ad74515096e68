"""The queues that the whole server shares, made once a process, and how a page waits for them: its place, progress, a button
to stop.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from vitviz.capture.cost import format_duration
from vitviz.errors import Cancelled
from vitviz.images.decoding import Decoders
from vitviz.models.limits import Limits
from vitviz.ui import state
from vitviz.ui.compute import ComputeQueue, Key, Results, Ticket
from vitviz.ui.compute.heavy import Pool
from vitviz.ui.compute.queue import HEAVY_OPERATIONS, Work
from vitviz.ui.escape import escaped
from vitviz.ui.server import session
from vitviz.ui.server.settings import settings
from vitviz.ui.text import common as words

# Traces and what is computed from them. A trace of the embedded model is 15 MB at 257 tokens and 80 MB at 1,370.
RESULT_BYTES, RESULT_ENTRIES = 1_500_000_000, 2_000
# What one session may hold of them with a picture of its own: beyond, its own results go first.
SESSION_BYTES = 500_000_000
# Loaded models, each at its own input size. The embedded one is 88 MB. Sessions that show a larger one
# hold it themselves.
MODEL_BYTES, MODEL_ENTRIES = 4_000_000_000, 6
# Copies of models at other input sizes, where one module does not take several. Stored apart, so that they replace one another
# and never a model.
COPY_BYTES, COPY_ENTRIES = 1_000_000_000, 6


@cache
def queue() -> ComputeQueue:
    """Every forward pass and every analysis goes through here."""
    chosen = settings()
    places = chosen.ray_workers if chosen.ray_address else 1
    return ComputeQueue(Results(RESULT_BYTES, RESULT_ENTRIES, max_share=SESSION_BYTES), places=places)


@cache
def pool() -> Pool | None:
    """Processes of a cluster for heavy work, where the operator names one. Raises VitvizError where it cannot be reached."""
    chosen = settings()
    return Pool(chosen.ray_address, chosen.ray_workers) if chosen.ray_address else None


@cache
def models() -> ComputeQueue:
    """The queue that loads models, and the models that fit in its store."""
    return ComputeQueue(Results(MODEL_BYTES, MODEL_ENTRIES, weakly=True))


@cache
def copies() -> ComputeQueue:
    """Models at another input size than their own, where that takes a copy of the module."""
    return ComputeQueue(Results(COPY_BYTES, COPY_ENTRIES, weakly=True))


def download_limits() -> Limits:
    """Limits of the downloads that visitors cause, and whether the operator's account is used."""
    chosen = settings()
    return Limits(chosen.max_download, chosen.max_models_disk, chosen.hub_token)


@cache
def decoders() -> Decoders:
    """The processes that decode uploads, which this one never does."""
    return Decoders()


session.on_end(lambda name: queue().forget(name))


# Most results are there within this time, and a progress bar that flashes is distracting.
QUIET_SECONDS = 0.4
STEP_SECONDS = 0.15


class Stopped(Cancelled):
    """The user stopped a computation.

    Args:
        key: The computation, so that it alone can be requested again.
    """

    def __init__(self, key: Key) -> None:
        super().__init__(words.CALLED_OFF)
        self.key = key


def answer(queue: ComputeQueue, key: Key, lane: str, work: Work, what: str, operations: float = 0.0) -> Any:
    """The result of `work`, from the store at once or after waiting in the queue, with its progress on the page.

    Args:
        what: Names the work to people: "Running the model".
        operations: That it takes, about, where they may be many (`consent.operations`).

    Raises:
        Stopped: Where the user stopped it. Whatever the work raises is raised here as well.
    """
    kept = queue.results.get(key)
    if kept is not None:
        return kept
    if state.called_off(key):
        raise Stopped(key)
    owner = session.current().name if operations > HEAVY_OPERATIONS else ""
    with queue.submit(key, lane, work, operations, owner) as ticket:
        try:
            if not ticket.wait(QUIET_SECONDS):
                _show_progress(queue, key, ticket, what)
            return ticket.result()
        except Cancelled:
            raise Stopped(key) from None
        except StopException:  # the connection was lost, and may be restored in a moment
            ticket.leave(session.grace_seconds(private=key.scope is not None))
            raise


def _show_progress(queue: ComputeQueue, key: Key, ticket: Ticket, what: str) -> None:
    place = st.empty()
    with place.container(
        key=f"waiting {key}"
    ):  # beside a figure it takes no place, so that nothing moves (shell/styles.py)
        # At every call into Streamlit a newer run may stop this one; the ticket is then left and joined again.
        what = escaped(what)  # a model's name is in it
        bar = st.progress(0.0, what)
        st.button(words.CANCEL, key=f"cancel {key}", on_click=_give_up, args=(queue, key, ticket))
        while not ticket.wait(STEP_SECONDS):
            bar.progress(ticket.fraction or 0.0, _note(ticket, what))
    place.empty()


def _note(ticket: Ticket, what: str) -> str:
    """The text above the bar: the place and about how long it will take, where that is known."""
    ahead, seconds = ticket.place, ticket.seconds
    if ahead:
        note = words.IN_TURN if seconds else words.IN_QUEUE
        return note.format(what=what, count=ahead, time=format_duration(seconds))
    return words.TIME_LEFT.format(what=what, time=format_duration(seconds)) if seconds >= 1 else what


def _give_up(queue: ComputeQueue, key: Key, ticket: Ticket) -> None:
    ticket.cancel()  # the run that shows the button may not have stopped yet, and would leave the work to linger
    queue.cancel(key)
    state.call_off(key)
