"""Runs the pass over coordinates: a `Placement` for every attention call of a model, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture import functions as known
from vitviz.capture.calls import AttentionCalls, our_own_errors

# Importing these modules registers the rules.
from vitviz.capture.coordinates import conv, move, pointwise, reduce  # noqa: F401
from vitviz.capture.coordinates.placement import NEGATIVE, Placement, place, prefix_of
from vitviz.capture.coordinates.reduce import at_the_queries
from vitviz.capture.coordinates.tensor import run_on_places, without_numbers
from vitviz.capture.events import Call, FusedCall
from vitviz.capture.functions import WeightedSum
from vitviz.capture.modules import ModuleNames, unordered_modules, unwrapped
from vitviz.capture.observe import Observer, refuse_blocks_without_attention, refuse_unseen
from vitviz.capture.roles import TensorMap, tensors_in
from vitviz.errors import INPUT_ERRORS


def place_calls(module: nn.Module, input_size: tuple[int, int]) -> tuple[Placement, ...]:
    """A placement for every attention call of `module`'s forward pass on a picture of (height, width), in order.

    The pass runs on a copy on the meta device; `module` is not modified. Raises what the module raises for a size that it does
    not accept.

    Raises:
        UnsupportedError: If attention, in one block or all, cannot be observed or followed.
        CaptureError: If a rule for places fails.
    """
    module = unwrapped(module)
    bare = without_numbers(module)
    named = list(unordered_modules(bare))
    refuse_unseen(named, getattr(bare, "attn_pool", None))
    names = ModuleNames(named)
    inputs: dict[nn.Module, Callable[[], object]] = {}  # of the modules that ran; weak references
    for part in bare.modules():
        part.register_forward_pre_hook(lambda own, *given: inputs.update({own: _first(*given)}), with_kwargs=True)
    descent = _CallAncestry()
    events = Placing(names, prefix_of(module), input_size, descent, lambda name: inputs[bare.get_submodule(name)]())
    calls = AttentionCalls(events, names)
    try:
        with descent, _Subtractions(events.results) as subtractions, calls:
            run_on_places(bare, input_size)
    except INPUT_ERRORS as error:
        error.add_note(f"in {names.raising(error) or 'the model'!r}")
        raise
    placements = events.placements
    refuse_blocks_without_attention(bare, [p.module for p in placements], inputs, calls.products)
    for number in subtractions.concerned | events.negative:
        placements[number] = replace(placements[number], kind=NEGATIVE, query_layout=None)
    for number in events.parallel:
        placements[number] = replace(placements[number], parallel=True)
    return tuple(placements)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], object]:
    """A weak reference to the first tensor argument of a module; it returns None if there was none or it was freed."""
    given = next(tensors_in(args, kwargs), None)
    return (lambda: None) if given is None else ref(given)


class Placing(Observer):
    """Determines every attention call's placement, and puts its output at the places of its queries."""

    def __init__(
        self,
        names: ModuleNames,
        prefix: tuple[str, ...],
        input_size: tuple[int, int],
        descent: _CallAncestry | None = None,
        input_of: Callable[[str], object] = lambda name: None,
    ) -> None:
        """Starts without placements.

        Args:
            names: The model's modules by name.
            prefix: Names of the model's prefix tokens.
            input_size: (height, width) in pixels.
            descent: From which calls each tensor was computed; None not to track it.
            input_of: Dotted name of a module -> its last input, or None if unknown.
        """
        super().__init__(names, self._place)
        self.placements: list[Placement] = []
        self.negative: set[int] = set()
        self.results = TensorMap[int]()  # output -> number of the call
        self.parallel: set[int] = set()  # calls on the same input as the one before or after
        self._input: object = None  # of the module that made the last call
        self._descent, self._made_of = descent or _CallAncestry(), 0
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
        self.results.set(out, len(self.placements) - 1)
        return out


class _CallAncestry(TorchFunctionMode):
    """Tracks from which attention calls each tensor was computed, as a bit mask: bit n for call n."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = TensorMap[int]()

    def of(self, *tensors: Tensor) -> int:
        calls = 0
        for tensor in tensors:
            calls |= self._calls.get(tensor) or 0
        return calls

    def add(self, tensor: Tensor, calls: int) -> None:
        self._calls.set(tensor, self.of(tensor) | calls)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._calls and (calls := self.of(*tensors_in(args, kwargs or {}))):
            written = args[:1] if func in known.SET_ITEM else ()
            for tensor in tensors_in((result, *written), {}):
                self.add(tensor, calls)
        return result


class _Subtractions(TorchFunctionMode):
    """Detects that the output of one attention call is subtracted from another's (differential attention)."""

    def __init__(self, results: TensorMap[int]) -> None:
        super().__init__()
        self.results = results
        self.concerned: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.results or (func not in _MINUS and func not in _RESHAPED):
            return result
        origins = [number for value in args[:2] if (number := self.results.get(value)) is not None]
        if func in _MINUS and len(set(origins)) == 2:
            self.concerned.update(origins)
        elif origins and isinstance(result, Tensor):
            self.results.set(result, origins[0])
        return result


_MINUS = known.SUBTRACT
_RESHAPED = {
    *(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.neg, Tensor.neg, Tensor.__neg__),
    *(Tensor.transpose, Tensor.permute, Tensor.reshape, Tensor.view, Tensor.flatten, torch.transpose),
}
