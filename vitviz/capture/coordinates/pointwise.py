"""Rules that keep every number's place: pointwise functions, and attributes of a tensor (shape, type, device)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.coordinates.tensor import (
    alias_of,
    as_places,
    has_places,
    is_place,
    narrow_places,
    place_rule,
    shape_given,
    without_rule,
)
from vitviz.capture.functions import named_functions

_CASTS = {Tensor.to, Tensor.type_as}


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
    """Functions of each token alone or of each channel alone keep the places."""
    if places is None:
        places = kwargs.get("input", kwargs.get("x"))
    # A constant cast to the type of a tensor with places stays a constant.
    if func in _CASTS and not has_places(places):
        return shape_given(func, (places, *args), kwargs)
    return alias_of(places) if has_places(places) else without_rule(func, places, *args, **kwargs)


@place_rule(
    *named_functions(
        Tensor,
        "add sub mul div true_divide __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__",
    ),
    *named_functions(torch, "add sub mul div true_divide maximum minimum where addcmul"),
    *named_functions(Tensor, "addcmul maximum minimum where"),
)
def combined(func: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of two tensors has the places of the operand with the result's shape; if both have it, of the
    first one with places.
    """
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    operands = [tensor for tensor in tensors if has_places(tensor)]
    full = [tensor for tensor in operands if tensor.shape == shape]
    if len(full) == 1:
        return alias_of(full[0])
    first, *others = [narrow_places(aligned_to(tensor, len(shape))) for tensor in (full or operands)]
    for other in others:
        known = is_place(first)
        if bool(known.all()):
            break
        first = torch.where(known, first, other)
    return as_places(first.expand(shape))


def aligned_to(places: Tensor, ndim: int) -> Tensor:
    return places.reshape(*((1,) * (ndim - places.ndim)), *places.shape)  # (...) -> (1, ..., 1, ...)


@place_rule(
    *named_functions(
        Tensor,
        "add_ sub_ mul_ div_ relu_ clamp_ sigmoid_ tanh_ __iadd__ __isub__ __imul__ __itruediv__ addcmul_ exp_ copy_",
    ),
    *named_functions(torch, "relu_ dropout_"),
)
def _in_place(func: Any, places: Any, *args: Any, **kwargs: Any) -> Any:
    return places if has_places(places) else without_rule(func, places, *args, **kwargs)


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
    """The weights' device (meta), so that tensors that the model creates on its input's device match the weights."""
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
