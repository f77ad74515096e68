"""What a pass over places hears: a placement for every attention call of a model, in order, remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

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
from vitviz.capture.placement import NEGATIVE, PARALLEL, REORDERED, Placement, place
from vitviz.capture.places import run_on_places, without_numbers
from vitviz.capture.products import WeightedSum
from vitviz.capture.roles import tensors_in
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
    inputs: dict[nn.Module, Callable[[], object]] = {}  # of the modules that ran; no tensor is kept alive for it
    for part in bare.modules():
        part.register_forward_pre_hook(lambda own, *given: inputs.update({own: _first(*given)}), with_kwargs=True)
    descent = _Descent()
    events = Placing(names, prefix_of(module), input_size, descent, lambda name: inputs[bare.get_submodule(name)]())
    calls = AttentionCalls(events, names)
    try:
        with descent, _Subtractions(events.results) as subtractions, calls:
            run_on_places(bare, input_size)
    except NOT_TAKEN as error:
        error.add_note(f"in {names.raising(error) or 'the model'!r}")
        raise
    placements = events.placements
    refuse_blocks_without_attention(bare, [p.module for p in placements], inputs, calls.products)
    for number in subtractions.concerned | events.negative:
        placements[number] = replace(placements[number], kind=NEGATIVE, query_layout=None)
    for number in events.parallel:
        placements[number] = replace(placements[number], parallel=True)
    return Heard(tuple(placements))


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], object]:
    """A reference to the input of a module, the first tensor that it is called with; None where that is gone, or was none."""
    given = next(tensors_in(args, kwargs), None)
    return (lambda: None) if given is None else ref(given)


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

    def __init__(
        self,
        names: ModuleNames,
        prefix: tuple[str, ...],
        input_size: tuple[int, int],
        descent: _Descent | None = None,
        input_of: Callable[[str], object] = lambda name: None,
    ) -> None:
        """descent   of which calls each tensor was made, where the pass is followed that far
        input_of  what a module, by its dotted name, was called with last, or None where that is not known
        """
        super().__init__(names, self._place)
        self.placements: list[Placement] = []
        self.negative: set[int] = set()
        self.results: list[tuple[Tensor, int]] = []  # what attention gave, and which call it was
        self.parallel: set[int] = set()  # calls on the same input as the one before or after
        self._input: object = None  # of the module that made the last call
        self._descent, self._made_of = descent or _Descent(), 0
        self._prefix, self._size, self._input_of = prefix, input_size, input_of

    def _place(self, call: Call) -> None:
        with our_own_errors("the places of an attention call"):
            self.placements.append(place(call, self._prefix, self._size))
            last, before, self._input = len(self.placements) - 1, self._input, self._input_of(call.module)
            if last and before is not None and before is self._input and not self._made_of >> (last - 1) & 1:
                self.parallel |= {last - 1, last}

    def fused(self, call: FusedCall) -> Tensor:
        number, self._made_of = len(self.placements), self._descent.of(call.query, call.key, call.value)
        out = super().fused(call)
        self._descent.add(out, self._made_of | 1 << number)
        return self._remembered(out)

    def weights(self, weights: Tensor) -> Tensor:
        self._made_of = self._descent.of(weights)
        self._descent.add(weights, 1 << len(self.placements))
        return weights

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
    kind   as of a `Placement`; "reordered" where a grid's tokens do not come as their layout counts them, "parallel" where
           they are no layer by themselves
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
        memory.calls = tuple(KnownCall(p.module, _kind(p), p.fused) for p in placements)
    return memory.calls


def _kind(placement: Placement) -> str:
    if placement.kind != "global":
        return placement.kind
    return PARALLEL if placement.parallel else placement.kind if placement.in_order else REORDERED


def refuse_other_kinds(module: nn.Module, input_size: tuple[int, int]) -> None:
    """Raises UnsupportedError where a call of `module` does not relate tokens row by row, and as `known_calls`."""
    for call in known_calls(module, input_size):
        refuse_other_than_tokens(call.module, call.kind)


def forget_calls(module: nn.Module) -> None:
    """What is remembered of `module` no longer holds: it was changed."""
    _memories.pop(unwrapped(module), None)


class _Descent(TorchFunctionMode):
    """Of which attention calls each tensor of the pass was made, as bits: bit n for call n."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = WeakTensorKeyDictionary()

    def of(self, *tensors: Tensor) -> int:
        calls = 0
        for tensor in tensors:
            calls |= self._calls.get(tensor, 0)
        return calls

    def add(self, tensor: Tensor, calls: int) -> None:
        self._calls[tensor] = self.of(tensor) | calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._calls and (calls := self.of(*tensors_in(args, kwargs or {}))):
            written = args[:1] if func in known.SET_ITEM else ()
            for tensor in tensors_in((result, *written), {}):
                self.add(tensor, calls)
        return result


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
