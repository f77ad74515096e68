"""Small models of every other kind of attention in timm: stages, windows, pooled keys, class attention, explicit softmax."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.coordinates.placement import Placement

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
TINY = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)}


# What attention modules call the parts that their scores do not depend on.
AFTER_SCORES = ("proj", "v", "v_proj", "value", "v_local", "output", "mlp", "layer_scale")


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
    _sized("cait_xxs24_224", "global pooling", (64, 96), embed_dim=48, depth=2, num_heads=3),
    _sized("xcit_nano_12_p16_224", "channels pooling", (64, 96), embed_dim=48, depth=2, num_heads=3),
    _sized("pit_ti_224", "global", (224, 224)),
    _sized("crossvit_tiny_240", "global pooling", (240, 240)),
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
    _sized("volo_d1_224", "overlapping global pooling", (64, 64)),
    _sized("convit_tiny", "global", (64, 64), embed_dim=48, depth=2, num_heads=3, local_up_to_layer=1),
    _variant("nextvit_small", "unplaced global", (128, 128)),
    _variant("resnet50_clip", "global", (224, 224)),
    _sized("vit_base_patch16_siglip_224", "global pooling", **SMALL),
    _sized("mvitv2_tiny", "global pooled", (64, 64)),
    _sized("mvitv2_small_cls", "global pooled", (64, 64)),
    _variant("pvt_v2_b2_li", "pooled", (128, 128), depths=(1, 1, 1, 1)),
    _variant("mobilevit_xxs", "windowed"),
    _variant("iformer_t", "global", (96, 128)),
    _variant("fastvit_mci0", "global", (128, 192)),
    _variant("csatv2", "global", (128, 192)),
    _variant("mobilenetv4_hybrid_medium_075", "global pooled", (128, 192)),
    _variant("mobilenetv5_base", "global", (64, 96), channel_multiplier=0.125),
    _sized("lamhalobotnet50ts_256", "global pooling", (128, 128)),
    _sized("maxvit_tiny_tf_224", "windowed global", (64, 64)),
    _sized("maxxvitv2_nano_rw_256", "windowed global", (64, 64)),
    _sized("coatnet_rmlp_nano_rw_224", "global", (64, 64)),
    _variant("davit_base_fl", "windowed channels", depths=(1, 1), embed_dims=(24, 48), num_heads=(2, 4), window_size=4),
    _variant("hieradet_small", "windowed global pooled", (128, 128), embed_dim=24),
    _sized("vitamin_small_224", "global", (64, 64)),
    _sized("vit_pwee_patch16_reg1_gap_256", "global", **SMALL),
    _sized("vit_small_patch16_18x2_224", "global", **SMALL),
    _sized("vit_small_patch16_rope_mixed_ape_224", "global", **SMALL),
    _sized("eva02_base_patch14_224", "global", (56, 84), **SMALL),
    _sized("deepseek_vit_412m", "global", (56, 84), **SMALL),
    _variant("qwen3_vit_88m", "global", **SMALL),
    _variant("gemma4_vit_167m", "global", (96, 144), **SMALL),
    _variant("naflexvit_base_patch16_siglip", "global pooling", **SMALL),
    _variant("naflexvit_base_patch16_gap", "global", **SMALL),
]


# Not in the plain run of the tests: their kinds of attention are those of a quicker model in the list.
LONG = (
    "twins_pcpvt_small",
    "levit_conv_128s",
    "crossvit_tiny_240",
    "tiny_vit_5m_224",
    "shvit_s1",
    "efficientformerv2_s0",
    "caformer_s18",
    "lowformer_b0",
    "cpubone_t0",
    "resnet50_clip",
    "mvitv2_small_cls",
    "pvt_v2_b2_li",
    "iformer_t",
    "fastvit_mci0",
    "csatv2",
    "mobilenetv4_hybrid_medium_075",
    "mobilenetv5_base",
    "lamhalobotnet50ts_256",
    "maxvit_tiny_tf_224",
    "maxxvitv2_nano_rw_256",
    "coatnet_rmlp_nano_rw_224",
    "davit_base_fl",
    "hieradet_small",
    "gcvit_xxtiny",
    "nextvit_small",
    "vitamin_small_224",
    "efficientformer_l1",
    "mvitv2_tiny",
    "halonet26t",
    "maxvit_nano_rw_256",
    "sam2_hiera_tiny",
    "nest_tiny",
    "botnet26t_256",
    "coatnet_pico_rw_224",
    "twins_svt_small",
    "visformer_tiny",
    "efficientvit_m0",
)


def build(variant: Variant, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """(module in double precision, input): every layer's largest weight is above 10 / keys, wherever that is below one.

    Attention is sharpened layer by layer and no further than that: a network of saturated attention is chaotic, and two ways
    to round the same sum end in different weights some blocks later.
    """
    with _Undrawn():
        module = timm.create_model(variant.architecture, **variant.arguments).eval().double()
    module.requires_grad_(False)
    x = torch.randn(1, 3, *variant.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    placements = placements_of(module, variant.size)
    redraw(module, seed)
    for _ in range(20):
        own = explicit_weights(module, x, placements, measuring=True)
        even = {p.module for p, weights in zip(placements, own, strict=True) if weights.max() <= _far(weights)}
        if not even:
            return module, x
        for name in even:
            sharpen(module, name)
    raise AssertionError(f"{variant} stays near uniform in {sorted(even)}")


def _far(weights: Tensor) -> float:
    return min(10 / weights.shape[-1], 0.6)


class _Undrawn(TorchFunctionMode):
    """Leaves parameters as they were allocated: all of them are drawn anew, and timm's own drawing takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_, Tensor.erfinv_):
            return args[0]
        return func(*args, **(kwargs or {}))


