"""What a pass over places hears: a placement for every attention call of a model, in order, remembered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# These say what each function does to places, by being imported.
from vitviz.capture import place_each, place_maps, place_mixtures, place_moves, place_questions  # noqa: F401
from vitviz.capture.call import Call
from vitviz.capture.fused_call import FUSED
from vitviz.capture.listener import listen, walk
from vitviz.capture.place_grid import prefix_of
from vitviz.capture.placement import NEGATIVE, REORDERED, Placement, place
from vitviz.capture.places import run_on_places, without_numbers
from vitviz.errors import NOT_TAKEN


@dataclass(frozen=True)
class Heard:
    """What a pass over places heard: a placement for each attention call, in order."""

    placements: tuple[Placement, ...]


def heard(module: nn.Module, input_size: tuple[int, int]) -> Heard:
    """A placement for every attention call of `module`'s forward pass on a picture of (height, width), in order.

    The pass runs without numbers on a copy without weights; `module` itself is not touched. Raises whatever the module
    raises for a size that it does not take, and UnsupportedError where its attention cannot be heard.
    """
    bare = module if all(p.is_meta for p in module.parameters()) else without_numbers(module)
    prefix = prefix_of(module)
    placements: list[Placement] = []

    def receive(call: Call) -> None:
        placements.append(place(call, prefix, input_size))

    with _Subtractions(placements) as subtractions, listen(bare, receive):
        run_on_places(bare, input_size)
    for number in subtractions.concerned:
        placements[number] = replace(placements[number], kind=NEGATIVE, query_layout=None)
    return Heard(tuple(placements))


@dataclass(frozen=True)
class KnownCall:
    """What an attention call is at any size of input.

    kind   as of a `Placement`, and "reordered" where a grid's tokens do not come as their layout counts them
    fused  whether the model made no weights of its own
    """

    kind: str
    fused: bool


@dataclass
class _Memory:
    """What was heard of a module, as long as it is built of the same modules."""

    built_of: tuple[int, ...]
    placements: dict[tuple[int, int], tuple[Placement, ...]] = field(default_factory=dict)
    calls: tuple[KnownCall, ...] | None = None


_memories: WeakKeyDictionary[nn.Module, _Memory] = WeakKeyDictionary()
_SIZES_REMEMBERED = 16


def _memory_of(module: nn.Module) -> _Memory:
    built_of = tuple(id(inner) for _, inner in walk(module))
    memory = _memories.get(module)
    if memory is None or memory.built_of != built_of:
        memory = _memories[module] = _Memory(built_of)
    return memory


def placements_of(module: nn.Module, input_size: tuple[int, int]) -> tuple[Placement, ...]:
    """`heard`, remembered for as long as the module lives, for the sizes asked about last."""
    known = _memory_of(module).placements
    if input_size not in known:
        if len(known) == _SIZES_REMEMBERED:
            known.pop(next(iter(known)))
        known[input_size] = heard(module, input_size).placements
    return known[input_size]


def known_calls(module: nn.Module, input_size: tuple[int, int]) -> tuple[KnownCall, ...]:
    """Every attention call in order, from a pass over places at whatever size comes first: whether a model relates tokens or
    channels, subtracts its maps or keeps its patches in an order of its own does not change with the size. Empty where the
    model does something to its input that places cannot follow.
    """
    memory = _memory_of(module)
    if memory.calls is None:
        try:
            placements = placements_of(module, input_size)
        except NOT_TAKEN:
            placements = ()
        memory.calls = tuple(
            KnownCall(REORDERED if p.kind == "global" and not p.in_order else p.kind, p.fused) for p in placements
        )
    return memory.calls


class _Subtractions(TorchFunctionMode):
    """Notices where one attention's result is taken from another's (differential attention)."""

    def __init__(self, placements: list[Placement]) -> None:
        super().__init__()
        self.placements = placements  # as far as the pass has come
        self.results: list[tuple[Tensor, int]] = []  # what attention gave, and which call it was
        self.concerned: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is FUSED:
            self.results = [*self.results[-_RESULTS_FOLLOWED:], (result, len(self.placements))]
            return result
        if not self.results or (func not in _MINUS and func not in _RESHAPED):
            return result
        origins = [number for value in args[:2] for tensor, number in self.results if tensor is value]
        if func in _MINUS and len(set(origins)) == 2:
            self.concerned.update(origins)
        elif origins and isinstance(result, Tensor):
            self.results.append((result, origins[0]))
        return result


_RESULTS_FOLLOWED = 8
_MINUS = {torch.sub, Tensor.sub, Tensor.__sub__, Tensor.sub_}
_RESHAPED = {
    *(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.neg, Tensor.neg, Tensor.__neg__),
    *(Tensor.transpose, Tensor.permute, Tensor.reshape, Tensor.view, Tensor.flatten, torch.transpose),
}
