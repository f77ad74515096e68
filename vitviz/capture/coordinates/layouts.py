"""Cached results of the pass over coordinates: the layout of a model's first attention, and every call's placement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.coordinates.placement import Placement, prefix_of
from vitviz.capture.coordinates.run import Placing, place_calls
from vitviz.capture.coordinates.tensor import Places, is_mixture, run_on_places, uniform, without_numbers
from vitviz.capture.events import Call
from vitviz.capture.layers import refuse_other_than_tokens
from vitviz.capture.modules import ModuleNames, unordered_modules, unwrapped
from vitviz.capture.roles import is_score_matrix
from vitviz.errors import INPUT_ERRORS, UnsupportedError
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class FirstAttention:
    """Result of `first_attention`.

    Attributes:
        attends: Whether the pass had anything like attention, including a softmax over a matrix of scores.
        layout: Layout of the first attention that relates patches; None if there is none.
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
        # The class token of a pooling layer, or the mean of the patches in attention pooling, is added just before this call.
        joined = found.kind == "pooling" or _has_mean(call)
        raise _Found(replace(finest, prefix=()) if joined else finest)

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        self.attends = True
        return super().pooled(*args, **{**kwargs, "need_weights": True})

    def scores(self, scores: Tensor) -> Tensor:
        self.attends = self.attends or is_score_matrix(scores.shape)
        return scores


def _has_mean(call: Call) -> bool:
    """Whether one of the keys is made of all patches."""
    keys = call.k if call.fused else call.v
    if not isinstance(keys, Places):
        return False
    with torch._C.DisableTorchFunctionSubclass():
        places = uniform(keys, -1)
        return places is not None and bool(is_mixture(places).any())


def first_attention(module: nn.Module, input_size: tuple[int, int]) -> FirstAttention:
    """The layout of the first attention over patches. The pass over coordinates ends there.

    Tokens are identified by the places of the pixels that they are computed from, not by their number: 28 tokens may be a grid
    of 7 x 4, or one of 6 x 4 with four registers. If queries and keys are on two grids (pooled keys), the finer one is used.

    `module` is not modified. Raises what the module raises for a size that it does not accept.

    Args:
        module: The model.
        input_size: (height, width) in pixels.
    """
    module = unwrapped(module)
    bare = without_numbers(module)
    names = ModuleNames(list(unordered_modules(bare)))
    first = _First(names, prefix_of(module), input_size)
    try:
        with AttentionCalls(first, names, refusing=False):
            run_on_places(bare, input_size)
    except _Found as found:
        return FirstAttention(True, found.layout)
    return FirstAttention(first.attends, None)


class NotFollowed(UnsupportedError):
    """The model's own code does not run on coordinates."""

    @classmethod
    def of(cls, module: nn.Module, error: Exception) -> NotFollowed:
        """The error for what `place_calls` raised in `module`."""
        where = " ".join(getattr(error, "__notes__", ()))
        return cls(
            f"Which token is which patch cannot be followed through {type(module).__name__}: without numbers its forward pass "
            f"raises {type(error).__name__} {where}. It may depend on the values of its input; choose a model that does not."
        )


@dataclass(frozen=True)
class KnownCall:
    """The properties of an attention call that do not depend on the input size.

    Attributes:
        module: Dotted name of the module that makes it.
        kind: `Placement.sequence_kind`: a `Placement`'s kind, or REORDERED or PARALLEL.
        fused: Whether the model used the fused call.
    """

    module: str
    kind: str
    fused: bool


@dataclass
class _Memory:
    """Cached results for a module, valid while it consists of the same modules (`built_of`: their ids)."""

    built_of: tuple[int, ...]
    placements: dict[tuple[int, int], tuple[Placement, ...]] = field(default_factory=dict)
    calls: tuple[KnownCall, ...] | None = None


_memories: WeakKeyDictionary[nn.Module, _Memory] = WeakKeyDictionary()


SIZES_REMEMBERED = 16


def _memory_of(module: nn.Module) -> _Memory:
    built_of = tuple(id(inner) for _, inner in unordered_modules(module))
    memory = _memories.get(module)
    if memory is None or memory.built_of != built_of:
        memory = _memories[module] = _Memory(built_of)
    return memory


def placements_of(module: nn.Module, input_size: tuple[int, int]) -> tuple[Placement, ...]:
    """`place_calls`, cached for the last few sizes while the module exists."""
    module = unwrapped(module)
    known = _memory_of(module).placements
    if input_size not in known:
        if len(known) == SIZES_REMEMBERED:
            known.pop(next(iter(known)))
        known[input_size] = place_calls(module, input_size)
    return known[input_size]


def known_calls(module: nn.Module, input_size: tuple[int, int]) -> tuple[KnownCall, ...]:
    """Every attention call in order, from a pass over coordinates at the first requested size.

    Whether a model relates tokens or channels, subtracts its maps or reorders its patches does not change with the size.

    Raises:
        NotFollowed: If the model's own code raises on coordinates.
        UnsupportedError, CaptureError: As `place_calls`.
    """
    module = unwrapped(module)
    memory = _memory_of(module)
    if memory.calls is None:
        try:
            placements = placements_of(module, input_size)
        except INPUT_ERRORS as error:
            raise NotFollowed.of(module, error) from error
        memory.calls = tuple(KnownCall(p.module, p.sequence_kind, p.fused) for p in placements)
    return memory.calls


def refuse_other_kinds(module: nn.Module, input_size: tuple[int, int]) -> None:
    """Raises UnsupportedError if a call of `module` does not relate tokens row by row, and errors as `known_calls`."""
    for call in known_calls(module, input_size):
        refuse_other_than_tokens(call.module, call.kind)


def forget_calls(module: nn.Module) -> None:
    """Clears the cached results of `module`, after it was changed."""
    _memories.pop(unwrapped(module), None)
