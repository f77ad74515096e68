"""The explained target of a page: what it is, the choice of it, and results about it with the passes that they share.

Heavy results about the likeliest class of each photograph of the gallery are computed before anybody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from vitviz.analysis.faithfulness import LEVELS
from vitviz.analysis.methods import METHODS
from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit, LogitDifference, SelfDot, Target, default_target, needs_classifier
from vitviz.draw.scale import number
from vitviz.figures.traced_image import traced_image
from vitviz.heatmap import Heatmap
from vitviz.images import image_hash, load_image
from vitviz.models import Model, prepare
from vitviz.outputs import OutputKind, has_classifier, output_name
from vitviz.samples import Sample, samples
from vitviz.ui import state
from vitviz.ui.compute import JobProgress, Key, consent, services
from vitviz.ui.compute.heavy import ModelName, Task
from vitviz.ui.compute.queue import HEAVY_OPERATIONS
from vitviz.ui.context import PageContext
from vitviz.ui.selection import Selection
from vitviz.ui.text import common as words
from vitviz.ui.text import outputs

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SharedPasses:
    """Passes that several methods need, as they are kept between runs (see `Question.passes`); methods add to them."""

    made: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExplainedTarget:
    """The explained target of a page's picture.

    Attributes:
        target: What is explained.
        name: Its name, "motorbike" or "motorbike, not wheelchair".
    """

    context: PageContext
    target: Target
    name: str

    @property
    def kind(self) -> OutputKind:
        """What the model's outputs are."""
        return self.context.model.output_kind

    @property
    def shares(self) -> bool:
        """Whether the target's likelihood is a probability, and neither a plain number nor a cosine."""
        return needs_classifier(self.target) and self.kind.is_probability

    def amount(self, likelihood: float, digits: int = 1) -> str:
        """A likelihood of the target for people: "92.0%", "3.25", or a cosine of three digits."""
        if self.shares:
            return f"{likelihood:.{digits}%}"
        return number(likelihood) if needs_classifier(self.target) else f"{likelihood:.3f}"

    def change(self, difference: float) -> str:
        """A change of the likelihood with its sign, for `st.metric`, which reads it: points, or the plain difference."""
        if self.shares:
            return words.POINTS.format(points=100 * difference)
        return f"{difference:+.3g}" if needs_classifier(self.target) else f"{difference:+.3f}"

    @property
    def question(self) -> Question:
        """The question, with the passes that were made for it already."""
        return self._question(self._shared, self.context.model)

    def ask(
        self,
        what: str,
        work: Callable[[Question, JobProgress], T],
        note: str = words.COMPUTING,
        /,
        *,
        passes: float = 1,
        task: Task | None = None,
        **params: Hashable,
    ) -> T:
        """The answer to `what`, computed once, with progress and a way to stop.

        Args:
            task: The same work by its name, for another process, where there is a pool of them and the work is heavy.
            passes: Forward passes that it takes, about, a backward pass counted as two: many of a large model need consent.

        Raises:
            ConsentRequired: Where it would take long and this session has not agreed. What the work raises is raised as well.
        """
        context, shared = self.context, SharedPasses()
        heavy = consent.operations(context.model, passes) > HEAVY_OPERATIONS
        if not self.answered(what, **params):
            consent.require_passes(context.model, passes, note)
            shared = self._shared

        name = ModelName.of(context.model) if heavy and task and services.pool() else None

        def answer(progress: JobProgress) -> T:
            if name and task and (pool := services.pool()):
                found, made = pool.run(name, task, context.trace.input, self.target, shared.made, progress)
                shared.made.update(made)
                return found
            question = self._question(shared, context.model.background_copy if heavy else context.model)
            try:
                return work(question, progress)
            finally:
                shared.made.update(question.passes)
                services.queue().results.measure(self._key)

        return context.ask(what, answer, note, passes, target=self.target, **params)

    def answered(self, what: str, **params: Hashable) -> bool:
        """Whether `ask` has the answer at once."""
        return self.context.key.derive(what, target=self.target, **params) in services.queue().results

    def _question(self, shared: SharedPasses, model: Model) -> Question:
        question = Question(model, self.context.trace.input, self.target)
        question.reuse(shared.made)
        return question

    @property
    def _key(self) -> Key:
        return self.context.key.derive("passes", target=self.target)

    @property
    def _shared(self) -> SharedPasses:
        known = {} if self.context.hidden_states is None else {"hidden_states": self.context.hidden_states}
        return self.context.ask("passes", lambda _: SharedPasses(known), target=self.target)


