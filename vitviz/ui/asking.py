"""What is asked about a picture on the pages that explain: the target, and the question kept between runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit, LogitDifference, SelfDot, Target, default_target, needs_classifier
from vitviz.draw.scale import number
from vitviz.outputs import OutputKind, has_classifier, output_name
from vitviz.ui import consent, services, state
from vitviz.ui.compute import Key, Progress
from vitviz.ui.stage import Stage
from vitviz.ui.text import common as words

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SharedPasses:
    """Passes that several methods need, as they are kept between runs: see `Question.passes`. They grow while methods run."""

    made: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A question about this stage's picture.

    target  what is explained; name: its words, "motorbike" or "motorbike, not wheelchair"
    """

    stage: Stage
    target: Target
    name: str

    @property
    def kind(self) -> OutputKind:
        """What the model's outputs are."""
        return self.stage.model.output_kind

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
        return self._question(self._shared)

    def ask(
        self,
        what: str,
        work: Callable[[Question, Progress], T],
        note: str = words.COMPUTING,
        /,
        *,
        passes: float = 1,
        **knobs: Hashable,
    ) -> T:
        """The answer to `what`, computed once, with progress and a way to stop.

        passes  forward passes that it takes, about, a backward pass counted as two: many of a large model are asked about first

        Raises what the work raises, and `consent.Unanswered`.
        """
        stage, shared = self.stage, SharedPasses()
        if stage.key.asking(what, target=self.target, **knobs) not in services.queue().results:
            consent.require_passes(stage.model, passes, note)
            shared = self._shared

        def answered(progress: Progress) -> T:
            question = self._question(shared)
            try:
                return work(question, progress)
            finally:
                shared.made.update(question.passes)
                services.queue().results.measure(self._key)

        return stage.ask(what, answered, note, target=self.target, **knobs)

    def _question(self, shared: SharedPasses) -> Question:
        question = Question(self.stage.model, self.stage.trace.input, self.target)
        question.reuse(shared.made)
        return question

    @property
    def _key(self) -> Key:
        return self.stage.key.asking("passes", target=self.target)

    @property
    def _shared(self) -> SharedPasses:
        return self.stage.ask("passes", lambda _: SharedPasses(), target=self.target)


def asked(stage: Stage) -> Asked:
    """What the selection asks: an output, a difference of two, or a token with itself where there is no classifier."""
    logits = stage.trace.logits
    if not has_classifier(stage.model):
        chosen = stage.selection.query
        named = chosen in stage.layout.prefix or stage.layout.cell_named(chosen) is not None
        token = stage.layout.token_named(chosen) if named else None
        return Asked(stage, SelfDot(token), words.token(chosen) if named else words.WHOLE_PICTURE)
    wanted, against = int(state.value_of("target")), int(state.value_of("against"))
    target: Target = ClassLogit(wanted) if 0 <= wanted < len(logits) else default_target(stage.model, logits)
    assert isinstance(target, ClassLogit)
    name = class_name(stage, target.index)
    if 0 <= against < len(logits) and against != target.index:
        other = class_name(stage, against)
        return Asked(stage, LogitDifference(target.index, against), words.DIFFERENCE.format(name=name, other=other))
    return Asked(stage, target, name)


def class_name(stage: Stage, index: int) -> str:
    """An output in words, or its number where names are not known. Plain text: escape it where Markdown is read."""
    return output_name(stage.model.labels, index, stage.model.output_kind)


def fraction(progress: Progress) -> Callable[[int, int], None]:
    """The queue's progress as the analyses call it."""
    return lambda done, whole: progress.report(done / max(whole, 1))
