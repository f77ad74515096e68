"""Where in the picture every number of a forward pass belongs: a tensor of places that travels through the model
instead of pixels.

Attention calls tell what is related, not which token is which patch: models cut their maps into windows, roll, pad,
pool and fold them before they attend. All of that is moving things about. So the model's own forward pass is run once
on places instead of numbers: whatever moves numbers moves places in the same way, whatever computes on a token (a
projection, a norm, an activation) leaves its place alone, and a convolution's output belongs where the centre of its
kernel was. No list of architectures is needed, and a shift or a partition nobody has seen before is followed all the
same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOWHERE = complex(float("nan"), float("nan"))  # padding
CONSTANT = complex(-(2.0**20), 0.0)  # a learned token: it belongs to no place in the picture
EVERYWHERE = complex(2.0**20, 0.0)  # a mixture over places, as a sum over all tokens is
_FAR = 2.0**19

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


class Places(Tensor):
    """Complex tensor in the shape of the numbers it stands for: row + column j, in input pixels; or one of the
    constants above.

    Numbers at the same place share memory (stride 0) wherever possible, so that a pass over places costs little.
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return RULES.get(func, _unknown)(func, *args, **(kwargs or {}))


def picture(height: int, width: int, batch: int = 1) -> Places:
    """(batch, 3, height, width): the input, each pixel at its own centre."""
    rows, cols = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return _wrap(torch.complex(*torch.meshgrid(rows, cols, indexing="ij")).expand(batch, 3, height, width))


def run_on_places(module: nn.Module, input_size: tuple[int, int]) -> Any:
    """`module`'s output for a picture of (height, width) whose pixels are their own places. The module is on the meta
    device.
    """
    with torch.inference_mode():
        return module(picture(*input_size))


def without_numbers(module: nn.Module) -> nn.Module:
    """A copy of `module` on the meta device: the same structure, no weights copied, and nothing shared that a pass
    could change.
    """
    tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
    memo: dict[int, Any] = {}
    for key, tensor in tensors.items():
        empty = _shell(tensor)
        memo[key] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    bare = copy.deepcopy(module, memo)
    for part in bare.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return bare.eval()


def is_place(places: Tensor) -> Tensor:
    """Whether each entry is a place in the picture: neither padding nor a learned token nor a mixture."""
    return places.real.abs() < _FAR


def is_constant(places: Tensor) -> Tensor:
    return places.real <= -_FAR


def is_mixture(places: Tensor) -> Tensor:
    return places.real >= _FAR


def uniform(places: Tensor, dim: int) -> Tensor | None:
    """`places` without axis `dim`, or None where they differ along it."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.select(dim, 0)
    dim %= places.ndim
    numbers = torch.view_as_real(_narrowed(places)).nan_to_num(-1.0)  # (.., 2)
    first = numbers.narrow(dim, 0, 1)
    return places.select(dim, 0) if bool(((numbers - first).abs() < 1e-3).all()) else None


# What follows works on plain complex tensors: inside a rule, torch functions are torch's own again.


def _wrap(places: Tensor) -> Places:
    return places.as_subclass(Places)


def _tracked(value: Any) -> bool:
    return isinstance(value, Places)


def _narrowed(places: Tensor) -> Tensor:
    """The same places with every axis along which memory is shared cut down to one entry."""
    for dim in range(places.ndim):
        if places.shape[dim] > 1 and places.stride(dim) == 0:
            places = places.narrow(dim, 0, 1)
    return places


def _mean(places: Tensor, dim: int) -> Tensor:
    """The mean place along an axis, padding left out; the axis stays, with one entry."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.narrow(dim, 0, 1)
    shape, places = list(places.shape), _narrowed(places)
    shape[dim] = 1
    return torch.view_as_complex(torch.view_as_real(places).nanmean(dim % places.ndim, keepdim=True)).expand(shape)