def explained_target(context: PageContext) -> ExplainedTarget:
    """The selected target: an output, a difference of two, or a token's product with itself where there is no classifier."""
    logits = context.trace.logits
    if not has_classifier(context.model):
        chosen = context.selection.query
        named = chosen in context.layout.prefix or context.layout.cell_named(chosen) is not None
        token = context.layout.token_named(chosen) if named else None
        return ExplainedTarget(context, SelfDot(token), words.token(chosen) if named else words.WHOLE_PICTURE)
    wanted, against = int(state.value_of("target")), int(state.value_of("against"))
    target: Target = ClassLogit(wanted) if 0 <= wanted < len(logits) else default_target(context.model, logits)
    assert isinstance(target, ClassLogit)
    name = class_name(context, target.index)
    if context.answer_hidden and target.index != wanted:
        name = words.FIRST_ANSWER
    if 0 <= against < len(logits) and against != target.index:
        other = class_name(context, against)
        return ExplainedTarget(
            context, LogitDifference(target.index, against), words.DIFFERENCE.format(name=name, other=other)
        )
    return ExplainedTarget(context, target, name)


def choose_target(context: PageContext, label: str, note: str, first: str = "", width: int = 190) -> None:
    """The choice of the output that is explained or followed: the likeliest one, or any other.

    Args:
        note: What is done with it: the help of the widget.
        first: Words for the likeliest output, where it is another model's.
    """
    if not first and context.answer_hidden:
        first = words.FIRST_ANSWER
    if not first:
        best = top_predictions(context.trace.logits, context.model, 1)[0]
        value = f"{best.probability:.0%}" if best.probability is not None and best.probability >= 0.1 else best.text
        first = outputs.PREDICTED[context.model.output_kind].format(label=best.label, value=value)
    classes, chosen = [-1, *range(len(context.trace.logits))], int(state.value_of("target"))
    st.selectbox(
        label,
        classes,
        format_func=lambda i: first if i < 0 else class_name(context, i),
        help=note,
        width=width,
        **state.bound("target", chosen if chosen in classes else -1),
    )


def class_name(context: PageContext, index: int) -> str:
    """An output in words, or its number where names are not known. Plain text: escape it where Markdown is read."""
    return output_name(context.model.labels, index, context.model.output_kind)


def prepare_gallery(model: Model) -> None:
    """Lets the queue compute the heavy results of pages for each photograph of the gallery, while no session has heavy work."""
    for sample in samples():
        key = Key("prepared", model.name, model.fingerprint, f"sample {sample.id}")
        passes = 2 * LEVELS[-1] * len(METHODS)
        services.queue().prepare(key, partial(_prepare, model, sample), consent.operations(model, passes))


def _prepare(model: Model, sample: Sample, progress: JobProgress) -> bool:
    """Computes the results under the keys that pages use for the default target."""
    background, image = model.background_copy, load_image(sample.path)
    traced = traced_image(prepare(background, image, framing=Selection().framing), progress=progress)
    key = Key("", model.name, model.fingerprint, image_hash(image), model.input_size, Selection().framing)
    target = default_target(model, traced.trace.logits)
    question, maps = Question(background, traced.trace.input, target), {}

    def keep(what: str, task: Task, **params: Hashable) -> Any:
        found = task(question, progress)
        services.queue().results.put(key.derive(what, target=target, **params), found, for_ever=True)
        return found

    for method in (each for each in METHODS.values() if not each.slow):
        found = keep("explanation", Task("explanation", {"key": method.key}), method=method.key)
        if isinstance(found, Heatmap):
            maps[method.name] = found
    for level in sorted({1, len(LEVELS)}):
        task = Task("faithfulness", {"maps": maps, "levels": LEVELS[:level]})
        keep("faithfulness", task, methods=tuple(maps), level=level)
    keep("head importance", Task("head importance"))
    return True
