"""Small models of every other kind of attention in timm: stages, windows, pooled keys, class attention, explicit
softmax.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.placement import Placement
from vitviz.capture.stages import placements_of

TINY = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)}


@dataclass(frozen=True)
class Variant:
    """A timm architecture made small; `kinds` are the kinds of attention that must be found in it."""

    architecture: str
    kinds: frozenset[str]
    size: tuple[int, int] = (64, 96)
    arguments: dict[str, Any] = field(default_factory=dict)
    tag: str = ""

    def __str__(self) -> str:
        return self.architecture + self.tag


def _variant(
    architecture: str, kinds: str, size: tuple[int, int] = (64, 96), tag: str = "", **arguments: Any
) -> Variant:
    return Variant(architecture, frozenset(kinds.split()), size, arguments, tag)


def _sized(architecture: str, kinds: str, size: tuple[int, int] = (64, 96), tag: str = "", **arguments: Any) -> Variant:
    return _variant(architecture, kinds, size, tag, img_size=size, **arguments)


VARIANTS = [
    _sized("swin_tiny_patch4_window7_224", "windowed", window_size=4, **TINY),
    _sized("swin_tiny_patch4_window7_224", "windowed", tag="-padded", window_size=5, **TINY),
    _sized("swinv2_tiny_window8_256", "windowed", window_size=4, **TINY),
    _sized("swinv2_cr_tiny_224", "windowed", window_size=4, **TINY),
    _variant("davit_tiny", "windowed channels", depths=(1, 1), embed_dims=(24, 48), num_heads=(2, 4), window_size=4),
    _sized("maxvit_nano_rw_256", "windowed global", (64, 64)),
    _sized("hiera_tiny_224", "windowed global pooled", embed_dim=24, stages=(1, 2, 2, 1)),
    _sized(
        "samvit_base_patch16",
        "windowed global",
        (96, 128),
        embed_dim=24,
        depth=2,
        num_heads=2,
        window_size=4,
        global_attn_indexes=(1,),
    ),
    _variant("sam2_hiera_tiny", "windowed global pooled", (128, 128), embed_dim=24),
    _sized("gcvit_xxtiny", "windowed global", (224, 224)),
    _sized("nest_tiny", "windowed global", (64, 64)),
    _variant("twins_svt_small", "windowed pooled global", (64, 64), depths=(2, 2, 2, 2)),
    _variant("twins_pcpvt_small", "pooled global", (64, 64), depths=(1, 1, 1, 1)),
    _variant("pvt_v2_b0", "pooled global"),
    _sized("levit_128s", "global pooled", (224, 224)),
    _sized("levit_conv_128s", "global pooled", (224, 224)),
    _sized("cait_xxs24_224", "global collecting", (64, 96), embed_dim=48, depth=2, num_heads=3),
    _sized("xcit_nano_12_p16_224", "channels collecting", (64, 96), embed_dim=48, depth=2, num_heads=3),
    _sized("pit_ti_224", "global", (224, 224)),
    _sized("crossvit_tiny_240", "global collecting", (240, 240)),
    _sized(
        "tnt_s_patch16_224", "windowed global", (64, 64), embed_dim=48, depth=2, num_heads_inner=2, num_heads_outer=3
    ),
    _sized("visformer_tiny", "global", (64, 64)),
    _variant("tiny_vit_5m_224", "windowed global", (128, 128)),
    _variant("efficientvit_m0", "windowed global", (224, 224)),
    _variant("shvit_s1", "global", (128, 160)),
    _variant("efficientformer_l1", "global", (224, 224)),
    _sized("efficientformerv2_s0", "global pooled", (224, 224)),
    _sized("coatnet_pico_rw_224", "global", (64, 64)),
    _sized("botnet26t_256", "global", (128, 128)),
    _variant("halonet26t", "windowed global", (256, 256)),
    _variant("caformer_s18", "global", (64, 96)),
    _variant("lowformer_b0", "global", (128, 128)),
    _variant("cpubone_t0", "global", (128, 128)),
    _sized("volo_d1_224", "overlapping global collecting", (64, 64)),
    _sized("convit_tiny", "global", (64, 64), embed_dim=48, depth=2, num_heads=3, local_up_to_layer=1),
    _variant("nextvit_small", "unplaced global", (128, 128)),
    _variant("resnet50_clip", "global", (224, 224)),
    _sized("vit_base_patch16_siglip_224", "global collecting", (64, 96), embed_dim=48, depth=1, num_heads=3),
]


def build(variant: Variant, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """(module in double precision, input): every layer's largest weight is above 10 / keys, wherever that is below one."""
    module = timm.create_model(variant.architecture, **variant.arguments).eval().double()
    module.requires_grad_(False)
    x = torch.randn(1, 3, *variant.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    placements = placements_of(module, variant.size)
    gain = 3.0
    while not _is_far_from_uniform(module, x, placements, gain, seed):
        gain *= 2.5
        assert gain < 1e4, f"{variant} stays near uniform"
    return module, x


def _is_far_from_uniform(
    module: nn.Module, x: Tensor, placements: tuple[Placement, ...], gain: float, seed: int
) -> bool:
    redraw(module, {p.module for p in placements}, gain, seed)
    largest = [(weights.max().item(), weights.shape[-1]) for weights in explicit_weights(module, x, placements)]
    return all(weight > min(10 / keys, 0.6) for weight, keys in largest)


def redraw(module: nn.Module, speakers: set[str], gain: float, seed: int) -> None:
    """Draws every parameter anew, those that timm starts at zero included; those inside attention `gain` times as
    large.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        inside = any(name.startswith(f"{speaker}.") for speaker in speakers)
        if parameter.ndim < 2:
            scaling = "norm" in name and name.endswith("weight")
            parameter.data = noise * 0.3 + scaling
        elif "table" in name or "_token" in name or "pos_embed" in name or "rel_" in name or "attention_biases" in name:
            parameter.data = noise
        else:
            parameter.data = noise * (gain if inside else 1.2) / parameter[0].numel() ** 0.5
    for part in module.modules():  # what a module keeps of its parameters between passes
        if hasattr(part, "attention_bias_cache"):
            part.attention_bias_cache = {}


@contextmanager
def unfused(module: nn.Module):
    """The model's own explicit path, where it has one."""
    parts = [part for part in module.modules() if getattr(part, "fused_attn", False)]
    try:
        for part in parts:
            part.fused_attn = False
        yield
    finally:
        for part in parts:
            part.fused_attn = True


class _Spy(TorchFunctionMode):
    """Keeps the result of every softmax over the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.nn.functional.softmax, torch.softmax, Tensor.softmax) and result.ndim >= 3:
            self.seen.append(result)
        return result


def explicit_weights(module: nn.Module, x: Tensor, placements: tuple[Placement, ...]) -> list[Tensor]:
    """The model's own weights, call by call, in its own layout: what goes into its dropout of weights, or else what its
    softmax gives. Calls that `placements` refuse are among them."""
    dropped: list[Tensor] = []
    parts = [part for part in module.modules() if isinstance(getattr(part, "attn_drop", None), nn.Module)]
    handles = [p.attn_drop.register_forward_pre_hook(lambda _m, inputs: dropped.append(inputs[0])) for p in parts]
    try:
        with unfused(module), torch.inference_mode(), _Spy() as spy:
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    for found in (dropped, spy.seen):
        if [tuple(weights.shape) for weights in found] == [p.shape for p in placements]:
            return found
    spied = [[tuple(weights.shape) for weights in found] for found in (dropped, spy.seen)]
    raise AssertionError(f"own weights {spied[0]} or {spied[1]} are not {[p.shape for p in placements]}")


class WithoutMixing(TorchFunctionMode):
    """Every attention gives zero and every convolution without a stride sees the middle of its kernel alone, so that each
    token depends on its own surroundings in the picture."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._fused_sdp_choice:
            return 0  # no kernel by its own name, which nobody could silence
        if func is torch.nn.functional.conv2d and kwargs.get("stride", args[3] if len(args) > 3 else 1) in (1, (1, 1)):
            args = (args[0], _middle(args[1]), *args[2:])
        if func is torch.nn.functional.avg_pool2d and args[2] in (1, (1, 1)):
            return args[0]
        result = func(*args, **kwargs)
        attends = func is torch.nn.functional.scaled_dot_product_attention
        softmaxed = func in (torch.nn.functional.softmax, torch.softmax, Tensor.softmax) and result.ndim >= 3
        return torch.zeros_like(result) if attends or softmaxed else result


def _middle(kernel: Tensor) -> Tensor:
    """The kernel with zeros everywhere but in its middle."""
    middle = torch.zeros_like(kernel)
    row, col = kernel.shape[2] // 2, kernel.shape[3] // 2
    middle[:, :, row, col] = kernel[:, :, row, col]
    return middle
