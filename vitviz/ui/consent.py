"""Before a run that takes long: what it would cost, and whether to go on."""

from __future__ import annotations

import streamlit as st

from vitviz.capture.cost import Estimate, estimate, gigabytes, need_room, roughly
from vitviz.errors import UnsupportedError
from vitviz.models import Model
from vitviz.ui import services, state
from vitviz.ui.compute import Key
from vitviz.ui.escape import escaped
from vitviz.ui.text import cost as words
from vitviz.ui.waiting import answer

# Fewer tokens than these are never asked about, so that a click does not pay for the counting.
WORTH_COUNTING = 2000
# What may pass without a question: seconds of the forward pass, and bytes that the trace keeps.
ASK_SECONDS, ASK_BYTES = 8.0, 500_000_000
_AGREED = "costs agreed to"


class Unanswered(Exception):
    """The page has to ask before it can go on; `ask` puts the question."""

    def __init__(self, model: Model, key: Key, found: Estimate) -> None:
        super().__init__("a question about the cost of a run is open")
        self.model, self.key, self.found = model, key, found

    def ask(self, where: str) -> None:
        """What the run would cost, and two ways on. where: a name for the buttons, different on each page."""
        height, width = self.model.input_size
        st.warning(
            words.COST.format(
                model=escaped(self.model.name),
                height=height,
                width=width,
                tokens=f"{self.found.work.tokens:,}",
                run=roughly(self.found.seconds),
                sweep=roughly(self.found.sweep_seconds),
                memory=gigabytes(self.found.work.peak),
            )
        )
        with st.container(horizontal=True):
            st.button(words.GO_ON, key=f"go on {where}", type="primary", on_click=_agree, args=(self.key,))
            if state.selection().size:
                st.button(words.OWN_SIZE, key=f"own size {where}", on_click=state.change, kwargs={"size": 0})


def require(model: Model) -> None:
    """Goes on where a pass of the model at its size is cheap, or this session has agreed to its cost.

    Raises Unanswered where it has to be asked first, UnsupportedError where it cannot be had at all.
    """
    if model.layout.num_tokens < WORTH_COUNTING:
        return
    key = Key("cost", model.name, model.weights_hash, size=model.input_size)
    if key in _agreed():
        return

    def count(_: object) -> Estimate:
        with model.lock:
            return estimate(model.module, model.input_size)

    found: Estimate = answer(services.queue(), key, f"run {model.name}", count, words.COUNTING)
    need_room(found.work, model.device)
    if found.work.kept > services.RESULT_BYTES:
        raise UnsupportedError(
            words.TOO_LARGE_TO_KEEP.format(kept=gigabytes(found.work.kept), room=gigabytes(services.RESULT_BYTES))
        )
    if found.seconds > ASK_SECONDS or found.work.kept > ASK_BYTES:
        raise Unanswered(model, key, found)


def _agreed() -> set[Key]:
    agreed: set[Key] = st.session_state.setdefault(_AGREED, set())
    return agreed


def _agree(key: Key) -> None:
    _agreed().add(key)
