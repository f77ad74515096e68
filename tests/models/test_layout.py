"""Token layouts, against what the papers and the models' own configurations say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.models.registry import build, build_on_meta

REGISTERS = ("reg0", "reg1", "reg2", "reg3")


@pytest.mark.parametrize(
    ("name", "size", "prefix", "grid", "patch"),
    [
        ("vit_tiny_patch16_224", (224, 224), ("cls",), (14, 14), (16, 16)),
        ("vit_tiny_patch16_224", (96, 160), ("cls",), (6, 10), (16, 16)),
        ("deit_tiny_distilled_patch16_224", (224, 224), ("cls", "dist"), (14, 14), (16, 16)),
        ("vit_small_patch14_reg4_dinov2", (126, 252), ("cls", *REGISTERS), (9, 18), (14, 14)),
        ("vit_small_patch16_dinov3", (256, 128), ("cls", *REGISTERS), (16, 8), (16, 16)),
        ("eva02_tiny_patch14_224", (224, 224), ("cls",), (16, 16), (14, 14)),
        ("beit_base_patch16_224", (224, 224), ("cls",), (14, 14), (16, 16)),
        ("vit_relpos_small_patch16_224", (224, 224), (), (14, 14), (16, 16)),
        ("vit_base_patch16_siglip_224", (224, 224), (), (14, 14), (16, 16)),
        ("vit_medium_patch16_reg4_gap_256", (256, 256), REGISTERS, (16, 16), (16, 16)),
        (
            "vit_tiny_r_s16_p8_224",
            (224, 224),
            ("cls",),
            (7, 7),
            (32, 32),
        ),  # a stem that shrinks 4 times, then patches of 8
        ("cait_xxs24_224", (224, 224), (), (14, 14), (16, 16)),  # its class token joins after the backbone
        ("crossvit_9_240", (240, 240), ("cls",), (20, 20), (12, 12)),  # the first of two branches
        ("swin_tiny_patch4_window7_224", (224, 224), (), (56, 56), (4, 4)),
        ("maxvit_tiny_tf_224", (224, 224), (), (56, 56), (4, 4)),
        ("pvt_v2_b0", (96, 160), (), (24, 40), (4, 4)),
        ("coatnet_0_rw_224", (224, 224), (), (14, 14), (16, 16)),  # attention begins in the third stage
        ("efficientformerv2_s0", (224, 224), (), (7, 7), (32, 32)),
        ("levit_128", (224, 224), (), (14, 14), (16, 16)),
        ("naflexvit_base_patch16_gap", (384, 384), REGISTERS, (24, 24), (16, 16)),
    ],
)
def test_layouts(name, size, prefix, grid, patch):
    layout = layout_of(build_on_meta(name), name, size)
    assert (layout.prefix, layout.grid, layout.patch_size) == (prefix, grid, patch)


@pytest.mark.parametrize("name", ["resnet50", "mixer_b16_224", "seresnet50", "skresnet18", "convnext_atto"])
def test_no_attention_is_said_so(name):
    with pytest.raises(UnsupportedError, match="no attention over tokens"):
        layout_of(build_on_meta(name), name, (224, 224))


def test_a_size_that_does_not_tile_names_the_multiple():
    with pytest.raises(UnsupportedError, match="multiples of 16"):
        layout_of(build_on_meta("vit_tiny_patch16_224"), "vit_tiny_patch16_224", (100, 224))


def test_probing_leaves_nothing_on_the_module():
    module = build("test_vit")
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        before = module(image)
        layout_of(module, "test_vit", (96, 64))
        assert torch.equal(module(image), before)
    assert not any(part._forward_hooks for part in module.modules())
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}


def test_a_module_nobody_has_seen_before():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 10, 10)

        def forward(self, image):
            tokens = self.stem(image).flatten(2).transpose(1, 2)
            scores = tokens @ tokens.transpose(1, 2)
            return (scores.softmax(dim=-1) @ tokens).mean(1)

    layout = layout_of(Own(), "own", (50, 80))
    assert (layout.prefix, layout.grid, layout.patch_size) == ((), (5, 8), (10, 10))
