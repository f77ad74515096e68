"""The question before a long run: its estimated cost in time and memory, and the visitor's consent to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st
import torch

from vitviz.capture.cost import (
    Estimate,
    estimate,
    format_duration,
    gigabytes,
    need_memory,
    need_memory_for_weights,
    pass_cost,
)
from vitviz.errors import UnsupportedError
from vitviz.models import Cnn, Model
from vitviz.models.limits import limited
from vitviz.models.load import download_bytes, is_missing, weight_bytes
from vitviz.models.model import pick_device
from vitviz.ui import state
from vitviz.ui.compute import Key, services
from vitviz.ui.compute.services import answer
from vitviz.ui.escape import escaped
from vitviz.ui.selection import Selection
from vitviz.ui.text import common as words

# A pass over fewer tokens than these is counted only where it takes more operations than these at least, about two seconds: so
# that a click does not wait for the counting.
WORTH_COUNTING, WORTH_COUNTING_OPERATIONS = 2_000, 1e11
# What needs no consent: seconds of the forward pass, bytes that the trace keeps, seconds of a page's own work, and
# bytes of a model's weights.
ASK_SECONDS, ASK_BYTES, ASK_WORK_SECONDS, ASK_WEIGHT_BYTES = 8.0, 500_000_000, 60.0, 1_000_000_000
_AGREED = "costs agreed to"
# The cost of work that is no forward pass, timed on one core and taken at `turns.OPERATIONS_PER_SECOND`: a cut of n patches
# takes n^3 + 3,000 n^2 (0.1, 1.4 and 3.9 s at 1,369, 3,136 and 5,184 patches); a random walk 2 to 20 microseconds a pixel and
# group, more on noise than on photographs.
_CUT_SQUARED, _WALK_PIXEL = 3_000.0, 2e5


class Operations(float):
    """Operations that work takes, about: for `PageContext.ask`, where it is not so many passes of the page's own model."""


class ConsentRequired(Exception):
    """Work needs the visitor's consent; `ask` shows the question.

    Args:
        key: The work that the visitor agrees to.
        question: The cost and the question, as Markdown.
        alternative: Label of a button that changes the selection instead; "" for none.
        **change: The change of the selection that this button makes.
    """

    def __init__(self, key: Key, question: str, alternative: str = "", **change: Any) -> None:
        super().__init__("a question about the cost of a run is open")
        self.key, self.question, self.alternative, self.change = key, question, alternative, change

    def ask(self, where: str) -> None:
        """Shows the question, with buttons to agree and for the alternative.

        Args:
            where: Distinguishes the buttons' keys; different on each page.
        """
        st.warning(self.question)
        with st.container(horizontal=True):
            st.button(words.GO_ON, key=f"go on {where}", type="primary", on_click=_agree, args=(self.key,))
            if self.alternative:
                st.button(self.alternative, key=f"own size {where}", on_click=state.change, kwargs=self.change)


def require_weights(key: Key, source: str, trained: bool) -> None:
    """Returns if the selected model's weights are small or this session has agreed to load them.

    Args:
        key: Names the model and, of a checkpoint, the version of its files.
        source: What `load_model` is given: the model's name, or the path of a checkpoint.
        trained: Whether it is loaded with weights that may have to be downloaded.

    Raises:
        ConsentRequired: Where it has to be asked first.
        UnsupportedError: Where there is not enough memory.
        HubError: Where the download is larger than the operator allows.
    """
    note = words.COUNTING_WEIGHTS.format(model=key.model)

    def count(_: object) -> int:
        with limited(services.download_limits()):
            return weight_bytes(source)

    nbytes: int = answer(services.queue(), key, f"load {key.model}", count, note)
    for device in {torch.device("cpu"), pick_device("auto")}:  # built on the processor, and moved from there
        need_memory_for_weights(key.model, nbytes, device)
    if nbytes > ASK_WEIGHT_BYTES and key not in _agreed():
        question = words.WEIGHTS_COST.format(
            model=escaped(key.model), memory=gigabytes(nbytes), parameters=f"{nbytes / 4e6:,.0f}"
        )
        raise _too_large(key, question)
    if trained:
        require_download(replace(key, what="download bytes"), source)


def require_download(key: Key, source: str) -> None:
    """Returns if no weights have to be downloaded, or few, or this session has agreed to it.

    Raises:
        ConsentRequired: Where it has to be asked first.
        UnsupportedError: Where there is not enough memory for them.
        HubError: Where the download is larger than the operator allows, or cannot be had.
    """

    def ask(_: object) -> int:
        with limited(services.download_limits()):
            return download_bytes(source)

    if not is_missing(source) or key in _agreed():
        return
    note = words.COUNTING_WEIGHTS.format(model=key.model)
    nbytes: int = answer(services.queue(), key, f"load {key.model}", ask, note)
    need_memory_for_weights(key.model, nbytes, torch.device("cpu"))
    if nbytes > ASK_WEIGHT_BYTES:
        raise _too_large(key, words.DOWNLOAD_COST.format(model=escaped(key.model), size=gigabytes(nbytes)))


