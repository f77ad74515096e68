"""What is switched in the model: the composed interventions of this session, kept in the link, and how clicks edit them.

Editing is pure: interventions in, interventions out. There is at most one of each kind that clicks make, in the order in which
they act, so that equal changes have one address.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)
from vitviz.tokens import TokenLayout
from vitviz.ui import state

ORDER = (HidePatches, ShufflePatches, ChangePositions, SwitchOffHeads, SwitchOffLayers, CutTokens)
KNOB = "what"

Head = tuple[int, int]


def current() -> Interventions:
    """What this session has switched."""
    return Interventions.decode(str(state.value_of(KNOB)))


def switch(changed: Interventions, **knobs: Any) -> None:
    """Puts these in place of the current ones, for callbacks."""
    state.change(**{KNOB: changed.encode(), **knobs})


def fitting(given: Interventions, layout: TokenLayout, heads: Iterable[int]) -> Interventions:
    """What of `given` this model has: patches, tokens, layers and heads that do not exist are left out.

    heads  number of heads of every layer, first layer first
    """
    heads = tuple(heads)
    kept: list[Intervention] = []
    for item in given:
        match item:
            case HidePatches(patches, fill):
                kept.append(HidePatches(tuple(p for p in patches if p < layout.num_patches), fill))
            case SwitchOffHeads(pairs, fill):
                kept.append(
                    SwitchOffHeads(tuple((at, h) for at, h in pairs if at < len(heads) and h < heads[at]), fill)
                )
            case SwitchOffLayers(layers):
                kept.append(SwitchOffLayers(tuple(layer for layer in layers if layer < len(heads))))
            case CutTokens(tokens, layers):
                there = None if layers is None else tuple(layer for layer in layers if layer < len(heads))
                kept.append(CutTokens(tuple(t for t in tokens if t < layout.num_tokens), there))
            case _:
                kept.append(item)
    return Interventions(tuple(item for item in kept if not _idle(item)))


def hidden(given: Interventions) -> tuple[int, ...]:
    """Patches hidden in any way, ascending."""
    return tuple(sorted({p for item in given if isinstance(item, HidePatches) for p in item.patches}))


def hiding(given: Interventions) -> str | None:
    """How patches are hidden, None where none is."""
    return next((item.fill for item in given if isinstance(item, HidePatches)), None)


def hide(given: Interventions, patches: Iterable[int], fill: str) -> Interventions:
    """With exactly these patches hidden, all in one way."""
    return _with(given, HidePatches, HidePatches(tuple(patches), fill))


def heads_off(given: Interventions) -> tuple[Head, ...]:
    """(layer, head) of every head that is off, ascending."""
    return tuple(sorted({pair for item in given if isinstance(item, SwitchOffHeads) for pair in item.heads}))


def head_fill(given: Interventions) -> str | None:
    """What stands in for heads that are off, None where none is."""
    return next((item.fill for item in given if isinstance(item, SwitchOffHeads)), None)


def set_heads(given: Interventions, heads: Iterable[Head], fill: str) -> Interventions:
    """With exactly these heads off, all replaced in one way."""
    return _with(given, SwitchOffHeads, SwitchOffHeads(tuple(heads), fill))


def layers_off(given: Interventions) -> tuple[int, ...]:
    return tuple(sorted({layer for item in given if isinstance(item, SwitchOffLayers) for layer in item.layers}))


def set_layers(given: Interventions, layers: Iterable[int]) -> Interventions:
    """With exactly these layers off."""
    return _with(given, SwitchOffLayers, SwitchOffLayers(tuple(layers)))


def shuffled(given: Interventions) -> int | None:
    """The seed of the shuffled patches, None where they are in their places."""
    return next((item.seed for item in given if isinstance(item, ShufflePatches)), None)


def set_shuffle(given: Interventions, seed: int | None) -> Interventions:
    return _with(given, ShufflePatches, None if seed is None else ShufflePatches(seed))


def positions(given: Interventions) -> str | None:
    """How positions are changed, None where they are as learned."""
    return next((item.how for item in given if isinstance(item, ChangePositions)), None)


def set_positions(given: Interventions, how: str | None, seed: int = 0) -> Interventions:
    return _with(given, ChangePositions, None if how is None else ChangePositions(how, seed))


def cut_tokens(given: Interventions) -> tuple[int, ...]:
    return tuple(sorted({token for item in given if isinstance(item, CutTokens) for token in item.tokens}))


def cut_layers(given: Interventions) -> tuple[int, ...] | None:
    """Where tokens are cut out of attention, None for everywhere."""
    return next((item.layers for item in given if isinstance(item, CutTokens)), None)


def set_cut(given: Interventions, tokens: Iterable[int], layers: Iterable[int] | None) -> Interventions:
    """With exactly these tokens cut out of attention, in these layers, or everywhere."""
    return _with(given, CutTokens, CutTokens(tuple(tokens), None if layers is None else tuple(layers)))


def without(given: Interventions, index: int) -> Interventions:
    """Without the one at that place."""
    return Interventions(tuple(item for at, item in enumerate(given) if at != index))


def _with(given: Interventions, kind: type, item: Intervention | None) -> Interventions:
    others = [other for other in given if not isinstance(other, kind)]
    items = [*others, *([] if item is None or _idle(item) else [item])]
    return Interventions(tuple(sorted(items, key=lambda each: ORDER.index(type(each)))))


def _idle(item: Intervention) -> bool:
    """Whether nothing is changed by it."""
    match item:
        case HidePatches(patches, _):
            return not patches
        case SwitchOffHeads(heads, _):
            return not heads
        case SwitchOffLayers(layers):
            return not layers
        case CutTokens(tokens, layers):
            return not tokens or layers == ()
        case _:
            return False
