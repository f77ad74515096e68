"""A second device on a machine that has none: the meta device, whose tensors cannot meet the processor's, as a GPU's cannot.

What a GPU does without a word is let through here too: copying to the processor, reading single numbers and places. Anything
else that mixes the two, and any `numpy()` of a tensor that was not copied first, raises as it would there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

READ = {
    Tensor.item,
    Tensor.tolist,
    Tensor.__float__,
    Tensor.__int__,
    Tensor.__bool__,
    Tensor.__index__,
}


def on_the_processor(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return torch.ones(tensor.shape, dtype=dtype or tensor.dtype)


class PretendGpu(TorchFunctionMode):
    """Copies to the processor give ones, because there are no numbers; whatever is compared agrees."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].device.type == "meta":
            if func in READ:
                return func(on_the_processor(args[0]))
            if func is torch.allclose:
                return True
            if func is Tensor.nonzero:
                return torch.zeros(1, args[0].ndim, dtype=torch.long, device="meta")
            if func is Tensor.cpu:
                return on_the_processor(args[0])
            asked = [*args[1:], *kwargs.values()]
            if func is Tensor.to and any(str(each) == "cpu" for each in asked if isinstance(each, str | torch.device)):
                return on_the_processor(args[0], next((each for each in asked if isinstance(each, torch.dtype)), None))
        return func(*args, **kwargs)
