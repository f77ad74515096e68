"""What a page stands on: a model, a photograph, the trace they made, and a way to ask for more."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

import streamlit as st
from PIL import Image

from vitviz.analysis.queries import default_query, query_of
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace
from vitviz.draw import DARK, LIGHT, Theme
from vitviz.errors import UnsupportedError
from vitviz.figures.subject import Subject, subject_of
from vitviz.models import Model, Prepared, prepare
from vitviz.tokens import TokenLayout
from vitviz.ui.compute import JobProgress, Key, consent, loading, services
from vitviz.ui.compute.loading import InputImage
from vitviz.ui.compute.waiting import answer
from vitviz.ui.selection import Selection
from vitviz.ui.server import session
from vitviz.ui.text import common as words

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class CachedTrace:
    """One photograph through one model, as it is kept between runs: without the model, which its own store keeps, or lets go.

    prepared  the photograph as the model met it, with None in the model's place
    trace     what the pass left behind
    """

    prepared: Prepared
    trace: Trace
    image_hash: str
    image_name: str

    @classmethod
    def of(cls, traced: Subject) -> CachedTrace:
        return cls(replace(traced.prepared, model=None), traced.trace, traced.image_hash, traced.image_name)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the model's input in pixels: where the whole photograph was fitted, not the model's own."""
        width, height = self.prepared.shown.size
        return height, width

    def through(self, model: Model) -> Subject:
        """The same with the model, at `input_size`."""
        prepared = replace(self.prepared, model=model)
        return Subject(model, prepared, self.trace, self.image_hash, self.image_name)


@dataclass(frozen=True)
class PageContext:
    """What a page is given. traced: the photograph as the model met it, whatever the model's layers are like."""

    selection: Selection
    image: InputImage
    traced: Subject
    key: Key
    theme: Theme

    @property
    def shown(self) -> Image.Image:
        """The very pixels that the model got."""
        return self.traced.prepared.shown

    @property
    def one_grid(self) -> bool:
        """Whether every layer attends over the grid at the model's entrance; without it there is no `subject`."""
        return not self.traced.trace.separate

    @property
    def subject(self) -> Subject:
        """Raises UnsupportedError for a model of several grids."""
        if not self.one_grid:
            raise UnsupportedError(words.NOT_ONE_GRID.format(model=self.model.name))
        return self.traced

    @property
    def model(self) -> Model:
        return self.traced.model

    @property
    def trace(self) -> Trace:
        """Raises UnsupportedError as `subject`."""
        return self.subject.trace

    @property
    def layers(self) -> tuple[Attention, ...]:
        """The layers over the one grid of patches. Raises UnsupportedError as `subject`."""
        return self.trace.sequence("This page")

    @property
    def layout(self) -> TokenLayout:
        return self.traced.layout

    @property
    def query(self) -> str:
        """Text form of the query: what was chosen, else what the model's output is computed from."""
        try:
            return str(query_of(self.trace, self.selection.query or None))
        except UnsupportedError:  # a learned query of one layer, which this trace knows as the pooling query
            return str(default_query(self.trace))

    @property
    def head(self) -> int | None:
        """The chosen head where `layer` has it, None for the mean of all heads."""
        head = self.selection.head
        return head if head is not None and head < self.trace.layers[self.layer].num_heads else None

    @property
    def layer(self) -> int:
        """Among the layers over the token grid; the last of them where one that only collects was chosen."""
        return min(self.selection.layer_of(self.trace.num_layers), self.trace.num_layers - 1)

    def ask(self, what: str, work: Callable[[JobProgress], T], note: str = words.COMPUTING, /, **params: Hashable) -> T:
        """The answer to `what` about this model and photograph, computed once for everybody who may see it.

        params  everything the answer depends on beyond model, photograph and size
        """
        result: T = answer(services.queue(), self.key.derive(what, **params), self._lane, work, note)
        return result

    def fetch(self, what: str, work: Callable[[JobProgress], T], /, **params: Hashable) -> T:
        """The same outside a page's run, where nothing can be shown: for a download that somebody has just asked for."""
        with services.queue().submit(self.key.derive(what, **params), self._lane, work) as ticket:
            result: T = ticket.result()
            return result

    @property
    def _lane(self) -> str:
        return f"analyse {self.key.model}"

    def offer(self, what: str, build: Callable[[], bytes], /, **params: Hashable) -> str:
        """An address at which this session's browser finds `build()`'s bytes."""
        return session.current().offer(self.key.derive(what, **params), build)


def open_context(selection: Selection, model: Model, image: InputImage) -> tuple[PageContext, tuple[str, ...]]:
    """Runs the model on the photograph, unless that was done; and which parts of the selection this model does not have.

    Raises VitvizError where it cannot be done, `ConsentRequired` where it would take long and nobody agreed.
    """
    key = Key("look", model.name, model.fingerprint, image.hash, model.input_size, selection.framing, scope=image.scope)

    def run(progress: JobProgress) -> CachedTrace:
        prepared = prepare(model, image.image, framing=selection.framing)
        progress.check()
        return CachedTrace.of(subject_of(prepared, image.hash, image.name, progress))

    if key not in services.queue().results:
        consent.require(model)
    what = words.RUNNING_MODEL.format(model=model.name)
    cached: CachedTrace = answer(services.queue(), key, f"run {model.name}", run, what)
    trace, traced = cached.trace, cached.through(loading.at_size(model, cached.input_size))
    every = (*trace.layers, *trace.pooling)
    chosen = every[min(selection.layer_of(len(trace.layers)), len(every) - 1)] if every else None
    learned = ("pool",) * bool(trace.pooling) + (chosen.query_layout.prefix if chosen else ())
    fitted, lost = selection.within(len(every), chosen.num_heads if chosen else 0, traced.layout, learned)
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    return PageContext(fitted, image, traced, replace(key, what=""), theme), lost
