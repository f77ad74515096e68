"""Small models of every shape, traced: windows, shifted and spread, stages, pooled keys, class attention."""

from __future__ import annotations

import timm
import torch

from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.models.layout import layout_of

# (arguments that make it small, side of the input)
SMALL: dict[str, tuple[dict[str, object], int]] = {
    "swin_tiny_patch4_window7_224": (
        {"window_size": 4, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "img_size": 64},
        64,
    ),
    "maxvit_tiny_rw_224": ({"embed_dim": (32, 32), "depths": (1, 1), "stem_width": 8, "img_size": 64}, 64),
    "pvt_v2_b0": ({"embed_dims": (16, 16, 16, 16), "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)}, 64),
    "cait_xxs24_224": ({"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64}, 64),
}


def built(name: str) -> torch.nn.Module:
    """The small model with weights large enough for windows to differ."""
    torch.manual_seed(0)
    module = timm.create_model(name, **SMALL[name][0]).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return module


def traced(name: str) -> Trace:
    """The trace of the small model for an image of noise."""
    module, side = built(name), SMALL[name][1]
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2))
    made = record(module, pixels, None)
    layout = layout_of(module, name, (side, side))
    return Trace(
        name, pixels[0], layout, made.layers, made.logits, made.pooling, {}, made.left_out, made.not_sequential
    )