def _parts(places: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """An operation on real tensors, applied to rows and columns apart."""
    return torch.complex(operation(places.real.contiguous()), operation(places.imag.contiguous()))


def _shape_of(func: Any, args: Any, kwargs: Any) -> Any:
    """What torch's function gives for tensors of these shapes, without numbers."""
    return func(*_bare(args), **{name: _bare(value) for name, value in kwargs.items()})


def _bare(value: Any) -> Any:
    if isinstance(value, Places):
        return torch.empty(value.shape, device="meta")
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(_bare(entry) for entry in value)
    return _shell(value) if isinstance(value, Tensor) else value


def _shell(tensor: Tensor) -> Tensor:
    """The tensor's shape without its numbers; floating ones in single precision, as places claim to be."""
    return tensor.detach().to("meta", torch.float32 if tensor.is_floating_point() else tensor.dtype)


def _mixture(shape: Any) -> Places:
    return _wrap(torch.tensor(EVERYWHERE, dtype=torch.complex64).expand(shape))


def _unknown(func: Any, *args: Any, **kwargs: Any) -> Any:
    """A function without a rule: where it keeps the shape it worked on each number alone; otherwise its result is a
    mixture.
    """
    result = _shape_of(func, args, kwargs)
    first = next((value for value in args if _tracked(value)), None)
    if isinstance(result, Tensor):
        return first if first is not None and result.shape == first.shape else _mixture(result.shape)
    if isinstance(result, list | tuple):
        return type(result)(_mixture(r.shape) if isinstance(r, Tensor) else r for r in result)
    return result


def _rule(*functions: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, rule))
        return rule

    return register


def _named(owner: Any, names: str) -> list[Any]:
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


