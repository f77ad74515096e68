"""What a page is given: the selection, a model, an image, the trace of the image in the model, and a way to ask for more."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

import streamlit as st
from PIL import Image

from vitviz.analysis.queries import default_query, query_of
from vitviz.capture.attention import Attention
from vitviz.capture.blocks import HiddenStates
from vitviz.capture.trace import Trace
from vitviz.draw import DARK, LIGHT, Theme
from vitviz.errors import UnsupportedError
from vitviz.figures.traced_image import TracedImage, traced_with_hidden_states
from vitviz.models import Model, Prepared, prepare
from vitviz.outputs import has_classifier
from vitviz.tokens import TokenLayout
from vitviz.ui.compute import JobProgress, Key, consent, loading, services
from vitviz.ui.compute.images import InputImage, sample_image
from vitviz.ui.compute.queue import HEAVY_OPERATIONS
from vitviz.ui.compute.services import answer
from vitviz.ui.params import param_value
from vitviz.ui.selection import Selection
from vitviz.ui.server import session
from vitviz.ui.server.route import is_narrow
from vitviz.ui.text import common as words

T = TypeVar("T")
ANY_IMAGE = "photo.jpg"  # the image's name in the Python code of figures that hold for every image
# Bytes up to which the states between a model's blocks are kept with a trace, and its values: nearly every page needs them,
# and each would take another pass.
KEPT_STATES = 16_000_000


@dataclass(frozen=True, eq=False)
class CachedTrace:
    """A trace as the queue keeps it between runs: without the model, so that a model that left its store is freed.

    Attributes:
        prepared: The model's input, with None in the model's place.
        trace: Of the forward pass.
        image_hash: Hash of its pixels.
        image_name: The image's name in the Python code of figures.
        image_note: What was done to the image before it was sent.
        hidden_states: The states between the blocks in the same pass, where they are few.
    """

    prepared: Prepared
    trace: Trace
    image_hash: str
    image_name: str
    image_note: str = ""
    hidden_states: HiddenStates | None = None

    @classmethod
    def of(cls, traced: TracedImage, hidden_states: HiddenStates | None = None) -> CachedTrace:
        """The same without its model."""
        prepared = replace(traced.prepared, model=None)
        return cls(prepared, traced.trace, traced.image_hash, traced.image_name, traced.image_note, hidden_states)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the model's input in pixels; not the model's own where the whole image was fitted."""
        width, height = self.prepared.shown.size
        return height, width

    def with_model(self, model: Model) -> TracedImage:
        """The same with its model, which has to be at `input_size`."""
        prepared = replace(self.prepared, model=model)
        return TracedImage(model, prepared, self.trace, self.image_hash, self.image_name, self.image_note)


@dataclass(frozen=True)
class PageContext:
    """What a page is given.

    Attributes:
        selection: The view, fitted to what the model has.
        image: As it was loaded, before it was brought to the model's size.
        traced: Model, input and trace, of a model of any shape.
        key: Names model, weights, image, size and framing; results of this context are kept under keys derived from it.
        theme: Colours of figures, as the browser shows the page.
        phone: Whether the browser's window was as narrow as a phone when the session began: every picture is as wide as half
            a page elsewhere.
        hidden_states: The states between the blocks in the traced pass; None where they were not kept.
    """

    selection: Selection
    image: InputImage
    traced: TracedImage
    key: Key
    theme: Theme
    phone: bool = False
    hidden_states: HiddenStates | None = None

    @property
    def shown(self) -> Image.Image:
        """The pixels that went into the model, before normalisation."""
        return self.traced.prepared.shown

    @property
    def one_grid(self) -> bool:
        """Whether the layers are a sequence over one grid of patches; otherwise `subject`, `trace` and `layers` raise."""
        return not self.traced.trace.not_sequential

    @property
    def subject(self) -> TracedImage:
        """What figures over one grid are about.

        Raises:
            UnsupportedError: For a model of several grids.
        """
        if not self.one_grid:
            raise UnsupportedError(words.NOT_ONE_GRID.format(model=self.model.name))
        return self.traced

    @property
    def model(self) -> Model:
        return self.traced.model

    @property
    def trace(self) -> Trace:
        """The trace of a model of one grid; raises as `subject`."""
        return self.subject.trace

    @property
    def layers(self) -> tuple[Attention, ...]:
        """The layers over the one grid of patches; raises as `subject`."""
        return self.trace.sequence("This page")

    @property
    def layout(self) -> TokenLayout:
        return self.traced.layout

    @property
    def query(self) -> str:
        """Text form of the query: the one chosen, else what the model's output is computed from."""
        try:
            return str(query_of(self.trace, self.selection.query or None))
        except UnsupportedError:  # a learned query of one layer, which this trace knows as the pooling query
            return str(default_query(self.trace))

    @property
    def head(self) -> int | None:
        """The chosen head where `layer` has it; None for the mean of heads."""
        return self.selection.head_of(self.trace.layers[self.layer].num_heads)

    @property
    def layer(self) -> int:
        """The chosen layer among those over the grid; the last of them where one that only collects was chosen."""
        return min(self.selection.layer_of(self.trace.num_layers), self.trace.num_layers - 1)

    @property
    def robust(self) -> bool:
        """Whether colours end at the 99th percentile, in place of the largest value."""
        return self.selection.scale == "robust"

    @property
    def shared(self) -> bool:
        """Whether the maps beside each other have one scale, in place of each its own."""
        return param_value(self.selection, "colours") == "shared"

    @property
    def answer_hidden(self) -> bool:
        """Whether the prediction is hidden until the visitor asks for it: of a trained model with a classifier."""
        hidden = param_value(self.selection, "answer") == "hidden"
        return hidden and has_classifier(self.model) and self.model.weights != "random"

    def ask(
        self,
        what: str,
        work: Callable[[JobProgress], T],
        note: str = words.COMPUTING,
        passes: float = 0,
        /,
        **params: Hashable,
    ) -> T:
        """A result about this model and image, computed once for all sessions that may see it.

        Args:
            what: Names the result: "rollout".
            work: Computes it, in a thread of the queue; called with its progress.
            note: Names the work to the user while it runs.
            passes: Forward passes of the context's model that it takes, about, or the `consent.Operations` of other work. Work
                of many waits for its turn, and should run on `runs_on(passes)`, or on the `beside` of another network.
            **params: Everything that the result depends on beyond model, image, size and framing.

        Raises:
            Stopped: Where the user stopped the computation. Whatever `work` raises is raised here as well.
        """
        operations = self._operations(passes)
        result: T = answer(services.queue(), self.key.derive(what, **params), self._lane, work, note, operations)
        return result

    @property
    def of_model(self) -> PageContext:
        """The context of results that depend on the model alone: `ask` computes them once for all images and sessions.

        Its figures name no image.
        """
        key = replace(self.key, image="", framing="", size=self.model.input_size, scope=None)
        return replace(self, key=key, traced=replace(self.traced, image_hash="", image_name=ANY_IMAGE, image_note=""))

    def runs_on(self, passes: float) -> Model:
        """The model that work of so many passes has to run on: itself, or `Model.background_copy` for heavy work, so that light
        work on the model does not wait for it.
        """
        return self.model.background_copy if self._operations(passes) > HEAVY_OPERATIONS else self.model

    def _operations(self, passes: float) -> float:
        if isinstance(passes, consent.Operations) or not passes:
            return passes
        return consent.operations(self.model, passes)

    def fetch(self, what: str, work: Callable[[JobProgress], T], /, **params: Hashable) -> T:
        """The same for a download, which is computed outside a page's run, where no progress can be shown."""
        with services.queue().submit(self.key.derive(what, **params), self._lane, work) as ticket:
            result: T = ticket.result()
            return result

    @property
    def _lane(self) -> str:
        return f"analyse {self.key.model}"

    def offer(self, what: str, build: Callable[[], bytes], /, **params: Hashable) -> str:
        """The address at which this session's browser can fetch `build()`'s bytes; arguments as in `ask`."""
        return session.current().offer(self.key.derive(what, **params), build, common=self.key.scope is None)

    def offer_later(self, what: str, build: Callable[[], bytes | None], /, **params: Hashable) -> str:
        """`offer` of what is made when it is fetched, so that a run does not wait for it; `build` may hold nothing large."""
        return session.current().offer(self.key.derive(what, **params), build, when_fetched=True)


