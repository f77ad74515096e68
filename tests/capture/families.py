"""Small models of each kind that attends globally, every parameter drawn anew until attention is far from uniform."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn

from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}


@dataclass(frozen=True)
class Family:
    """A timm architecture made small, and the prefix and grid that its tokens must turn out to have."""

    architecture: str
    prefix: tuple[str, ...]
    grid: tuple[int, int]
    size: tuple[int, int] = (64, 96)
    arguments: dict[str, Any] = field(default_factory=dict)
    bias: bool = False
    rotary: bool = False
    normed: bool = False

    def __str__(self) -> str:
        return self.architecture + "".join(f"-{name}" for name in self.arguments if name not in SMALL)


FAMILIES = [
    Family("vit_tiny_patch16_224", ("cls",), (4, 6), arguments=SMALL),
    Family("vit_tiny_patch16_224", ("cls",), (4, 6), arguments={**SMALL, "qk_norm": True}, normed=True),
    Family("deit_tiny_distilled_patch16_224", ("cls", "dist"), (4, 6), arguments=SMALL),
    Family("vit_small_patch14_reg4_dinov2", ("cls", "reg0", "reg1", "reg2", "reg3"), (4, 6), (56, 84), SMALL),
    Family("vit_small_patch16_dinov3", ("cls", "reg0", "reg1", "reg2", "reg3"), (4, 6), arguments=SMALL, rotary=True),
    Family("eva02_tiny_patch14_224", ("cls",), (4, 6), (56, 84), SMALL, rotary=True),
    Family("beit_base_patch16_224", ("cls",), (4, 6), arguments=SMALL, bias=True),
    Family("vit_relpos_small_patch16_224", (), (4, 6), arguments=SMALL, bias=True),
    Family("vit_srelpos_small_patch16_224", (), (4, 6), arguments=SMALL, bias=True),
    Family("vit_relpos_base_patch16_clsgap_224", ("cls",), (4, 6), arguments=SMALL, bias=True),
    Family("vit_base_patch16_siglip_224", (), (4, 6), arguments=SMALL),
    Family("deit3_small_patch16_224", ("cls",), (4, 6), arguments=SMALL),
    Family("vit_tiny_r_s16_p8_224", ("cls",), (2, 3), arguments=SMALL),
]


def build(family: Family, seed: int = 0) -> tuple[nn.Module, Tensor, TokenLayout]:
    """(module, input (1, 3, height, width), layout): attention's largest weight is above 10 / tokens in every layer.

    Copies of what is built once in a process; nothing is drawn from the global generator.
    """
    key = str(family), family.size, seed
    if key not in _BUILT:
        with torch.random.fork_rng(devices=[]):
            _BUILT[key] = _build(family, seed)
    module, x, layout = _BUILT[key]
    return copy.deepcopy(module), x.clone(), layout


_BUILT: dict[tuple[str, tuple[int, int], int], tuple[nn.Module, Tensor, TokenLayout]] = {}


def _build(family: Family, seed: int) -> tuple[nn.Module, Tensor, TokenLayout]:
    module = timm.create_model(family.architecture, img_size=family.size, num_classes=7, **family.arguments).eval()
    module.requires_grad_(False)
    x = torch.randn(1, 3, *family.size, generator=torch.Generator().manual_seed(seed))
    layout = layout_of(module, family.architecture, family.size)
    gain = 1.0
    while min(largest_weights(module, x, gain, seed)) < 10 / max(layout.num_tokens, 11):
        gain *= 1.3
        assert gain < 100, f"{family} stays near uniform"
    return module, x, layout


def largest_weights(module: nn.Module, x: Tensor, gain: float, seed: int) -> list[float]:
    """Redraws every parameter of `module` with weights `gain` times their usual size; the largest weight of each layer."""
    redraw(module, gain, seed)
    return [weights.max().item() for weights in explicit_weights(module, x)]


def redraw(module: nn.Module, gain: float, seed: int) -> None:
    """Draws every parameter anew, those that timm starts at zero or near it included."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim < 2:
            scaling = "norm" in name and name.endswith("weight")
            parameter.data = noise * 0.5 + scaling
        elif "bias_table" in name or name.endswith(("pos_embed", "_token")):
            parameter.data = noise
        else:
            parameter.data = noise * gain / parameter[0].numel() ** 0.5


def explicit_weights(module: nn.Module, x: Tensor) -> list[Tensor]:
    """[(heads, tokens, tokens)] of every block, from the modules' own unfused path: the input of their dropout of weights."""
    found: list[Tensor] = []
    blocks = [
        m
        for name, m in module.named_modules()
        if hasattr(m, "fused_attn") and hasattr(m, "attn_drop") and "pool" not in name
    ]
    handles = [m.attn_drop.register_forward_hook(lambda _m, inputs, _out: found.append(inputs[0][0])) for m in blocks]
    try:
        for block in blocks:
            block.fused_attn = False
        with torch.inference_mode():
            module(x)
    finally:
        for block in blocks:
            block.fused_attn = True
        for handle in handles:
            handle.remove()
    return found
