"""Roles of tensors between the product of queries and keys and the sum of values, stored by the tensor's identity."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

_KEPT = 4096  # entries before those of freed tensors are removed

T = TypeVar("T")


class TensorMap(Generic[T]):
    """A value for each tensor of a pass, by the tensor's identity. No tensor is held in memory for it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], T]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, tensor: Any) -> T | None:
        """The tensor's value; None for one that has none, and for what is no tensor."""
        entry = self._known.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def set(self, tensor: Any, value: T) -> None:
        """`tensor` has that value from now on; whatever is no tensor has none."""
        if isinstance(tensor, Tensor):
            if len(self._known) > _KEPT:
                self._known = {key: entry for key, entry in self._known.items() if entry[0]() is not None}
            self._known[id(tensor)] = (weakref.ref(tensor), value)

    def discard(self, tensor: Any) -> None:
        self._known.pop(id(tensor), None)

    def clear(self) -> None:
        self._known.clear()


def is_score_matrix(shape: Sequence[int], axis: int = -1) -> bool:
    """Whether a tensor of this shape may be scores of attention, to be normalised over `axis`: a batch of matrices, queries by
    keys or keys by queries, with more than one of each.
    """
    axes = len(shape)
    return axes > 2 and axis % axes >= axes - 2 and min(shape[-2:]) > 1


@dataclass(eq=False)
class Normalisation:
    """One softmax, as a function or written in steps.

    Attributes:
        module: Dotted name of the module that computed it.
        scored: Whether its input was computed from a product of two tensors.
        shape: Shape of its weights.
        axis: The axis that was normalised.
        taken: Whether its weights were multiplied with values.
    """

    module: str
    scored: bool
    shape: torch.Size
    axis: int
    taken: bool = False

    @property
    def looks_like_attention(self) -> bool:
        """Whether it normalised rows over tokens in a batch of score matrices."""
        return self.scored and is_score_matrix(self.shape, self.axis)


@dataclass(frozen=True, eq=False)
class Role:
    """The role of one tensor.

    Attributes:
        kind: One of
            "scores" (a product of two tensors, or a function of one),
            "outer" (an entrywise product before its sum),
            "exp", "sum", "lse" and "log" (parts of a softmax written in steps: exponentials of scores, their sum, its log,
            log-probabilities),
            "unscored log" (log-probabilities of something other than scores),
            "weights" (normalised), and
            "weighted" (values multiplied by weights, before the sum).
        steps: Number of functions since the product.
        axis: The axis of a part of a softmax, counted from the end.
        of: The softmaxes that weights come from.
        changed: Of exponentials: whether an event changed the scores along the last axis before.
        activated: Of scores: whether a sigmoid or similar function was applied.
        signed: Of weights: whether they were subtracted from others.
        parts: Of "weighted" and "outer": the two tensors that were multiplied.
    """

    kind: str
    steps: int = 0
    axis: int = -1
    of: tuple[Normalisation, ...] = ()
    changed: bool = False
    activated: bool = False
    signed: bool = False
    parts: tuple[Tensor, Tensor] | None = None

    @property
    def rank(self) -> int:
        """Smaller for roles nearer to the sum of values: a function of two tensors gets the role of smaller rank."""
        return _RANKS.index(self.kind)


_RANKS = ["weights", "weighted", "log", "unscored log", "exp", "sum", "lse", "scores", "outer"]


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors among a function's arguments, including those in lists and tuples."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, Tensor))


def positional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with operands that were passed by name moved to the front."""
    kwargs = dict(kwargs)
    if not args and "input" in kwargs:
        args = (kwargs.pop("input"),)
    if len(args) == 1 and "other" in kwargs:
        args = (*args, kwargs.pop("other"))
    return args, kwargs


def replaced(args: Any, kwargs: dict[str, Any], old: Tensor, new: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the tensor `old` replaced by `new`."""

    def put(value: Any) -> Any:
        if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            return type(value)(put(one) for one in value)
        return new if value is old else value

    return tuple(put(value) for value in args), {name: put(value) for name, value in kwargs.items()}


def axis_of(args: tuple[Any, ...], kwargs: dict[str, Any], ndim: int) -> int:
    """The axis that a reduction sums over, counted from the end."""
    dim = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else -1))
    dim = dim[0] if isinstance(dim, list | tuple) and dim else dim
    return dim % ndim - ndim if isinstance(dim, int) else -1


def drops(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of dropout drops entries: training mode and a probability above 0."""
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return bool(kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))) and p > 0
