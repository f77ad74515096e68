"""What a pass over places hears: a placement for every attention call of a model, in order, remembered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture import functions as known

# These say what each function does to places, by being imported.
from vitviz.capture import place_each, place_maps, place_mixtures, place_moves, place_questions  # noqa: F401
from vitviz.capture.blocks import refuse_blocks_without_attention
from vitviz.capture.call import Call
from vitviz.capture.calls import AttentionCalls, our_own_errors
from vitviz.capture.evaluation import unwrapped
from vitviz.capture.fused_call import FusedCall
from vitviz.capture.layouts import refuse_other_than_tokens
from vitviz.capture.module_names import ModuleNames
from vitviz.capture.observe import Observer, refuse_unseen, walk
from vitviz.capture.place_grid import prefix_of
from vitviz.capture.place_mixtures import at_the_queries
from vitviz.capture.placement import NEGATIVE, REORDERED, Placement, place
from vitviz.capture.places import run_on_places, without_numbers
from vitviz.capture.products import WeightedSum
from vitviz.errors import NOT_TAKEN, UnsupportedError


@dataclass(frozen=True)
class Heard:
    """What a pass over places heard: a placement for each attention call, in order."""

    placements: tuple[Placement, ...]


def heard(module: nn.Module, input_size: tuple[int, int]) -> Heard:
    """A placement for every attention call of `module`'s forward pass on a picture of (height, width), in order.

    The pass runs without numbers on a copy without weights; `module` itself is not touched. Raises whatever the module
    raises for a size that it does not take, UnsupportedError where its attention cannot be seen or followed, in one of its
    blocks either, and CaptureError where a rule for places fails.
    """
    module = unwrapped(module)
    bare = without_numbers(module)
    named = list(walk(bare))
    refuse_unseen(named, getattr(bare, "attn_pool", None))
    names = ModuleNames(named)
    ran: set[nn.Module] = set()
    for part in bare.modules():
        part.register_forward_pre_hook(lambda own, _: ran.add(own))
    events = Placing(names, prefix_of(module), input_size)
    calls = AttentionCalls(events, names)
    try:
        with _Subtractions(events.results) as subtractions, calls:
            run_on_places(bare, input_size)
    except NOT_TAKEN as error:
        error.add_note(f"in {names.raising(error) or 'the model'!r}")
        raise
    placements = events.placements
    refuse_blocks_without_attention(bare, [p.module for p in placements], ran, calls.products)
    for number in subtractions.concerned | events.negative:
        placements[number] = replace(placements[number], kind=NEGATIVE, query_layout=None)
    return Heard(tuple(placements))


class NotFollowed(UnsupportedError):
    """The model's own code does not run on places."""

    @classmethod
    def of(cls, module: nn.Module, error: Exception) -> NotFollowed:
        """What `heard` raised of `module`, in words."""
        where = " ".join(getattr(error, "__notes__", ()))
        return cls(
            f"Which token is which patch cannot be followed through {type(module).__name__}: without numbers its forward pass "
            f"raises {type(error).__name__} {where}. It may depend on the values of its input; choose a model that does not."
        )


class Placing(Observer):
    """Places every attention call, and what comes out of it at its queries."""

    def __init__(self, names: ModuleNames, prefix: tuple[str, ...], input_size: tuple[int, int]) -> None:
        super().__init__(names, self._place)
        self.placements: list[Placement] = []
        self.negative: set[int] = set()
        self.results: list[tuple[Tensor, int]] = []  # what attention gave, and which call it was
        self._prefix, self._size = prefix, input_size

    def _place(self, call: Call) -> None:
        with our_own_errors("the places of an attention call"):
            self.placements.append(place(call, self._prefix, self._size))

    def fused(self, call: FusedCall) -> Tensor:
        return self._remembered(super().fused(call))

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        super().output(call, out)
        if call.signed:
            self.negative.add(len(self.placements) - 1)
        return self._remembered(out if call.plain else at_the_queries(call.weights, call.values, out))

    def _remembered(self, out: Tensor) -> Tensor:
        self.results[:] = [*self.results[-_RESULTS_FOLLOWED:], (out, len(self.placements) - 1)]
        return out


@dataclass(frozen=True)
class KnownCall:
    """What an attention call is at any size of input.

    module dotted name of the module that makes it
    kind   as of a `Placement`, and "reordered" where a grid's tokens do not come as their layout counts them
    fused  whether the model made no weights of its own
    """

    module: str
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
    module = unwrapped(module)
    known = _memory_of(module).placements
    if input_size not in known:
        if len(known) == _SIZES_REMEMBERED:
            known.pop(next(iter(known)))
        known[input_size] = heard(module, input_size).placements
    return known[input_size]


def known_calls(module: nn.Module, input_size: tuple[int, int]) -> tuple[KnownCall, ...]:
    """Every attention call in order, from a pass over places at whatever size comes first: whether a model relates tokens or
    channels, subtracts its maps or keeps its patches in an order of its own does not change with the size.

    Raises NotFollowed where the model's own code raises on places, UnsupportedError and CaptureError as `heard`.
    """
    module = unwrapped(module)
    memory = _memory_of(module)
    if memory.calls is None:
        try:
            placements = placements_of(module, input_size)
        except NOT_TAKEN as error:
            raise NotFollowed.of(module, error) from error
        memory.calls = tuple(
            KnownCall(p.module, REORDERED if p.kind == "global" and not p.in_order else p.kind, p.fused)
            for p in placements
        )
    return memory.calls


def refuse_other_kinds(module: nn.Module, input_size: tuple[int, int]) -> None:
    """Raises UnsupportedError where a call of `module` does not relate tokens row by row, and as `known_calls`."""
    for call in known_calls(module, input_size):
        refuse_other_than_tokens(call.module, call.kind)


def forget_calls(module: nn.Module) -> None:
    """What is remembered of `module` no longer holds: it was changed."""
    _memories.pop(unwrapped(module), None)


class _Subtractions(TorchFunctionMode):
    """Notices where one attention's result is taken from another's (differential attention)."""

    def __init__(self, results: list[tuple[Tensor, int]]) -> None:
        super().__init__()
        self.results = results
        self.concerned: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.results or (func not in _MINUS and func not in _RESHAPED):
            return result
        origins = [number for value in args[:2] for tensor, number in self.results if tensor is value]
        if func in _MINUS and len(set(origins)) == 2:
            self.concerned.update(origins)
        elif origins and isinstance(result, Tensor):
            self.results.append((result, origins[0]))
        return result


_RESULTS_FOLLOWED = 8
_MINUS = known.SUBTRACT
_RESHAPED = {
    *(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.neg, Tensor.neg, Tensor.__neg__),
    *(Tensor.transpose, Tensor.permute, Tensor.reshape, Tensor.view, Tensor.flatten, torch.transpose),
}
