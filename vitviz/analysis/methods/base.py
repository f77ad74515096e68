"""`Method`: an explanation method as a function of a question, with its card, options and cost.

To add one, add a file to this folder that ends in `METHOD = Method(...)`. The method is then in `METHODS`, in `explain`, on the
command line, on the pages that show all methods and in the tests that every method has to pass.
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

FAST = 2  # forward passes that one forward and one backward pass count as


def _fast(_layout: TokenLayout, _options: Mapping[str, int]) -> float:
    return 3


def _any(_options: Mapping[str, int]) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Method:
    """An explanation method with its card.

    Args:
        key: Short name for links, tables and the command line.
        name: Display name.
        run: Called as run(question, **options), also with `progress` if the method `reports`; returns a Heatmap over the
            question's grid. Raises UnsupportedError if the method is not defined for the model.
        per_class: Whether the map depends on the target. A map that does not shows where information was read, not why the
            model predicts a class.
        signed: Whether negative values are evidence against the target.
        formula: Plain text, symbols as on the methods page.
        reference: Authors, year, arXiv number.
        cost: Approximate number of forward passes, as text.
        limitations: Known cases in which the map is wrong.
        order: Sort key in lists of all methods.
        of_a_query: Whether the map is the row of a query; the others differentiate the score itself.
        options: Name -> default of the arguments that determine the time of a slow method.
        check: Called with the options as given; raises ValueError for values that `run` would refuse.
        weight: Relative time, for the progress of several methods together.
        passes: (layout, options) -> approximate number of forward passes.
        reports: Whether `run` takes `progress`.
    """

    key: str
    name: str
    run: Callable[..., Heatmap]
    per_class: bool
    signed: bool
    formula: str
    reference: str
    cost: str
    limitations: str
    order: int
    of_a_query: bool = False
    options: Mapping[str, int] = field(default_factory=dict)
    check: Callable[[Mapping[str, int]], None] = _any
    weight: float = FAST
    passes: Callable[[TokenLayout, Mapping[str, int]], float] = _fast
    reports: bool = False

    def __repr__(self) -> str:
        return f"Method({self.key!r}: {self.name}; {self.reference})"

    @property
    def slow(self) -> bool:
        """Whether it takes many passes, so that an interface should ask before running it."""
        return self.weight > FAST

    def map(self, question: Question, progress: Progress | None = None, **options: int) -> Heatmap:
        """The method's map.

        Args:
            question: Model, input and target.
            progress: Called after each step of a slow method; an exception that it raises stops the work.
            **options: In place of the defaults.

        Raises:
            UnsupportedError: For an unknown option, and for a model that the method is not defined for.
            ValueError: For a value that an option does not take.
        """
        given: dict[str, Any] = self.checked(**options)
        if self.reports:
            given["progress"] = progress
        return self.run(question, **given)

    def checked(self, **options: int) -> dict[str, int]:
        """All options by their names: these, and the usual values of the others.

        Raises:
            UnsupportedError: For an option that the method does not have.
            ValueError: For a value that it does not take.
        """
        if unknown := sorted(options.keys() - self.options.keys()):
            known = ", ".join(self.options) or "none"
            raise UnsupportedError(f"{self.name} has no option called {unknown[0]!r}; it has {known}.")
        self.check(options)
        return {**self.options, **options}

    def forward_passes(self, layout: TokenLayout, **options: int) -> float:
        """Approximate number of forward passes of `map` with these options on a grid of `layout`."""
        return self.passes(layout, {**self.options, **options})
