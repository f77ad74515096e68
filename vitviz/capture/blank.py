"""How many channels a model's input has, and an input without a picture, for passes that only look at shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

RGB = 3


def input_channels(module: nn.Module) -> int:
    """Channels of the module's input.

    What the module or its embedding declares (`in_chans`), else those of the filters that make patches, else those of the
    first convolution that it registers; 3 where none of them says.
    """
    holders = [module, getattr(module, "embeds", None), getattr(module, "patch_embed", None)]
    declared = [getattr(holder, "in_chans", None) for holder in holders if isinstance(holder, nn.Module)]
    for found in declared:
        if isinstance(found, int) and not isinstance(found, bool):
            return found
    for holder in (holders[2], module):
        for part in holder.modules() if isinstance(holder, nn.Module) else ():
            if isinstance(part, nn.Conv2d):
                return part.in_channels
    return RGB


def blank_input(module: nn.Module, input_size: tuple[int, int], device: Any = None) -> Tensor:
    """(1, channels, height, width) of zeros in the module's precision, on `device` or the module's own."""
    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
    return torch.zeros(
        1,
        input_channels(module),
        *input_size,
        device=device if device is not None or parameter is None else parameter.device,
        dtype=None if parameter is None else parameter.dtype,
    )
