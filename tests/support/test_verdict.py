"""Verdicts: those that are known, and those of models nobody has seen before."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitviz.capture.coordinates.run import place_calls
from vitviz.capture.record import record
from vitviz.errors import ModelError, UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.models.registry import build_on_meta, pretrained_cfg
from vitviz.support import Support, judge, support_of, sweep

KNOWN = {
    "vit_tiny_patch16_224": ("global", True),
    "vit_small_patch14_reg4_dinov2": ("global", True),
    "beit_base_patch16_224": ("global", True),
    "vit_base_patch16_siglip_224": ("global", True),
    "samvit_base_patch16_224": ("global", True),
    "cait_xxs24_224": ("mixed", False),
    "resnet50_clip": ("mixed", True),
    "pvt_v2_b0": ("mixed", True),
    "swin_tiny_patch4_window7_224": ("windowed", False),
    "davit_tiny": ("windowed", True),
    "xcit_nano_12_p16_224": ("refused", True),
    "edgenext_xx_small": ("refused", False),
    "coat_lite_tiny": ("refused", False),
    "resnet18": ("refused", False),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_get_the_right_verdict(name):
    support = support_of(name)
    assert (support.verdict, support.fused) == KNOWN[name]
    assert support.reason.endswith(".")
    assert support.verdict == "global" or support.instead.endswith(".")
    assert support.rollout == (support.verdict == "global")


@pytest.mark.parametrize(
    "name",
    ["samvit_base_patch16_224", "vit_base_r50_s16_224", "deit3_small_patch16_224", "vit_pe_core_tiny_patch16_384"],
)
def test_what_is_global_is_recorded_layer_by_layer(name):
    support, module = support_of(name), build_on_meta(name)
    size = tuple(pretrained_cfg(name).input_size[1:])
    found = record(module, torch.empty(1, 3, *size, device="meta"), layout_of(module, name, size))
    assert support.verdict == "global"
    heads = [layers.heads for layers in support.layers for _ in range(layers.count) if layers.kind == "global"]
    assert [layer.num_heads for layer in found.layers] == heads


def test_reasons_name_what_is_in_the_way():
    assert "channels" in support_of("edgenext_xx_small").reason
    assert "2 layers of class attention or attention pooling" in support_of("xcit_nano_12_p16_224").instead
    assert "no weights of one token" in support_of("resnet18").reason
    assert "windows" in support_of("swin_tiny_patch4_window7_224").reason


def test_an_unknown_name_is_an_error_that_suggests_others():
    with pytest.raises(ModelError, match="vit_tiny_patch16_224"):
        support_of("vit_tiny_patch16_22")


def test_a_sweep_keeps_the_order_and_counts():
    counted = []
    names = ["resnet18", "vit_tiny_patch16_224"]
    assert [s.name for s in sweep(names, 1, lambda done, total: counted.append((done, total)))] == names
    assert counted == [(1, 2), (2, 2)]


class Unseen(nn.Module):
    """Attention as nobody writes it: tokens in columns, windows of every other pixel, learned patches."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.project = nn.Linear(16, 48)
        self.torch_made = nn.MultiheadAttention(16, 2, batch_first=True) if how == "torch" else nn.Identity()

    def forward(self, x):
        x = self.patches(x)  # (batch, 16, rows, cols)
        if self.how == "dilated":
            batch, width, rows, cols = x.shape
            x = x.reshape(batch, width, rows // 2, 2, cols // 2, 2).permute(0, 3, 5, 2, 4, 1)
            x = x.reshape(batch * 4, rows * cols // 4, width)
        else:
            x = x.flatten(2).mT
        q, k, v = self.project(x).chunk(3, -1)
        if self.how == "channels":
            q, k, v = q.mT, k.mT, v.mT
        if self.how == "linear":
            return (F.elu(q) + 1) @ ((F.elu(k) + 1).mT @ v)
        if self.how == "subtracted":
            return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None]) - 0.5 * (
                F.scaled_dot_product_attention(k[:, None], q[:, None], v[:, None])
            )
        if self.how == "torch":
            return self.torch_made(x, x, x)[0]
        return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])


def verdict_on(how: str) -> Support:
    return judge(how, place_calls(Unseen(how).eval(), (32, 48))) if how != "torch" else None


def test_an_unseen_model_that_calls_the_fused_function_is_understood():
    support = verdict_on("plain")
    assert (support.verdict, support.fused, support.layers[0].query_grid) == ("global", True, (4, 6))


def test_unseen_windows_are_found_where_they_are():
    (placement,) = place_calls(Unseen("dilated").eval(), (32, 48))
    assert placement.kind == "windowed"
    expected = [[row * 6 + col for row in (a, a + 2) for col in (b, b + 2, b + 4)] for a in (0, 1) for b in (0, 1)]
    assert placement.query_tokens.tolist() == placement.key_tokens.tolist() == expected


@pytest.mark.parametrize(
    ("how", "word"),
    [("channels", "channels"), ("linear", "Linear attention has no such weights"), ("subtracted", "negative")],
)
def test_what_is_no_attention_between_patches_is_refused_with_its_reason(how, word):
    support = verdict_on(how)
    assert support.verdict == "refused"
    assert word in support.reason


def test_torchs_own_attention_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="MultiheadAttention"):
        place_calls(Unseen("torch").eval(), (32, 48))


def test_a_model_with_weights_is_left_as_it_was():
    module = Unseen("plain").eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    place_calls(module, (32, 48))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