@_rule(
    *_named(
        Tensor,
        "clone detach float half to type type_as contiguous softmax sigmoid tanh exp sqrt rsqrt relu neg abs square",
    ),
    *_named(Tensor, "clamp clamp_min log masked_fill masked_fill_ amax_ __pow__ __neg__ pow bfloat16 cos sin log2"),
    *_named(torch, "softmax sigmoid tanh exp sqrt rsqrt relu neg clamp square pow batch_norm layer_norm"),
    *_named(
        F,
        "dropout dropout1d dropout2d relu relu6 gelu silu hardswish hardsigmoid hardtanh leaky_relu elu mish "
        "softplus softmax sigmoid",
    ),
    *_named(F, "layer_norm group_norm batch_norm rms_norm normalize instance_norm prelu log_softmax tanh celu selu"),
)
def _stay(func: Any, places: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Computed on each token alone, or on each channel alone: every number keeps its place."""
    if places is None:
        places = kwargs.get("input", kwargs.get("x"))
    return places if _tracked(places) else _unknown(func, places, *args, **kwargs)


@_rule(
    *_named(
        Tensor,
        "permute transpose t expand expand_as unsqueeze squeeze split chunk unbind __getitem__ narrow select movedim",
    ),
    *_named(
        Tensor,
        "flip unfold repeat repeat_interleave tile index_select unflatten swapaxes gather diagonal",
    ),
    *_named(
        torch,
        "permute transpose unsqueeze squeeze split chunk unbind narrow movedim flip repeat_interleave tile",
    ),
    *_named(torch, "index_select swapaxes gather rot90 tensor_split"),
    *_named(Tensor, "tensor_split"),
    torch.functional.split,
    *[getattr(Tensor, name).__get__ for name in ("mT", "T")],
)
def _move(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Moves numbers about: the same function moves their places."""
    result = func(*args, **kwargs)
    if isinstance(result, Tensor):
        return _wrap(result)
    return type(result)(_wrap(part) for part in result)


@_rule(Tensor.view, Tensor.reshape, Tensor.flatten, Tensor.reshape_as, torch.reshape, torch.flatten)
def _reshape(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    if args and isinstance(args[0], torch.dtype):
        return places
    func = {Tensor.view: Tensor.reshape}.get(func, func)  # shared memory is laid out differently from the numbers' own
    return _wrap(_folded(places, tuple(_shape_of(func, (places, *args), kwargs).shape)))


def _folded(places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reshaped, with memory still shared along the axes that come only from axes along which it was."""
    small_old, small_new = list(places.shape), list(shape)
    old = new = 0
    while old < places.ndim and new < len(shape):
        start, begin, left, right = old, new, places.shape[old], shape[new]
        old, new = old + 1, new + 1
        while left != right:  # the smallest groups of axes with as many entries on both sides
            if left < right:
                left, old = left * places.shape[old], old + 1
            else:
                right, new = right * shape[new], new + 1
        if all(places.shape[axis] == 1 or places.stride(axis) == 0 for axis in range(start, old)):
            small_old[start:old], small_new[begin:new] = [1] * (old - start), [1] * (new - begin)
    narrowed = places[tuple(slice(size) for size in small_old)]
    return narrowed.reshape(small_new).expand(shape)


@_rule(
    *_named(
        Tensor,
        "size dim stride is_contiguous numel element_size is_floating_point __len__ __hash__ nelement "
        "is_complex get_device",
    ),
    *[
        getattr(Tensor, name).__get__
        for name in "shape ndim requires_grad is_cuda is_mps is_meta is_nested layout grad_fn".split()
    ],
    *[getattr(Tensor, name).__get__ for name in "is_sparse is_quantized is_mkldnn grad is_leaf".split()],
)
def _ask(func: Any, *args: Any, **kwargs: Any) -> Any:
    return func(*args, **kwargs)


@_rule(getattr(Tensor, "device").__get__)  # noqa: B009
def _device(*_: Any) -> torch.device:
    """Beside the weights, so that what the model makes for itself on its input's device meets them there."""
    return torch.device("meta")


@_rule(getattr(Tensor, "dtype").__get__)  # noqa: B009
def _dtype(*_: Any) -> torch.dtype:
    return torch.float32


@_rule(torch._fused_sdp_choice)
def _choice(*_: Any, **__: Any) -> int:
    return 0


@_rule(torch.is_floating_point)
def _floating(*_: Any) -> bool:
    return True


@_rule(
    *_named(torch, "zeros_like ones_like empty_like rand_like randn_like full_like"),
    *_named(Tensor, "new_zeros new_ones new_empty new_full new_tensor"),
)
def _made(func: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("device", None)
    return _shape_of(func, args, kwargs)


@_rule(
    *_named(
        Tensor,
        "add sub mul div true_divide __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__",
    ),
    *_named(torch, "add sub mul div true_divide maximum minimum where addcmul"),
    *_named(Tensor, "addcmul maximum minimum where"),
)
def _combine(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Two tensors into one: at the place of the one that has the result's shape; of the first that has a place where
    both do.
    """
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    operands = [tensor for tensor in tensors if _tracked(tensor)]
    full = [tensor for tensor in operands if tensor.shape == shape]
    if len(full) == 1:
        return full[0]
    first, *others = [_narrowed(_align(tensor, len(shape))) for tensor in (full or operands)]
    for other in others:
        known = is_place(first)
        if bool(known.all()):
            break
        first = torch.where(known, first, other)
    return _wrap(first.expand(shape))


def _align(places: Tensor, ndim: int) -> Tensor:
    return places.reshape(*((1,) * (ndim - places.ndim)), *places.shape)


@_rule(
    *_named(
        Tensor,
        "add_ sub_ mul_ div_ relu_ clamp_ sigmoid_ tanh_ __iadd__ __isub__ __imul__ __itruediv__ addcmul_ exp_ copy_",
    ),
    *_named(torch, "relu_ dropout_"),
)
def _in_place(func: Any, places: Any, *args: Any, **kwargs: Any) -> Any:
    return places if _tracked(places) else _unknown(func, places, *args, **kwargs)


@_rule(Tensor.__setitem__)
def _set(_func: Any, target: Any, index: Any, value: Any) -> None:
    """Written into a part: the part's places are the written ones. Places share memory, so they are laid out anew
    first.
    """
    if not _tracked(target):
        raise TypeError("places were written into a tensor that has none")
    target.set_(target.clone(memory_format=torch.contiguous_format))
    if _tracked(value):
        Tensor.__setitem__(target, index, value)


@_rule(torch.cat, torch.concat, torch.stack)
def _join(func: Any, tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Joined to others: a tensor that does not come from the picture is a learned token."""
    dim = kwargs.get("axis", dim)
    constant = torch.tensor(CONSTANT, dtype=torch.complex64)
    parts = [t if _tracked(t) else constant.expand(t.shape) for t in tensors]
    if func is torch.stack:
        parts = [part.unsqueeze(dim) for part in parts]
    parts = [part for part in parts if part.numel()] or parts[:1]
    dim %= parts[0].ndim
    shape = [*parts[0].shape]
    shape[dim] = sum(part.shape[dim] for part in parts)
    # Axes that every part shares stay shared; the joined one too, where all parts turn out to be at the same places.
    shared = [a for a in range(len(shape)) if a != dim and all(part.stride(a) == 0 for part in parts)]
    parts = [part[tuple(slice(1) if a in shared else slice(None) for a in range(len(shape)))] for part in parts]
    first = [uniform(part, dim) for part in parts]
    if first[0] is not None and all(f is not None and _same(f, first[0]) for f in first):
        return _wrap(first[0].unsqueeze(dim).expand(shape))
    return _wrap(torch.cat(parts, dim).expand(shape))


def _same(left: Tensor, right: Tensor) -> bool:
    return torch.equal(torch.view_as_real(left).nan_to_num(-1.0), torch.view_as_real(right).nan_to_num(-1.0))


@_rule(torch.roll, Tensor.roll)
def _roll(_func: Any, places: Tensor, shifts: Any, dims: Any = None) -> Any:
    return _wrap(
        torch.roll(places, shifts) if dims is None else torch.roll(_narrowed(places), shifts, dims).expand(places.shape)
    )


@_rule(F.pad)
def _pad(_func: Any, places: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Padding is nowhere. Axes whose memory is shared are left so, unless it is they that grow."""
    pad = [int(p) for p in pad]
    if mode != "constant":
        return _wrap(_parts(places, lambda part: F.pad(part, pad, mode)))
    if not any(pad):
        return places
    axes = places.ndim - len(pad) // 2  # the axes before this one stay as they are
    kept = tuple(slice(1) if axis < axes and places.stride(axis) == 0 else slice(None) for axis in range(places.ndim))
    ends = [pad[2 * i] + pad[2 * i + 1] for i in range(len(pad) // 2)]
    for i, end in enumerate(ends):  # channels last are padded by nothing
        axis = places.ndim - 1 - i
        if end == 0 and places.stride(axis) == 0:
            kept = (*kept[:axis], slice(1), *kept[axis + 1 :])
    padded = torch.constant_pad_nd(places[kept], pad, NOWHERE)
    grown = [size + (ends[places.ndim - 1 - axis] if axis >= axes else 0) for axis, size in enumerate(places.shape)]
    return _wrap(padded.expand(grown))


@_rule(F.linear)
def _linear(_func: Any, places: Tensor, weight: Tensor, bias: Any = None) -> Any:
    if not _tracked(places):
        return _mixture((*places.shape[:-1], weight.shape[0]))
    return _wrap(_mean(places, -1).expand(*places.shape[:-1], weight.shape[0]))


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _centre_taps(
    places: Tensor, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any, shape: tuple[int, int]
) -> Tensor:
    """(batch, channels, *shape): the place under the middle of the kernel; between its two middle taps where it is
    even.
    """
    stride, dilation = _pair(stride), _pair(dilation)
    if padding == "same":
        padding = tuple((d * (k - 1)) // 2 for k, d in zip(kernel, dilation, strict=True))
    pads = (0, 0) if padding == "valid" else _pair(padding)
    for axis in (0, 1):
        middle = (
            kernel[axis] // 2 if stride[axis] == 1 else (kernel[axis] - 1) / 2
        )  # without a stride nothing moves by half a cell
        at = torch.arange(shape[axis]) * stride[axis] - pads[axis] + dilation[axis] * middle
        places = _resampled(places, axis + places.ndim - 2, at)
    return places


@_rule(F.conv2d, torch.conv2d)
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
    if not _tracked(places):
        return _unknown(func, places, weight, bias, stride, padding, dilation, groups)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    shape = _output_size(places, kernel, stride, padding, dilation)
    taps = _centre_taps(_mean(places, -3)[..., :1, :, :], kernel, stride, padding, dilation, shape)
    return _wrap(taps.expand(*places.shape[:-3], weight.shape[0], *shape))


def _output_size(places: Tensor, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    if padding == "same":
        return int(places.shape[-2]), int(places.shape[-1])
    pads = (0, 0) if padding == "valid" else _pair(padding)
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(places.shape[-2:], kernel, _pair(stride), pads, _pair(dilation), strict=True)
    ]
    return sizes[0], sizes[1]


@_rule(F.avg_pool2d, F.max_pool2d, torch.max_pool2d)
def _pool(
    func: Any, places: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *args: Any, **kwargs: Any
) -> Any:
    shape = _shape_of(func, (places, kernel_size, stride, padding, *args), kwargs).shape[-2:]
    dilation = kwargs.get("dilation", 1)
    taps = _centre_taps(
        places[..., :1, :, :], _pair(kernel_size), stride or kernel_size, padding, dilation, tuple(shape)
    )
    return _wrap(taps.expand(*places.shape[:-2], *shape))


@_rule(F.adaptive_avg_pool2d, F.adaptive_max_pool2d)
def _adaptive(_func: Any, places: Tensor, output_size: Any, *_: Any, **__: Any) -> Any:
    if tuple(_pair(output_size)) == (1, 1):
        return _mixture((*places.shape[:-2], 1, 1))
    pooled = _parts(places[..., :1, :, :], lambda part: F.adaptive_avg_pool2d(part, output_size))
    return _wrap(pooled.expand(*places.shape[:-2], *pooled.shape[-2:]))


@_rule(F.interpolate)
def _interpolate(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Pixels of a resized map sit evenly over the same picture, at its edges too: nothing is clamped."""
    shape = _shape_of(func, (places, *args), kwargs).shape
    for axis in range(2, places.ndim):
        size, length = places.shape[axis], shape[axis]
        places = _resampled(places, axis, (torch.arange(length) + 0.5) * (size / length) - 0.5)
    return _wrap(places)


@_rule(F.conv_transpose2d)
def _spread(func: Any, places: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Any:
    shape = _shape_of(func, (places, weight, *args), kwargs).shape
    stride = _pair(kwargs.get("stride", args[1] if len(args) > 1 else 1))
    padding = _pair(kwargs.get("padding", args[2] if len(args) > 2 else 0))
    places = _mean(places, 1)
    for axis in (2, 3):
        centre = padding[axis - 2] - (weight.shape[axis] - 1) / 2
        places = _resampled(places, axis, (torch.arange(shape[axis]) + centre) / stride[axis - 2])
    return _wrap(places.expand(shape))


def _resampled(places: Tensor, axis: int, at: Tensor) -> Tensor:
    """Places at fractional positions along an axis, carried on in a straight line beyond its ends."""
    if places.shape[axis] == 1:
        return places.expand([len(at) if a == axis else size for a, size in enumerate(places.shape)])
    shape = [len(at) if a == axis else size for a, size in enumerate(places.shape)]
    places = _narrowed(places)
    if places.shape[axis] == 1:
        return places.expand(shape)
    below = at.floor().clamp(0, places.shape[axis] - 2).long()
    part = (at - below).reshape([-1 if a == axis else 1 for a in range(places.ndim)])
    low, high = places.index_select(axis, below), places.index_select(axis, below + 1)
    between = torch.where(part == 0, low, low + (high - low) * part)
    between = torch.where(between.isnan(), torch.where(part > 0.5, high, low), between)  # beside padding: the nearer
    between = torch.where(between.isnan(), torch.where(part > 0.5, low, high), between)
    return between.expand(shape)


@_rule(F.unfold)
def _unfold(_func: Any, places: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    (above, beside) = _pair(padding)
    padded = torch.constant_pad_nd(places, (beside, beside, above, above), NOWHERE)
    return _wrap(_parts(padded, lambda part: F.unfold(part, kernel_size, dilation, 0, stride)))


@_rule(F.pixel_shuffle, F.pixel_unshuffle, torch.pixel_shuffle, torch.pixel_unshuffle)
def _shuffle(func: Any, places: Tensor, *args: Any) -> Any:
    return _wrap(_parts(places, lambda part: func(part, *args)))


@_rule(F.fold)
def _fold(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Overlapping windows laid back: the mean of what lands on each pixel."""
    known = is_place(places)
    count = func(known.float(), *args, **kwargs)
    return _wrap(_parts(torch.where(known, places, 0), lambda part: func(part, *args, **kwargs) / count))


@_rule(
    Tensor.mean,
    torch.mean,
    Tensor.sum,
    torch.sum,
    Tensor.amax,
    torch.amax,
    Tensor.amin,
    Tensor.var,
    torch.var,
    Tensor.norm,
    Tensor.std,
)
def _reduce(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Over channels the place stays; over tokens it is their mean place."""
    dims = kwargs.get(
        "dim", next((a for a in args if isinstance(a, int | tuple | list) and not isinstance(a, bool)), None)
    )
    shape = _shape_of(func, (places, *args), kwargs).shape
    dims = range(places.ndim) if dims is None else (dims,) if isinstance(dims, int) else dims
    several = _narrowed(places).numel() > 1
    for dim in dims:
        places = _mean(places, dim)
    if several and _narrowed(places).numel() == 1:
        return _mixture(shape)
    return _wrap(_folded(places, tuple(shape)))


@_rule(Tensor.max, Tensor.min, torch.max, torch.min)
def _extreme(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    if not args and not kwargs:
        return _mixture(())
    if isinstance(args[0] if args else None, Tensor):
        return _combine(func, places, *args, **kwargs)
    values = _reduce(Tensor.amax, places, *args, **kwargs)
    return torch.return_types.max((values, torch.zeros(values.shape, dtype=torch.long, device="meta")))


@_rule(torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.bmm, Tensor.bmm)
def _matmul(func: Any, left: Tensor, right: Tensor, **_: Any) -> Any:
    """A product belongs where its rows do; where it summed over places (values weighted, keys times values) its columns
    tell.
    """
    if func is Tensor.__rmatmul__:
        left, right = right, left
    shape = _shape_of(torch.matmul, (left, right), {}).shape
    if not _tracked(right):
        return _wrap(_mean(left, -1).expand(shape))
    if _tracked(left):
        rows = uniform(left, -1)
        if rows is not None and not bool(is_mixture(rows).any()):
            return _wrap(rows.unsqueeze(-1).expand(shape))
    columns = uniform(right, -2) if right.ndim > 1 else None
    return _mixture(shape) if columns is None else _wrap(columns.unsqueeze(-2).expand(shape))


@_rule(torch.einsum, torch.functional.einsum)
def _einsum(func: Any, equation: str, *given: Any) -> Any:
    """The first operand from the picture gives the place; its summed axes vanish and the others' axes are new."""
    operands = tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else given
    shape = _shape_of(func, (equation, *operands), {}).shape
    inputs, _, output = equation.replace(" ", "").partition("->")
    with suppress(StopIteration):
        letters, places = next((i, o) for i, o in zip(inputs.split(","), operands, strict=True) if _tracked(o))
        if "." not in equation and output:
            for letter in [letter for letter in letters if letter not in output]:
                axis = letters.index(letter)
                same = uniform(places, axis)
                if same is None:
                    return _mixture(shape)
                places, letters = same, letters.replace(letter, "")
            places = places.permute([letters.index(letter) for letter in output if letter in letters])
            index = tuple(slice(None) if letter in letters else None for letter in output)
            return _wrap(places[index].expand(shape))
    return _mixture(shape)


@_rule(F.scaled_dot_product_attention)
def _attend(_func: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
    """What a query collects belongs to the query, also where it was itself made of several places."""
    return (
        _wrap(_mean(query, -1).expand(*query.shape[:-1], value.shape[-1]))
        if _tracked(query)
        else _queries_without_place(query, value)
    )


def _queries_without_place(query: Tensor, value: Tensor) -> Places:
    constant = torch.tensor(CONSTANT, dtype=torch.complex64)
    return _wrap(constant.expand(*query.shape[:-1], value.shape[-1]))
