"""Which token is which patch where the picture enters a model: the grid of its first attention, from a pass over places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.call import Call
from vitviz.capture.calls import AttentionCalls
from vitviz.capture.evaluation import unwrapped
from vitviz.capture.heard import Placing
from vitviz.capture.module_names import ModuleNames
from vitviz.capture.observe import walk
from vitviz.capture.place_grid import prefix_of
from vitviz.capture.places import Places, is_mixture, run_on_places, uniform, without_numbers
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class Entrance:
    """attends: whether the pass met anything like attention, a softmax over a matrix of scores included; layout: of the first
    attention that relates patches, None where none does.
    """

    attends: bool
    layout: TokenLayout | None


class _Found(Exception):
    def __init__(self, layout: TokenLayout) -> None:
        super().__init__("the first attention over patches")
        self.layout = layout


class _First(Placing):
    """Ends the pass at the first attention over patches."""

    attends = False

    def _place(self, call: Call) -> None:
        super()._place(call)
        self.attends = True
        found = self.placements[-1]
        grids = [
            layout for layout in (found.query_layout, found.key_layout) if layout is not None and layout.num_patches
        ]
        if not grids:
            return
        finest = max(grids, key=lambda layout: layout.num_patches)
        # A class token of a collecting layer, or the mean of the patches in an attention pooling, joined just before it.
        joined = found.kind == "collecting" or _has_mean(call)
        raise _Found(replace(finest, prefix=()) if joined else finest)

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        self.attends = True
        return super().pooled(*args, **{**kwargs, "need_weights": True})

    def scores(self, scores: Tensor) -> Tensor:
        self.attends = self.attends or (scores.ndim >= 3 and min(scores.shape[-2:]) > 1)
        return scores


def _has_mean(call: Call) -> bool:
    """Whether one of the keys is made of all patches."""
    keys = call.k if call.fused else call.v
    if not isinstance(keys, Places):
        return False
    with torch._C.DisableTorchFunctionSubclass():
        places = uniform(keys, -1)
        return places is not None and bool(is_mixture(places).any())


def entrance(module: nn.Module, input_size: tuple[int, int]) -> Entrance:
    """The layout of the first attention over patches of a picture of (height, width) pixels. The pass ends there.

    Tokens are known by the places of the pixels that they were made from, never by their number: 28 tokens may be a grid of
    7 x 4, or one of 6 x 4 with four registers. Of queries and keys on two grids (pooled keys) the finer one counts.

    `module` is not touched. Raises whatever the module raises for a size that it does not take.
    """
    module = unwrapped(module)
    bare = without_numbers(module)
    names = ModuleNames(list(walk(bare)))
    first = _First(names, prefix_of(module), input_size)
    try:
        with AttentionCalls(first, names, refusing=False):
            run_on_places(bare, input_size)
    except _Found as found:
        return Entrance(True, found.layout)
    return Entrance(first.attends, None)