def _too_large(key: Key, question: str) -> ConsentRequired:
    plain = Selection()
    return ConsentRequired(
        key, question, words.EMBEDDED_MODEL, model=plain.model, weights=plain.weights, size=plain.size
    )


def require(model: Model) -> None:
    """Returns if a pass of the model at its size is cheap or this session has agreed to its cost.

    Raises:
        ConsentRequired: Where it has to be asked first.
        UnsupportedError: Where it cannot be had at all.
    """
    if model.layout.num_tokens < WORTH_COUNTING and operations(model) < WORTH_COUNTING_OPERATIONS:
        return
    key = _cost_key(model)
    if key in _agreed():
        return
    found = _estimate(model, key)
    need_memory(found.cost, model.device)
    if found.cost.kept > services.RESULT_BYTES:
        raise UnsupportedError(
            words.TOO_LARGE_TO_KEEP.format(kept=gigabytes(found.cost.kept), limit=gigabytes(services.RESULT_BYTES))
        )
    if found.seconds > ASK_SECONDS or found.cost.kept > ASK_BYTES:
        height, width = model.input_size
        question = words.COST.format(
            model=escaped(model.name),
            height=height,
            width=width,
            tokens=f"{found.cost.tokens:,}",
            run=format_duration(found.seconds),
            rollout=format_duration(found.rollout_seconds),
            memory=gigabytes(found.cost.peak),
        )
        raise ConsentRequired(key, question, words.OWN_SIZE if state.selection().size else "", size=0)


def require_passes(model: Model | Cnn, passes: float, what: str) -> None:
    """Returns if a page's own work is short or this session has agreed to its cost.

    Args:
        model: The network that runs.
        passes: Estimated number of forward passes.
        what: Name of the work in the question, as Markdown.

    Raises:
        ConsentRequired: If the work is long and the visitor has not agreed yet.
    """
    if operations(model, passes) < 5 * WORTH_COUNTING_OPERATIONS:
        return
    key = replace(_cost_key(model), what="cost of passes", params=(("what", what),))
    if key in _agreed():
        return
    found = _estimate(model, _cost_key(model))
    if isinstance(model, Cnn):  # of a Vision Transformer `require` has asked
        need_memory(found.cost, model.device)
    seconds = passes * found.seconds
    if seconds > ASK_WORK_SECONDS:
        height, width = model.input_size
        question = words.WORK_COST.format(
            what=what,
            passes=f"{passes:,.0f}",
            model=escaped(model.name),
            height=height,
            width=width,
            run=format_duration(seconds),
        )
        if isinstance(model, Cnn):
            raise ConsentRequired(key, question, words.EMBEDDED_CNN if state.value_of("cnn") else "", cnn="")
        raise ConsentRequired(key, question, words.OWN_SIZE if state.selection().size else "", size=0)


def _cost_key(model: Model | Cnn) -> Key:
    """The key under which the cost of a pass is kept."""
    weights = model.weights_hash if isinstance(model, Cnn) else model.fingerprint
    return Key("cost", model.name, weights, size=model.input_size)


def cost_of(model: Model, passes: float) -> str:
    """The time that so many forward passes take on this server, rounded as an estimate: "2 min"."""
    return format_duration(passes * _estimate(model, _cost_key(model)).seconds)


def operations(model: Model | Cnn, passes: float = 1) -> Operations:
    """Operations of so many forward passes; a backward pass is counted as two.

    For a Vision Transformer a lower bound: in a plain one every parameter is used for every token once. A convolutional
        network is counted
    without numbers, once for each module.
    """
    if isinstance(model, Cnn):
        with model.lock:
            return Operations(passes * pass_cost(model.module, model.input_size).rest)
    return Operations(2.0 * passes * model.layout.num_tokens * model.parameters)


def operations_of_cuts(patches: int, count: int = 1) -> Operations:
    """Operations of so many normalised cuts (TokenCut one, MaskCut one for each object) of a graph of so many patches."""
    return Operations(count * (float(patches) ** 3 + _CUT_SQUARED * patches**2))


def operations_of_walk(pixels: int, groups: int = 2) -> Operations:
    """Operations of a random walk over so many pixels, to so many groups: the refinement of masks along edges."""
    return Operations(_WALK_PIXEL * pixels * groups)


def _estimate(model: Model | Cnn, key: Key) -> Estimate:
    def count(_: object) -> Estimate:
        with model.lock:
            return estimate(model.module, model.input_size)

    found: Estimate = answer(services.queue(), key, f"run {model.name}", count, words.COUNTING)
    return found


def _agreed() -> set[Key]:
    agreed: set[Key] = st.session_state.setdefault(_AGREED, set())
    return agreed


def _agree(key: Key) -> None:
    _agreed().add(key)
