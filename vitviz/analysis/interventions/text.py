"""Several interventions together, and their short text form for links.

    hide_mean_3-7.12~shuffle_5~positions_zero~heads_zero_0x3.11x2~layers_4.7~cut_0.5_all

Items are joined by "~", fields by "_", numbers by "." with "3-7" for a run: all of it may stand in a URL as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vitviz.analysis.interventions.kinds import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)

# A text may come from a link, so everything it can ask for is bounded before anything is allocated. The largest input that
# the app offers has 21,905 tokens.
MAX_TEXT = 700_000  # characters: MAX_NUMBERS numbers of 5 digits, each with its separator
MAX_ITEMS = 64  # interventions
MAX_NUMBERS = 100_000  # numbers in all runs together, counted before repeats are removed
MAX_INDEX = 99_999  # the largest patch, token, layer or head
MAX_SEED = 1_000_000


@dataclass(frozen=True)
class Interventions:
    """Interventions applied together, in their order."""

    items: tuple[Intervention, ...] = ()

    def __iter__(self) -> Iterator[Intervention]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Interventions) -> Interventions:
        return Interventions(self.items + other.items)

    def encode(self) -> str:
        """The text form; empty for no intervention. `decode` gives equal interventions back."""
        return "~".join(_encode(item) for item in self.items)

    @classmethod
    def decode(cls, text: str) -> Interventions:
        """The inverse of `encode`. Raises ValueError, saying which part it does not understand, or which bound is exceeded."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"a list of interventions of {len(text):,} characters is too long; at most {MAX_TEXT:,}")
        parts = [part for part in text.split("~") if part]
        if len(parts) > MAX_ITEMS:
            raise ValueError(f"a list of {len(parts):,} interventions is too long; at most {MAX_ITEMS}")
        decoder = _Decoder()
        return cls(tuple(decoder.item(part) for part in parts))


def _encode(item: Intervention) -> str:
    match item:
        case HidePatches(patches, fill):
            return f"hide_{fill}_{_runs(patches)}"
        case ShufflePatches(seed):
            return f"shuffle_{seed}"
        case ChangePositions("zero", _):
            return "positions_zero"
        case ChangePositions(how, seed):
            return f"positions_{how}_{seed}"
        case SwitchOffHeads(heads, fill):
            return f"heads_{fill}_" + ".".join(f"{layer}x{head}" for layer, head in heads)
        case SwitchOffLayers(layers):
            return f"layers_{_runs(layers)}"
        case CutTokens(tokens, layers):
            return f"cut_{_runs(tokens)}_" + ("all" if layers is None else _runs(layers))


class _Decoder:
    """Decodes the items of one text; all of them together may hold MAX_NUMBERS numbers."""

    def __init__(self) -> None:
        self._left = MAX_NUMBERS

    def item(self, part: str) -> Intervention:
        """One intervention. Raises ValueError."""
        try:
            match part.split("_"):
                case ["hide", fill, patches]:
                    return HidePatches(self._numbers(patches), fill)
                case ["shuffle", seed]:
                    return ShufflePatches(_number(seed, MAX_SEED))
                case ["positions", "zero"]:
                    return ChangePositions("zero")
                case ["positions", how, seed]:
                    return ChangePositions(how, _number(seed, MAX_SEED))
                case ["heads", fill, heads]:
                    return SwitchOffHeads(self._pairs(heads), fill)
                case ["layers", layers]:
                    return SwitchOffLayers(self._numbers(layers))
                case ["cut", tokens, layers]:
                    return CutTokens(self._numbers(tokens), None if layers == "all" else self._numbers(layers))
        except ValueError as error:
            raise ValueError(f"{part[:60]!r} is no intervention: {error}") from None
        raise ValueError(
            f"{part[:60]!r} is no intervention: it begins with none of hide, shuffle, positions, heads, layers, cut"
        )

    def _numbers(self, text: str) -> tuple[int, ...]:
        numbers: list[int] = []
        for run in filter(None, text.split(".")):
            first, dash, last = run.partition("-")
            start = _number(first, MAX_INDEX)
            end = _number(last, MAX_INDEX) if dash else start
            if end < start:
                raise ValueError(f"the run {run!r} ends before it begins")
            self._count(end - start + 1)
            numbers += range(start, end + 1)
        return tuple(numbers)

    def _pairs(self, text: str) -> tuple[tuple[int, int], ...]:
        pairs: list[tuple[int, int]] = []
        for pair in filter(None, text.split(".")):
            layer, _, head = pair.partition("x")
            self._count(1)
            pairs.append((_number(layer, MAX_INDEX), _number(head, MAX_INDEX)))
        return tuple(pairs)

    def _count(self, numbers: int) -> None:
        """Call before `numbers` more numbers are kept. Raises ValueError where they would be too many."""
        self._left -= numbers
        if self._left < 0:
            raise ValueError(f"more than {MAX_NUMBERS:,} numbers in one list of interventions")


def _runs(numbers: Iterable[int]) -> str:
    """Ascending numbers with runs of three and more folded: 3, 4, 5, 9 -> "3-5.9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ".".join(f"{a}" if a == b else f"{a}.{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def _number(text: str, most: int) -> int:
    """A whole number from 0 to `most`. Raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or int(text) > most:
        raise ValueError(f"{text[:20]!r} is no number up to {most:,}")
    return int(text)
