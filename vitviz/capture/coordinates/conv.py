"""Rules for layers over feature maps: the output of a convolution is placed at the centre of its kernel."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.coordinates.tensor import (
    NOWHERE,
    as_places,
    by_parts,
    has_places,
    is_place,
    mean_place,
    mixture_of_all,
    narrow_places,
    place_rule,
    shape_given,
    without_rule,
)


@place_rule(F.linear)
def _linear(_func: Any, places: Tensor, weight: Tensor, bias: Any = None) -> Any:
    if not has_places(places):
        return mixture_of_all((*places.shape[:-1], weight.shape[0]))
    return as_places(mean_place(places, -1).expand(*places.shape[:-1], weight.shape[0]))


def pair_of(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _centre_taps(
    places: Tensor, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any, shape: tuple[int, int]
) -> Tensor:
    """(batch, channels, *shape): the place at the kernel's centre; of an even kernel, the mean of its two middle entries."""
    stride, dilation = pair_of(stride), pair_of(dilation)
    if padding == "same":
        padding = tuple((d * (k - 1)) // 2 for k, d in zip(kernel, dilation, strict=True))
    pads = (0, 0) if padding == "valid" else pair_of(padding)
    for axis in (0, 1):
        # With stride 1 the output keeps the input's places; an even kernel does not shift them by half a cell.
        middle = kernel[axis] // 2 if stride[axis] == 1 else (kernel[axis] - 1) / 2
        at = torch.arange(shape[axis]) * stride[axis] - pads[axis] + dilation[axis] * middle
        places = _resampled(places, axis + places.ndim - 2, at)
    return places


@place_rule(F.conv2d, torch.conv2d)
def _conv2d(
    func: Any,
    places: Any,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if not has_places(places):
        return without_rule(func, places, weight, bias, stride, padding, dilation, groups)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    shape = _output_size(places, kernel, stride, padding, dilation)
    taps = _centre_taps(mean_place(places, -3)[..., :1, :, :], kernel, stride, padding, dilation, shape)
    return as_places(taps.expand(*places.shape[:-3], weight.shape[0], *shape))


def _output_size(places: Tensor, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    if padding == "same":
        return int(places.shape[-2]), int(places.shape[-1])
    pads = (0, 0) if padding == "valid" else pair_of(padding)
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(places.shape[-2:], kernel, pair_of(stride), pads, pair_of(dilation), strict=True)
    ]
    return sizes[0], sizes[1]


@place_rule(F.avg_pool2d, F.max_pool2d, torch.max_pool2d)
def _pool(
    func: Any, places: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *args: Any, **kwargs: Any
) -> Any:
    shape = shape_given(func, (places, kernel_size, stride, padding, *args), kwargs).shape[-2:]
    dilation = kwargs.get("dilation", 1)
    taps = _centre_taps(
        places[..., :1, :, :], pair_of(kernel_size), stride or kernel_size, padding, dilation, tuple(shape)
    )
    return as_places(taps.expand(*places.shape[:-2], *shape))


@place_rule(F.adaptive_avg_pool2d, F.adaptive_max_pool2d)
def _adaptive(_func: Any, places: Tensor, output_size: Any, *_: Any, **__: Any) -> Any:
    if tuple(pair_of(output_size)) == (1, 1):
        return mixture_of_all((*places.shape[:-2], 1, 1))
    pooled = by_parts(places[..., :1, :, :], lambda part: F.adaptive_avg_pool2d(part, output_size))
    return as_places(pooled.expand(*places.shape[:-2], *pooled.shape[-2:]))


@place_rule(F.interpolate)
def _interpolate(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Pixels of a resized map are spaced evenly over the same picture; places at the edges are extrapolated, not clamped."""
    shape = shape_given(func, (places, *args), kwargs).shape
    for axis in range(2, places.ndim):
        size, length = places.shape[axis], shape[axis]
        places = _resampled(places, axis, (torch.arange(length) + 0.5) * (size / length) - 0.5)
    return as_places(places)


@place_rule(F.conv_transpose2d)
def _spread(func: Any, places: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Any:
    shape = shape_given(func, (places, weight, *args), kwargs).shape
    stride = pair_of(kwargs.get("stride", args[1] if len(args) > 1 else 1))
    padding = pair_of(kwargs.get("padding", args[2] if len(args) > 2 else 0))
    places = mean_place(places, 1)
    for axis in (2, 3):
        centre = padding[axis - 2] - (weight.shape[axis] - 1) / 2
        places = _resampled(places, axis, (torch.arange(shape[axis]) + centre) / stride[axis - 2])
    return as_places(places.expand(shape))


def _resampled(places: Tensor, axis: int, at: Tensor) -> Tensor:
    """Places at fractional positions along an axis, by linear interpolation, and extrapolation beyond its ends."""
    if places.shape[axis] == 1:
        return places.expand([len(at) if a == axis else size for a, size in enumerate(places.shape)])
    shape = [len(at) if a == axis else size for a, size in enumerate(places.shape)]
    places = narrow_places(places)
    if places.shape[axis] == 1:
        return places.expand(shape)
    below = at.floor().clamp(0, places.shape[axis] - 2).long()
    part = (at - below).reshape([-1 if a == axis else 1 for a in range(places.ndim)])  # (n,) -> n along `axis`, else 1
    low, high = places.index_select(axis, below), places.index_select(axis, below + 1)
    between = torch.where(part == 0, low, low + (high - low) * part)
    # Next to padding: the nearer place.
    between = torch.where(between.isnan(), torch.where(part > 0.5, high, low), between)
    between = torch.where(between.isnan(), torch.where(part > 0.5, low, high), between)
    return between.expand(shape)


@place_rule(F.unfold)
def _unfold(_func: Any, places: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    (above, beside) = pair_of(padding)
    padded = torch.constant_pad_nd(places, (beside, beside, above, above), NOWHERE)
    return as_places(by_parts(padded, lambda part: F.unfold(part, kernel_size, dilation, 0, stride)))


@place_rule(F.pixel_shuffle, F.pixel_unshuffle, torch.pixel_shuffle, torch.pixel_unshuffle)
def _shuffle(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    return as_places(by_parts(places, lambda part: func(part, *args, **kwargs)))


@place_rule(F.fold)
def _fold(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Overlapping windows are folded to a map: each pixel has the mean place of the entries added to it."""
    known = is_place(places)
    count = func(known.float(), *args, **kwargs)
    return as_places(by_parts(torch.where(known, places, 0), lambda part: func(part, *args, **kwargs) / count))
