"""What an intervention is: a frozen description with its text form, its fit to a model, and what it does to a pass.

To add one, write one file in this folder with one subclass of `Intervention`. It is found by its `code`, so that `intervene`,
`Interventions.decode` and links know it; its sentence and its control stand with the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from torch import Tensor

from vitviz.tokens import TokenLayout

if TYPE_CHECKING:
    from vitviz.analysis.interventions.application import Application
    from vitviz.analysis.interventions.text import NumberReader
    from vitviz.analysis.question import ModelLike

KINDS: dict[str, type[Intervention]] = {}  # code -> class, of every subclass


@dataclass(frozen=True)
class Intervention:
    """One change to a forward pass. Knows nothing of any model until it is applied. Subclasses are frozen dataclasses.

    Attributes:
        code: what its text form begins with.
        order: place among others where several act together without a given order, ascending.
    """

    code: ClassVar[str]
    order: ClassVar[int]

    def __init_subclass__(cls) -> None:
        other = KINDS.setdefault(cls.code, cls)
        if other is not cls:
            raise ValueError(f"{other.__name__} and {cls.__name__} have one code, {cls.code!r}")

    @property
    def idle(self) -> bool:
        """Whether nothing is changed by it."""
        return False

    def encode(self) -> str:
        """The fields of its text form after the code, joined by "_". `decode` gives an equal intervention back."""
        raise NotImplementedError

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        """The inverse of `encode`.

        Args:
            fields: what stands between the "_" after the code.
            numbers: reads numbers within bounds; everything that may be long has to go through it.

        Returns:
            The intervention, or None where there are fields too many or too few.

        Raises:
            ValueError: for a field that it does not understand.
        """
        raise NotImplementedError

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        """What of it a model has: patches, tokens, layers and heads that do not exist are left out.

        Args:
            layout: the model's tokens.
            heads: number of heads of every layer, first layer first.
        """
        return self

    def check(self, model: ModelLike) -> None:
        """Raises ValueError for patches or tokens that `model` does not have."""

    def change_pixels(self, x: Tensor, layout: TokenLayout) -> Tensor:
        """x (batch, 3, height, width), normalised -> the same as the changed model is given it."""
        return x

    def apply(self, application: Application) -> None:
        """Asks `application` for its changes. Raises ValueError for layers or heads that do not exist, UnsupportedError where
        the model has no place for the change."""
        raise NotImplementedError


def indices(values: Sequence[int], what: str) -> tuple[int, ...]:
    """Sorted, without repeats, so that equal interventions are equal. Raises ValueError for what is no index."""
    return tuple(sorted({whole(value, f"a {what}") for value in values}))


def whole(value: int, what: str) -> int:
    """`value` as a whole number from 0. Raises ValueError for anything else, called `what`."""
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise ValueError(f"{what} is counted from 0 in whole numbers, not {value!r}")
    return int(value)


def one_of(value: str, known: Sequence[str], words: str) -> None:
    """Raises ValueError for a value that is not known."""
    if value not in known:
        raise ValueError(f"{words} one of {', '.join(known)}, not {value!r}")


def existing_index(index: int, size: int, kind: str) -> None:
    """Raises ValueError for an index that does not exist."""
    if index >= size:
        raise ValueError(f"{kind} {index} does not exist: there are {size}, counted from 0")
