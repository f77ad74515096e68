"""Rules for functions that move and join entries: places are moved in the same way as numbers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.coordinates.tensor import (
    CONSTANT,
    NOWHERE,
    as_places,
    by_parts,
    has_places,
    narrow_places,
    place_rule,
    shape_given,
    uniform,
)
from vitviz.capture.functions import named_functions


@place_rule(
    *named_functions(
        Tensor,
        "permute transpose t expand expand_as unsqueeze squeeze split chunk unbind __getitem__ narrow select movedim",
    ),
    *named_functions(
        Tensor,
        "flip fliplr flipud rot90 unfold repeat repeat_interleave tile index_select unflatten swapaxes swapdims moveaxis",
    ),
    *named_functions(
        Tensor,
        "gather take_along_dim diagonal",
    ),
    *named_functions(
        torch,
        "permute transpose t unsqueeze squeeze split chunk unbind narrow select movedim moveaxis flip fliplr flipud "
        "repeat_interleave tile swapdims broadcast_to unflatten take_along_dim diagonal",
    ),
    *named_functions(torch, "index_select swapaxes gather rot90 tensor_split"),
    *named_functions(Tensor, "tensor_split"),
    torch.functional.split,
    *[getattr(Tensor, name).__get__ for name in ("mT", "T")],
)
def _move(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that reorder, repeat or select entries are applied to the places."""
    result = func(*args, **kwargs)
    if isinstance(result, Tensor):
        return as_places(result)
    return type(result)(as_places(part) for part in result)


@place_rule(torch.adjoint, Tensor.adjoint, *[getattr(Tensor, name).__get__ for name in ("H", "mH")])
def _adjoint(_func: Any, places: Tensor) -> Any:
    """Transposes without the conjugation: the model's numbers are real, but places are complex."""
    return as_places(places.mT)


@place_rule(Tensor.view, Tensor.reshape, Tensor.flatten, Tensor.reshape_as, torch.reshape, torch.flatten)
def _reshape(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    if args and isinstance(args[0], torch.dtype):
        return places
    # Strides of places differ from the numbers', so that a view may be impossible.
    func = {Tensor.view: Tensor.reshape}.get(func, func)
    return as_places(folded(places, tuple(shape_given(func, (places, *args), kwargs).shape)))


def folded(places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reshapes places; axes that come only from axes of shared memory (stride 0) stay shared."""
    small_old, small_new = list(places.shape), list(shape)
    old = new = 0
    while old < places.ndim and new < len(shape):
        start, begin, left, right = old, new, places.shape[old], shape[new]
        old, new = old + 1, new + 1
        while left != right:  # the smallest groups of axes of equal size on both sides
            if left < right:
                left, old = left * places.shape[old], old + 1
            else:
                right, new = right * shape[new], new + 1
        if all(places.shape[axis] == 1 or places.stride(axis) == 0 for axis in range(start, old)):
            small_old[start:old], small_new[begin:new] = [1] * (old - start), [1] * (new - begin)
    narrowed = places[tuple(slice(size) for size in small_old)]
    return narrowed.reshape(small_new).expand(shape)  # `shape` with size 1 in shared axes -> `shape`


@place_rule(Tensor.__setitem__)
def _set(_func: Any, target: Any, index: Any, value: Any) -> None:
    """Assigns places to a part of a tensor. The target is made contiguous first, because its places may share memory."""
    if not has_places(target):
        raise TypeError("places were written into a tensor that has none")
    target.set_(target.clone(memory_format=torch.contiguous_format))
    if has_places(value):
        Tensor.__setitem__(target, index, value)


@place_rule(torch.cat, torch.concat, torch.stack)
def _join(func: Any, tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Joins tensors; one that does not come from the picture is a learned token (CONSTANT)."""
    dim = kwargs.get("axis", dim)
    constant = torch.tensor(CONSTANT, dtype=torch.complex64)
    parts = [t if has_places(t) else constant.expand(t.shape) for t in tensors]
    if func is torch.stack:
        parts = [part.unsqueeze(dim) for part in parts]
    parts = [part for part in parts if part.numel()] or parts[:1]
    dim %= parts[0].ndim
    shape = [*parts[0].shape]
    shape[dim] = sum(part.shape[dim] for part in parts)
    # Axes that are shared in every part stay shared; the joined axis does if all parts are at the same places.
    shared = [a for a in range(len(shape)) if a != dim and all(part.stride(a) == 0 for part in parts)]
    parts = [part[tuple(slice(1) if a in shared else slice(None) for a in range(len(shape)))] for part in parts]
    first = [uniform(part, dim) for part in parts]
    if first[0] is not None and all(f is not None and same_places(f, first[0]) for f in first):
        return as_places(first[0].unsqueeze(dim).expand(shape))
    return as_places(torch.cat(parts, dim).expand(shape))


def same_places(left: Tensor, right: Tensor) -> bool:
    return torch.equal(torch.view_as_real(left).nan_to_num(-1.0), torch.view_as_real(right).nan_to_num(-1.0))


@place_rule(torch.roll, Tensor.roll)
def _roll(_func: Any, places: Tensor, shifts: Any, dims: Any = None) -> Any:
    return as_places(
        torch.roll(places, shifts)
        if dims is None
        else torch.roll(narrow_places(places), shifts, dims).expand(places.shape)
    )


@place_rule(F.pad)
def _pad(_func: Any, places: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pads with NOWHERE. Axes of shared memory stay shared unless they are padded."""
    pad = [int(p) for p in pad]
    if mode != "constant":
        return as_places(by_parts(places, lambda part: F.pad(part, pad, mode)))
    if not any(pad):
        return places
    axes = places.ndim - len(pad) // 2  # the axes before this one stay as they are
    kept = tuple(slice(1) if axis < axes and places.stride(axis) == 0 else slice(None) for axis in range(places.ndim))
    ends = [pad[2 * i] + pad[2 * i + 1] for i in range(len(pad) // 2)]
    for i, end in enumerate(ends):  # axes with padding of 0, as channels in the last axis
        axis = places.ndim - 1 - i
        if end == 0 and places.stride(axis) == 0:
            kept = (*kept[:axis], slice(1), *kept[axis + 1 :])
    padded = torch.constant_pad_nd(places[kept], pad, NOWHERE)
    grown = [size + (ends[places.ndim - 1 - axis] if axis >= axes else 0) for axis, size in enumerate(places.shape)]
    return as_places(padded.expand(grown))
