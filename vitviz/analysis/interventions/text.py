"""Several interventions together, and their short text form for links.

    hide_mean_3-7.12~shuffle_5~positions_zero~heads_zero_0x3.11x2~layers_4.7~cut_0.5_all

Items are joined by "~", fields by "_", numbers by ".", and "3-7" is a range. No character needs escaping in a URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vitviz.analysis.interventions.base import KINDS, Intervention

# The text may come from a link, so all sizes are bounded before memory is allocated. The app's largest input has 21,905 tokens.
MAX_TEXT = 700_000  # characters: MAX_NUMBERS numbers of 5 digits, each with its separator
MAX_ITEMS = 64  # interventions
MAX_NUMBERS = 100_000  # numbers in all runs together, counted before repeats are removed
MAX_INDEX = 99_999  # the largest patch, token, layer or head
MAX_SEED = 1_000_000


@dataclass(frozen=True)
class Interventions:
    """Interventions that are applied together.

    Attributes:
        items: The interventions in the order in which they are applied.
    """

    items: tuple[Intervention, ...] = ()

    def __iter__(self) -> Iterator[Intervention]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Interventions) -> Interventions:
        return Interventions(self.items + other.items)

    def encode(self) -> str:
        """The text form; empty for no intervention. `decode` is the inverse."""
        return "~".join(f"{item.code}_{item.encode()}" for item in self.items)

    @classmethod
    def decode(cls, text: str) -> Interventions:
        """The inverse of `encode`. Raises ValueError; the message names the invalid part or the exceeded bound."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"a list of interventions of {len(text):,} characters is too long; at most {MAX_TEXT:,}")
        parts = [part for part in text.split("~") if part]
        if len(parts) > MAX_ITEMS:
            raise ValueError(f"a list of {len(parts):,} interventions is too long; at most {MAX_ITEMS}")
        numbers = NumberReader()
        return cls(tuple(_decoded(part, numbers) for part in parts))


def _decoded(part: str, numbers: NumberReader) -> Intervention:
    code, *fields = part.split("_")
    try:
        item = KINDS[code].decode(fields, numbers) if code in KINDS else None
    except ValueError as error:
        raise ValueError(f"{part[:60]!r} is not an intervention: {error}") from None
    if item is None:
        known = ", ".join(kind.code for kind in sorted(KINDS.values(), key=lambda kind: kind.order))
        raise ValueError(f"{part[:60]!r} is not an intervention: it begins with none of {known}")
    return item


class NumberReader:
    """Parses the numbers of one text, at most MAX_NUMBERS in all."""

    def __init__(self) -> None:
        self._left = MAX_NUMBERS

    def indices(self, text: str) -> tuple[int, ...]:
        """ "3-5.9" -> (3, 4, 5, 9). Raises ValueError."""
        found: list[int] = []
        for run in filter(None, text.split(".")):
            first, dash, last = run.partition("-")
            start = _number(first, MAX_INDEX)
            end = _number(last, MAX_INDEX) if dash else start
            if end < start:
                raise ValueError(f"the run {run!r} ends before it begins")
            self._count(end - start + 1)
            found += range(start, end + 1)
        return tuple(found)

    def pairs(self, text: str) -> tuple[tuple[int, int], ...]:
        """ "0x3.11x2" -> ((0, 3), (11, 2)). Raises ValueError."""
        found: list[tuple[int, int]] = []
        for pair in filter(None, text.split(".")):
            left, _, right = pair.partition("x")
            self._count(1)
            found.append((_number(left, MAX_INDEX), _number(right, MAX_INDEX)))
        return tuple(found)

    def seed(self, text: str) -> int:
        """A seed. Raises ValueError."""
        return _number(text, MAX_SEED)

    def _count(self, numbers: int) -> None:
        """Counts `numbers` further numbers, before they are allocated. Raises ValueError if there are too many."""
        self._left -= numbers
        if self._left < 0:
            raise ValueError(f"more than {MAX_NUMBERS:,} numbers in one list of interventions")


def runs(numbers: Iterable[int]) -> str:
    """Ascending numbers as text with ranges for three and more consecutive ones: 3, 4, 5, 9 -> "3-5.9"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ".".join(f"{a}" if a == b else f"{a}.{b}" if b == a + 1 else f"{a}-{b}" for a, b in found)


def _number(text: str, most: int) -> int:
    """An integer from 0 to `most`. Raises ValueError for other text."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
        raise ValueError(f"{text[:20]!r} is not a number up to {most:,}")
    return int(text)
