"""What moving, joining and combining tensors does to places: most of it leaves every number where it belongs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.places import (
    CONSTANT,
    NOWHERE,
    _unknown,
    as_places,
    by_parts,
    has_places,
    is_place,
    named_functions,
    narrow_places,
    place_rule,
    shape_given,
    uniform,
)


@place_rule(
    *named_functions(
        Tensor,
        "clone detach float half to type type_as contiguous softmax sigmoid tanh exp sqrt rsqrt relu neg abs square",
    ),
    *named_functions(
        Tensor, "clamp clamp_min log masked_fill masked_fill_ amax_ __pow__ __neg__ pow bfloat16 cos sin log2"
    ),
    *named_functions(torch, "softmax sigmoid tanh exp sqrt rsqrt relu neg clamp square pow batch_norm layer_norm"),
    *named_functions(
        F,
        "dropout dropout1d dropout2d relu relu6 gelu silu hardswish hardsigmoid hardtanh leaky_relu elu mish "
        "softplus softmax sigmoid",
    ),
    *named_functions(
        F, "layer_norm group_norm batch_norm rms_norm normalize instance_norm prelu log_softmax tanh celu selu"
    ),
)
def _stay(func: Any, places: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Computed on each token alone, or on each channel alone: every number keeps its place."""
    if places is None:
        places = kwargs.get("input", kwargs.get("x"))
    return places if has_places(places) else _unknown(func, places, *args, **kwargs)


@place_rule(
    *named_functions(
        Tensor,
        "permute transpose t expand expand_as unsqueeze squeeze split chunk unbind __getitem__ narrow select movedim",
    ),
    *named_functions(
        Tensor,
        "flip unfold repeat repeat_interleave tile index_select unflatten swapaxes gather diagonal",
    ),
    *named_functions(
        torch,
        "permute transpose unsqueeze squeeze split chunk unbind narrow movedim flip repeat_interleave tile",
    ),
    *named_functions(torch, "index_select swapaxes gather rot90 tensor_split"),
    *named_functions(Tensor, "tensor_split"),
    torch.functional.split,
    *[getattr(Tensor, name).__get__ for name in ("mT", "T")],
)
def _move(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Moves numbers about: the same function moves their places."""
    result = func(*args, **kwargs)
    if isinstance(result, Tensor):
        return as_places(result)
    return type(result)(as_places(part) for part in result)


@place_rule(Tensor.view, Tensor.reshape, Tensor.flatten, Tensor.reshape_as, torch.reshape, torch.flatten)
def _reshape(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    if args and isinstance(args[0], torch.dtype):
        return places
    func = {Tensor.view: Tensor.reshape}.get(func, func)  # shared memory is laid out differently from the numbers' own
    return as_places(folded(places, tuple(shape_given(func, (places, *args), kwargs).shape)))


def folded(places: Tensor, shape: tuple[int, ...]) -> Tensor:
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


@place_rule(
    *named_functions(
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


@place_rule(getattr(Tensor, "device").__get__)  # noqa: B009
def _device(*_: Any) -> torch.device:
    """Beside the weights, so that what the model makes for itself on its input's device meets them there."""
    return torch.device("meta")


@place_rule(getattr(Tensor, "dtype").__get__)  # noqa: B009
def _dtype(*_: Any) -> torch.dtype:
    return torch.float32


@place_rule(torch._fused_sdp_choice)
def _choice(*_: Any, **__: Any) -> int:
    return 0


@place_rule(torch.is_floating_point)
def _floating(*_: Any) -> bool:
    return True


@place_rule(
    *named_functions(torch, "zeros_like ones_like empty_like rand_like randn_like full_like"),
    *named_functions(Tensor, "new_zeros new_ones new_empty new_full new_tensor"),
)
def _made(func: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("device", None)
    return shape_given(func, args, kwargs)


@place_rule(
    *named_functions(
        Tensor,
        "add sub mul div true_divide __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__",
    ),
    *named_functions(torch, "add sub mul div true_divide maximum minimum where addcmul"),
    *named_functions(Tensor, "addcmul maximum minimum where"),
)
def combined(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Two tensors into one: at the place of the one that has the result's shape; of the first that has a place where
    both do.
    """
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    operands = [tensor for tensor in tensors if has_places(tensor)]
    full = [tensor for tensor in operands if tensor.shape == shape]
    if len(full) == 1:
        return full[0]
    first, *others = [narrow_places(aligned_to(tensor, len(shape))) for tensor in (full or operands)]
    for other in others:
        known = is_place(first)
        if bool(known.all()):
            break
        first = torch.where(known, first, other)
    return as_places(first.expand(shape))


def aligned_to(places: Tensor, ndim: int) -> Tensor:
    return places.reshape(*((1,) * (ndim - places.ndim)), *places.shape)


@place_rule(
    *named_functions(
        Tensor,
        "add_ sub_ mul_ div_ relu_ clamp_ sigmoid_ tanh_ __iadd__ __isub__ __imul__ __itruediv__ addcmul_ exp_ copy_",
    ),
    *named_functions(torch, "relu_ dropout_"),
)
def _in_place(func: Any, places: Any, *args: Any, **kwargs: Any) -> Any:
    return places if has_places(places) else _unknown(func, places, *args, **kwargs)


@place_rule(Tensor.__setitem__)
def _set(_func: Any, target: Any, index: Any, value: Any) -> None:
    """Written into a part: the part's places are the written ones. Places share memory, so they are laid out anew
    first.
    """
    if not has_places(target):
        raise TypeError("places were written into a tensor that has none")
    target.set_(target.clone(memory_format=torch.contiguous_format))
    if has_places(value):
        Tensor.__setitem__(target, index, value)


@place_rule(torch.cat, torch.concat, torch.stack)
def _join(func: Any, tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Joined to others: a tensor that does not come from the picture is a learned token."""
    dim = kwargs.get("axis", dim)
    constant = torch.tensor(CONSTANT, dtype=torch.complex64)
    parts = [t if has_places(t) else constant.expand(t.shape) for t in tensors]
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
    """Padding is nowhere. Axes whose memory is shared are left so, unless it is they that grow."""
    pad = [int(p) for p in pad]
    if mode != "constant":
        return as_places(by_parts(places, lambda part: F.pad(part, pad, mode)))
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
    return as_places(padded.expand(grown))
