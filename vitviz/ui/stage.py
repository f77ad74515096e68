"""What a page stands on: a model, a photograph, the trace they made, and a way to ask for more."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

import streamlit as st
from PIL import Image

from vitviz.analysis.queries import default_query, query_of
from vitviz.capture.trace import Trace
from vitviz.draw import DARK, LIGHT, Theme
from vitviz.errors import UnsupportedError
from vitviz.figures.subject import StagedSubject, Subject, subject_of
from vitviz.models import Model, prepare
from vitviz.tokens import TokenLayout
from vitviz.ui import consent, services, session
from vitviz.ui.compute import Key, Progress
from vitviz.ui.photo import Photo
from vitviz.ui.selection import Selection
from vitviz.ui.text import common as words
from vitviz.ui.waiting import answer

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Look:
    """One photograph through one model, as it is kept between runs."""

    sight: Subject | StagedSubject

    @property
    def nbytes(self) -> int:
        """Without the model, which is kept elsewhere."""
        return self.sight.trace.nbytes + self.shown.width * self.shown.height * 3

    @property
    def shown(self) -> Image.Image:
        """The very pixels that the model got."""
        return self.sight.prepared.shown


@dataclass(frozen=True)
class Stage:
    """What a page is given."""

    selection: Selection
    photo: Photo
    look: Look
    key: Key
    theme: Theme

    @property
    def sight(self) -> Subject | StagedSubject:
        """The photograph as the model met it, whatever the model's layers are like."""
        return self.look.sight

    @property
    def one_grid(self) -> bool:
        """Whether every layer attends over the grid at the model's entrance; without it there is no `subject`."""
        return isinstance(self.look.sight, Subject)

    @property
    def subject(self) -> Subject:
        """Raises UnsupportedError for a model of several grids."""
        if not isinstance(self.look.sight, Subject):
            raise UnsupportedError(words.NOT_ONE_GRID.format(model=self.model.name))
        return self.look.sight

    @property
    def staged(self) -> StagedSubject:
        """The same layer by layer, which every model can be looked at."""
        sight = self.look.sight
        return sight if isinstance(sight, StagedSubject) else StagedSubject.of(sight)

    @property
    def model(self) -> Model:
        return self.look.sight.model

    @property
    def trace(self) -> Trace:
        """Raises UnsupportedError as `subject`."""
        return self.subject.trace

    @property
    def layout(self) -> TokenLayout:
        return self.look.sight.layout

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

    def ask(self, what: str, work: Callable[[Progress], T], note: str = words.COMPUTING, /, **knobs: Hashable) -> T:
        """The answer to `what` about this model and photograph, computed once for everybody who may see it.

        knobs  everything the answer depends on beyond model, photograph and size
        """
        result: T = answer(services.queue(), self.key.asking(what, **knobs), self._lane, work, note)
        return result

    def fetch(self, what: str, work: Callable[[Progress], T], /, **knobs: Hashable) -> T:
        """The same outside a page's run, where nothing can be shown: for a download that somebody has just asked for."""
        with services.queue().submit(self.key.asking(what, **knobs), self._lane, work) as ticket:
            result: T = ticket.result()
            return result

    @property
    def _lane(self) -> str:
        return f"analyse {self.key.model}"

    def offer(self, what: str, build: Callable[[], bytes], /, **knobs: Hashable) -> str:
        """An address at which this session's browser finds `build()`'s bytes."""
        return session.current().offer(self.key.asking(what, **knobs), build)


def open_stage(selection: Selection, model: Model, photo: Photo) -> tuple[Stage, tuple[str, ...]]:
    """Runs the model on the photograph, unless that was done; and which parts of the selection this model does not have.

    Raises VitvizError where it cannot be done, `consent.Unanswered` where it would take long and nobody has agreed to that.
    """
    key = Key(
        "look", model.name, model.weights_hash, photo.hash, model.input_size, selection.framing, scope=photo.scope
    )

    def run(progress: Progress) -> Look:
        prepared = prepare(model, photo.image, framing=selection.framing)
        progress.check()
        return Look(subject_of(prepared, photo.hash, photo.name, lambda heard, layers: progress.report(heard / layers)))

    if key not in services.queue().results:
        consent.require(model)
    what = words.RUNNING_MODEL.format(model=model.name)
    look: Look = answer(services.queue(), key, f"run {model.name}", run, what)
    trace = look.sight.trace
    every = (*trace.layers, *trace.pooling)
    chosen = every[min(selection.layer_of(len(trace.layers)), len(every) - 1)] if every else None
    learned = ("pool",) * bool(trace.pooling) + (chosen.query_layout.prefix if chosen else ())
    fitted, lost = selection.within(len(every), chosen.num_heads if chosen else 0, look.sight.layout, learned)
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    return Stage(fitted, photo, look, replace(key, what=""), theme), lost
