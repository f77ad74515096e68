"""The kinds of intervention: what is changed, as plain frozen descriptions that know nothing of any model."""

from __future__ import annotations

from dataclasses import dataclass

HIDING = ("mean", "blur", "removed")
POSITIONS = ("zero", "shuffle")
HEAD_FILLS = ("zero", "mean")


@dataclass(frozen=True)
class HidePatches:
    """Patches, counted row by row from 0, that the model does not get to see.

    fill  "mean" the image's mean colour stands there, "blur" a blurred copy of the image, "removed" the patch's
          token leaves the sequence after the position embedding is added: no other token attends to it and no
          pooling counts it
    """

    patches: tuple[int, ...]
    fill: str = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", _indices(self.patches, "patch"))
        _one_of(self.fill, HIDING, "patches are hidden by")


@dataclass(frozen=True)
class ShufflePatches:
    """The picture's patches change places before the model sees them; the same seed gives the same order."""

    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", _whole(self.seed, "a seed"))


@dataclass(frozen=True)
class ChangePositions:
    """What is added to the patches because of where they are: "zero" nothing, "shuffle" another patch's, by seed.

    Prefix tokens keep theirs: it is part of the one vector they always start from.
    """

    how: str = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of(self.how, POSITIONS, "positions are changed by")
        # Nothing is drawn for "zero": its seed would make equal interventions unequal, and is not part of their text.
        object.__setattr__(self, "seed", 0 if self.how == "zero" else _whole(self.seed, "a seed"))


@dataclass(frozen=True)
class SwitchOffHeads:
    """Heads, each (layer, head), whose output is replaced before the output projection.

    fill  "zero", or "mean": the head's mean output over a reference set (see `head_means`)
    """

    heads: tuple[tuple[int, int], ...]
    fill: str = "zero"

    def __post_init__(self) -> None:
        pairs = {(_whole(layer, "a layer"), _whole(head, "a head")) for layer, head in self.heads}
        object.__setattr__(self, "heads", tuple(sorted(pairs)))
        _one_of(self.fill, HEAD_FILLS, "heads are replaced by")


@dataclass(frozen=True)
class SwitchOffLayers:
    """Layers that hand on what they were given, attention and MLP both left out."""

    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _indices(self.layers, "layer"))


@dataclass(frozen=True)
class CutTokens:
    """Tokens, prefix tokens first, that nobody may look at: their key columns are minus infinity before the softmax.

    layers  where, or None for all layers
    """

    tokens: tuple[int, ...]
    layers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", _indices(self.tokens, "token"))
        if self.layers is not None:
            object.__setattr__(self, "layers", _indices(self.layers, "layer"))


Intervention = HidePatches | ShufflePatches | ChangePositions | SwitchOffHeads | SwitchOffLayers | CutTokens


def _indices(values: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Sorted, without repeats, so that equal interventions are equal. Raises ValueError for what is no index."""
    return tuple(sorted({_whole(value, f"a {what}") for value in values}))


def _whole(value: int, what: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 0:
        raise ValueError(f"{what} is counted from 0 in whole numbers, not {value!r}")
    return int(value)


def _one_of(value: str, known: tuple[str, ...], words: str) -> None:
    if value not in known:
        raise ValueError(f"{words} one of {', '.join(known)}, not {value!r}")
