"""What a tensor is on the way from a product of queries and keys to the sum of values, remembered by the tensor's identity."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_KEPT = 4096  # tensors remembered before those that are gone are forgotten


@dataclass(eq=False)
class Normalisation:
    """One softmax, however it is written.

    Attributes:
        module: dotted name of the module that made it.
        scored: whether it was made of the product of two tensors.
        shape: of its weights, `axis` of which it went over.
        taken: whether a product multiplied values by its weights.
    """

    module: str
    scored: bool
    shape: torch.Size
    axis: int
    taken: bool = False

    @property
    def looks_like_attention(self) -> bool:
        """Whether it makes rows over tokens, of a batch of matrices of scores."""
        axes = len(self.shape)
        return self.scored and axes > 2 and self.axis >= axes - 2 and min(self.shape[-2:]) > 1


@dataclass(frozen=True, eq=False)
class Role:
    """What a tensor is.

    Attributes:
        kind: "weights": normalised, `of` these softmaxes "weighted": values multiplied by weights (`parts` are both), not yet
            summed "outer": a product before it is summed "scores": a product of two tensors, or what was made of it "exp",
            "sum", "lse", "log": parts of a softmax written by hand, over `axis`: exponentials of scores, their sum, the log of
            that, log-probabilities; "unscored log" of what was no product.
        steps: how many functions ago the product was.
        changed: of exponentials: whether an event changed the scores along the last axis before they were taken.
        activated: of scores: whether a sigmoid or the like was taken of them.
        signed: of weights: whether they were subtracted from others.
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
        """The smaller, the nearer to the sum of values: what is made of two tensors takes the smaller one's role."""
        return _RANKS.index(self.kind)


_RANKS = ["weights", "weighted", "log", "unscored log", "exp", "sum", "lse", "scores", "outer"]


class Roles:
    """Roles of the tensors of a pass. No tensor is held in memory for its role."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Role]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def of(self, tensor: Any) -> Role | None:
        entry = self._known.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def give(self, tensor: Any, role: Role) -> None:
        """`tensor` has a role from now on; whatever is no tensor has none."""
        if isinstance(tensor, Tensor):
            if len(self._known) > _KEPT:
                self._known = {key: entry for key, entry in self._known.items() if entry[0]() is not None}
            self._known[id(tensor)] = (weakref.ref(tensor), role)

    def forget(self, tensor: Any) -> None:
        self._known.pop(id(tensor), None)

    def clear(self) -> None:
        self._known.clear()


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors among the arguments of a function, those in lists and tuples too."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, Tensor))


def positional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the operands in front, where they were given by name."""
    kwargs = dict(kwargs)
    if not args and "input" in kwargs:
        args = (kwargs.pop("input"),)
    if len(args) == 1 and "other" in kwargs:
        args = (*args, kwargs.pop("other"))
    return args, kwargs


def replaced(args: Any, kwargs: dict[str, Any], old: Tensor, new: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with one tensor in another's place."""

    def put(value: Any) -> Any:
        if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            return type(value)(put(one) for one in value)
        return new if value is old else value

    return tuple(put(value) for value in args), {name: put(value) for name, value in kwargs.items()}


def axis_of(args: tuple[Any, ...], kwargs: dict[str, Any], ndim: int) -> int:
    """The one axis that a reduction goes over, counted from the end."""
    dim = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else -1))
    dim = dim[0] if isinstance(dim, list | tuple) and dim else dim
    return dim % ndim - ndim if isinstance(dim, int) else -1


def drops(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of dropout leaves anything out."""
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return bool(kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))) and p > 0