def _tracing(
    selection: Selection, model: Model, image: InputImage
) -> tuple[Key, str, Callable[[JobProgress], CachedTrace], float]:
    """Key, lane, work and operations of the trace of an image."""
    key = Key(
        "trace", model.name, model.fingerprint, image.hash, model.input_size, selection.framing, scope=image.scope
    )
    operations = consent.operations(model)

    def run(progress: JobProgress) -> CachedTrace:
        runs = model.background_copy if operations > HEAVY_OPERATIONS else model
        prepared = prepare(runs, image.image, framing=selection.framing)
        progress.check()
        traced, hidden_states = traced_with_hidden_states(prepared, image.hash, image.name, KEPT_STATES, progress)
        return CachedTrace.of(replace(traced, image_note=image.note), hidden_states)

    return key, f"run {model.name}", run, operations


def prepared_context(model: Model) -> PageContext:
    """The context of the first view, before a session has opened it; for `PageContext.fetch` alone."""
    selection, image = Selection(), sample_image("")
    key, lane, run, operations = _tracing(selection, model, image)
    with services.queue().submit(key, lane, run, operations) as ticket:
        cached: CachedTrace = ticket.result()
    return PageContext(
        selection, image, cached.with_model(model), replace(key, what=""), LIGHT, hidden_states=cached.hidden_states
    )


def open_context(selection: Selection, model: Model, image: InputImage) -> tuple[PageContext, tuple[str, ...]]:
    """The context of a selection: runs the model on the image, unless the result is known.

    Args:
        selection: May ask for layers, heads and tokens that the model does not have.
        model: At the size selected.
        image: The one selected.

    Returns:
        The context, and the names of those fields of the selection that the model does not have, which are at their defaults
        in the context.

    Raises:
        VitvizError: Where it cannot be done.
        ConsentRequired: Where it would take long and this session has not agreed to that.
    """
    key, lane, run, operations = _tracing(selection, model, image)
    if key not in services.queue().results:
        consent.require(model)
    what = words.RUNNING_MODEL.format(model=model.name)
    cached: CachedTrace = answer(services.queue(), key, lane, run, what, operations)
    trace, traced = cached.trace, cached.with_model(loading.at_size(model, cached.input_size))
    every = (*trace.layers, *trace.pooling)
    chosen = every[min(selection.layer_of(len(trace.layers)), len(every) - 1)] if every else None
    learned = ("pool",) * bool(trace.pooling) + (chosen.query_layout.prefix if chosen else ())
    fitted, lost = selection.within(len(every), chosen.num_heads if chosen else 0, traced.layout, learned)
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    phone = is_narrow(st.context.headers, st.context.cookies)
    return PageContext(fitted, image, traced, replace(key, what=""), theme, phone, cached.hidden_states), lost
