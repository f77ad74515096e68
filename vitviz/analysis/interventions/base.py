"""Base class of interventions: frozen descriptions of a change to a forward pass, with a text form.

To add one, add a file to this folder with one subclass of `Intervention`. It is registered by its `code` for `intervene`,
`Interventions.decode` and links. Its sentence and its control belong to the page (`ui/pages/what_if/interventions.py`).
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
    """One change to a forward pass, independent of a model until it is applied. Subclasses are frozen dataclasses.

    Attributes:
        code: First field of its text form.
        order: Sort key among interventions that are combined without a given order.
    """

    code: ClassVar[str]
    order: ClassVar[int]

    def __init_subclass__(cls) -> None:
        other = KINDS.setdefault(cls.code, cls)
        if other is not cls:
            raise ValueError(f"{other.__name__} and {cls.__name__} have one code, {cls.code!r}")

    @property
    def is_noop(self) -> bool:
        """Whether it changes nothing."""
        return False

    def encode(self) -> str:
        """The fields of its text form after the code, joined by "_". `decode` is the inverse."""
        raise NotImplementedError

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        """The inverse of `encode`.

        Args:
            fields: The fields after the code.
            numbers: Parses numbers and bounds their count; every list of numbers has to be read with it.

        Returns:
            The intervention, or None for too many or too few fields.

        Raises:
            ValueError: For an invalid field.
        """
        raise NotImplementedError

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        """A copy without patches, tokens, layers and heads that a model does not have.

        Args:
            layout: The model's tokens.
            heads: Number of heads of every layer, first layer first.
        """
        return self

    def check(self, model: ModelLike) -> None:
        """Raises ValueError for patches or tokens that `model` does not have."""

    def change_pixels(self, x: Tensor, layout: TokenLayout) -> Tensor:
        """The changed model's input for x (batch, 3, height, width), normalised; the same shape."""
        return x

    def apply(self, application: Application) -> None:
        """Registers its changes with `application`.

        Raises:
            ValueError: For layers or heads that do not exist.
            UnsupportedError: For a model in which the change is not possible.
        """
        raise NotImplementedError


def indices(values: Sequence[int], what: str) -> tuple[int, ...]:
    """Sorted and without duplicates, so that equivalent interventions are equal. Raises ValueError for an invalid index."""
    return tuple(sorted({whole(value, f"a {what}") for value in values}))


def whole(value: int, what: str) -> int:
    """`value` as a non-negative integer. Raises ValueError for another value, which the message calls `what`."""
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise ValueError(f"{what} is counted from 0 in whole numbers, not {value!r}")
    return int(value)


def one_of(value: str, known: Sequence[str], words: str) -> None:
    """Raises ValueError for a value that is not among `known`; the message calls those `words`."""
    if value not in known:
        raise ValueError(f"{words} one of {', '.join(known)}, not {value!r}")


def existing_index(index: int, size: int, kind: str) -> None:
    """Raises ValueError for an index that does not exist."""
    if index >= size:
        raise ValueError(f"{kind} {index} does not exist: there are {size}, counted from 0")
