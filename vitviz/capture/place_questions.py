"""What a model asks of a tensor (its shape, its type, where it is), answered for places as for the numbers they stand for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitviz.capture.places import named_functions, place_rule, shape_given


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
