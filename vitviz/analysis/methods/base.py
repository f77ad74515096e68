"""What an explanation method is: a function of a question, its card, its options and its cost.

To add one, write one file in this folder that ends in `METHOD = Method(...)`. Its name appears in `METHODS`, in `explain`, in
the command line, on the pages that show all methods and in the tests that every method has to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vitviz.analysis.question import Question
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout

FAST = 2  # passes of the methods that need one forward pass and at most one backward pass


def _fast(_layout: TokenLayout, _options: Mapping[str, int]) -> float:
    return 3


@dataclass(frozen=True, eq=False)
class Method:
    """An explanation method with its card.

    Args:
        key: short name for links, tables and the command line.
        name: for people.
        run: called as run(question, **options) and gives a Heatmap over the question's grid; with `progress` as well where
            the method `reports`. Raises UnsupportedError where the method is not defined for the model.
        per_class: whether the map depends on the target; where not, it says what the model read, not why it chose a class.
        signed: whether negative values are evidence against the target.
        formula: plain text, symbols as on the methods page.
        reference: authors, year, arXiv number.
        cost: in forward passes, about, in words.
        misleads: when not to believe it.
        order: place in lists of all methods, ascending.
        of_a_query: whether the map is the row of a query; the others differentiate the score itself.
        options: name -> usual value of the arguments that decide how much a slow method spends.
        weight: how long it takes beside the others, for the progress of several methods together.
        passes: (layout, options) -> forward passes, about.
        reports: whether `run` takes `progress`.
    """

    key: str
    name: str
    run: Callable[..., Heatmap]
    per_class: bool
    signed: bool
    formula: str
    reference: str
    cost: str
    misleads: str
    order: int
    of_a_query: bool = False
    options: Mapping[str, int] = field(default_factory=dict)
    weight: float = FAST
    passes: Callable[[TokenLayout, Mapping[str, int]], float] = _fast
    reports: bool = False

    def __repr__(self) -> str:
        return f"Method({self.key!r}: {self.name}; {self.reference})"

    @property
    def slow(self) -> bool:
        """Whether it takes many passes, so that an interface had better ask first."""
        return self.weight > FAST

    def map(self, question: Question, progress: Progress | None = None, **options: int) -> Heatmap:
        """The method's map.

        Args:
            question: model, input and target.
            progress: called after each step of a slow method; raise from it to stop.
            options: in place of the usual ones.

        Raises:
            UnsupportedError: for an option that the method does not have, and where it has no answer for this model.
        """
        if unknown := sorted(options.keys() - self.options.keys()):
            known = ", ".join(self.options) or "none"
            raise UnsupportedError(f"{self.name} has no option called {unknown[0]!r}; it has {known}.")
        given: dict[str, Any] = {**self.options, **options}
        if self.reports:
            given["progress"] = progress
        return self.run(question, **given)

    def forward_passes(self, layout: TokenLayout, **options: int) -> float:
        """Forward passes that `map` takes with these options on a grid of `layout`, about."""
        return self.passes(layout, {**self.options, **options})
