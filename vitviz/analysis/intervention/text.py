"""Several interventions together, and their short text form for links.

    hide_mean_3-7.12~shuffle_5~positions_zero~heads_zero_0x3.11x2~layers_4.7~cut_0.5_all

Items are joined by "~", fields by "_", numbers by "." with "3-7" for a run: all of it may stand in a URL as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vitviz.analysis.intervention.kinds import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)

# A link comes from anybody: longer texts and larger numbers than any model needs are refused before they are unrolled.
MAX_TEXT = 20_000
MAX_NUMBER = 1_000_000


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
        """The inverse of `encode`. Raises ValueError, saying which part it does not understand."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"a list of interventions of {len(text)} characters is too long")
        return cls(tuple(_decode(part) for part in text.split("~") if part))


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


def _decode(part: str) -> Intervention:
    try:
        match part.split("_"):
            case ["hide", fill, patches]:
                return HidePatches(_unrolled(patches), fill)
            case ["shuffle", seed]:
                return ShufflePatches(_number(seed))
            case ["positions", "zero"]:
                return ChangePositions("zero")
            case ["positions", how, seed]:
                return ChangePositions(how, _number(seed))
            case ["heads", fill, heads]:
                pairs = (pair.split("x") for pair in heads.split(".") if pair)
                return SwitchOffHeads(tuple((_number(layer), _number(head)) for layer, head in pairs), fill)
            case ["layers", layers]:
                return SwitchOffLayers(_unrolled(layers))
            case ["cut", tokens, layers]:
                return CutTokens(_unrolled(tokens), None if layers == "all" else _unrolled(layers))
    except ValueError as error:
        raise ValueError(f"{part[:60]!r} is no intervention: {error}") from None
    raise ValueError(
        f"{part[:60]!r} is no intervention: it begins with none of hide, shuffle, positions, heads, layers, cut"
    )


def _runs(numbers: Iterable[int]) -> str:
    """Ascending numbers with runs of three and more folded: 3, 4, 5, 9 -> "3-5.9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ".".join(f"{a}" if a == b else f"{a}.{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)


def _unrolled(text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for run in text.split("."):
        first, dash, last = run.partition("-")
        if run:
            numbers += range(_number(first), (_number(last) if dash else _number(first)) + 1)
        if len(numbers) > MAX_NUMBER:
            raise ValueError("too many numbers")
    return tuple(numbers)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MAX_NUMBER:
        raise ValueError(f"{text[:20]!r} is no number up to {MAX_NUMBER:,}")
    return int(text)