def redraw(module: nn.Module, seed: int) -> None:
    """Draws every parameter anew, those that timm starts at zero included."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if parameter.ndim < 2:
            scaling = (name.endswith(".weight") and ("norm" in name or "bn" in name)) or "res_scale" in name
            parameter.data = noise * 0.3 + scaling
        elif "table" in name or "_token" in name or "pos_embed" in name or "rel_" in name or "attention_biases" in name:
            parameter.data = noise
        else:
            parameter.data = noise * 1.2 / parameter[0].numel() ** 0.5


def sharpen(module: nn.Module, speaker: str) -> None:
    """Makes larger by half what one attention module computes its scores from."""
    for name, parameter in module.get_submodule(speaker).named_parameters():
        if name.split(".")[0] not in AFTER_SCORES:
            parameter.data *= 1.5
    for part in module.modules():  # what modules keep of their parameters between passes
        if hasattr(part, "attention_bias_cache"):
            part.attention_bias_cache = {}


def _measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Gives a batch norm the statistics of its input, as training would, so that no signal explodes or dies."""
    channels = inputs[0].transpose(0, 1).flatten(1)  # (channels, batch * positions)
    if channels.shape[1] > 1:
        norm.running_mean, norm.running_var = channels.mean(1), channels.var(1) + 1e-3


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

    def replace(self, mixed: Tensor) -> None:
        """What the model made of the last softmax before using it."""
        self.seen[-1] = mixed


def explicit_weights(
    module: nn.Module, x: Tensor, placements: tuple[Placement, ...], *, measuring: bool = False
) -> list[Tensor]:
    """The model's own weights, call by call, in the shape of its calls: what goes into its dropout of weights, or else what
    its softmax gives, heads mixed where it mixes them. Calls that `placements` refuse are among them.

    measuring  on the way, batch norms take the statistics of what they see
    """
    dropped: list[Tensor] = []
    handles = []
    with unfused(module), torch.no_grad(), _Spy() as spy:
        for part in module.modules():
            if isinstance(getattr(part, "attn_drop", None), nn.Module):
                hook = part.attn_drop.register_forward_pre_hook(lambda _m, inputs: dropped.append(inputs[0]))
                handles.append(hook)
            if hasattr(part, "talking_head2"):
                handles.append(part.talking_head2.register_forward_hook(lambda _m, _i, mixed: spy.replace(mixed)))
            if measuring and isinstance(part, nn.modules.batchnorm._BatchNorm):
                handles.append(part.register_forward_pre_hook(_measure))
        try:
            module(x)
        finally:
            for handle in handles:
                handle.remove()
    shapes = [p.shape for p in placements]
    for found in (dropped, spy.seen):
        if [_squeezed(weights.shape) for weights in found] == [_squeezed(shape) for shape in shapes]:
            return [weights.reshape(shape) for weights, shape in zip(found, shapes, strict=True)]
    spied = [[tuple(weights.shape) for weights in found] for found in (dropped, spy.seen)]
    raise AssertionError(f"own weights {spied[0]} or {spied[1]} are not {shapes}")


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of one head or one image, which a model's two paths need not share."""
    return tuple(size for size in shape[:-2] if size > 1) + tuple(shape[-2:])


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
