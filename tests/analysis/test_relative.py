"""Biases over displacements, against the models' own tables read by hand."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from tests.analysis.staged import built
from vitviz.analysis.positions import position_kinds
from vitviz.analysis.question import BareModel
from vitviz.analysis.relative import RelativeBias, by_offset, offset_biases, relative_biases, rotary_table
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout

ANY_LAYOUT = TokenLayout((), (16, 16), (4, 4))  # biases are read off the module


def test_swins_bias_is_its_table_folded():
    model = BareModel(built("swin_tiny_patch4_window7_224"), ANY_LAYOUT)
    biases = offset_biases(model, (64, 64))
    assert [bias.layer for bias in biases] == [f"layers.{i}.blocks.{j}.attn" for i in (0, 1) for j in (0, 1)]
    for bias in biases:
        table = model.module.get_submodule(bias.layer).relative_position_bias_table.numpy()  # (49, heads)
        # timm's index is (query - key + 3) along each axis, so that its table runs from the last displacement to the first
        expected = table.reshape(7, 7, -1)[::-1, ::-1].transpose(2, 0, 1)
        np.testing.assert_allclose(bias.values, expected, atol=1e-6)
        assert bias.window == (4, 4) and bias.step == (1, 1)


def test_the_bias_of_spread_windows_steps_over_patches():
    model = BareModel(built("maxvit_tiny_rw_224"), ANY_LAYOUT)
    block, grid = offset_biases(model, (64, 64))[:2]
    assert block.step == (1, 1) and grid.step[0] == grid.step[1] > 1
    assert grid.values.shape == block.values.shape


def test_prefix_tokens_have_no_displacement():
    torch.manual_seed(0)
    module = timm.create_model("beit_base_patch16_224", img_size=(64, 96), embed_dim=48, depth=1, num_heads=3).eval()
    table = module.blocks[0].attn.relative_position_bias_table
    table.data = torch.randn(table.shape)
    bias = offset_biases(BareModel(module, ANY_LAYOUT), (64, 96))[0]
    assert bias.values.shape == (3, 7, 11) and bias.window == (4, 6)
    index = module.blocks[0].attn.relative_position_index
    for query, key in [(1, 1), (1, 24), (8, 3), (24, 1)]:  # tokens; the class token is the first
        down, right = (key - 1) // 6 - (query - 1) // 6, (key - 1) % 6 - (query - 1) % 6
        expected = table[int(index[query, key])].detach().numpy()
        np.testing.assert_allclose(bias.values[:, 3 + down, 5 + right], expected, atol=1e-6)


def test_a_bias_that_depends_on_more_than_the_step_has_no_such_map():
    model = BareModel(built("swin_tiny_patch4_window7_224"), ANY_LAYOUT)
    placement = placements_of(model.module, (64, 64))[0]
    values = np.random.default_rng(0).normal(size=(2, 16, 16)).astype(np.float32)
    assert by_offset(RelativeBias(placement.module, values), placement) is None
    with pytest.raises(UnsupportedError, match="no relative position bias"):
        offset_biases(BareModel(built("pvt_v2_b0"), ANY_LAYOUT), (64, 64))


# Rotary kernels against rotations by brute force, relative biases against tables and networks read by hand.


SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
ROTARY = {
    "eva02_tiny_patch14_224": (56, 84),
    "vit_small_patch16_dinov3": (64, 96),
    "vit_small_patch16_rope_224": (64, 96),
    "vit_small_patch16_rope_mixed_224": (64, 96),
}


def small(name: str, size: tuple[int, int], **arguments):
    torch.manual_seed(0)
    module = timm.create_model(name, img_size=size, **arguments).eval().requires_grad_(False)
    layout = layout_of(module, name, size)
    return BareModel(module, layout, name), layout


@pytest.mark.parametrize("name", ROTARY)
def test_kernel_is_what_the_models_own_rotation_does_to_scores(name):
    """q kT of vectors that are the same at every patch, rotated by timm's own function, averaged over directions."""
    from timm.layers import apply_rot_embed_cat

    model, layout = small(name, ROTARY[name], **SMALL)
    kernel = rotary_table(model, layout).kernel(layer=1, head=2)
    rope = model.module.rope.get_embed(shape=list(layout.grid))
    rope = rope[1, 2] if rope.ndim == 4 else rope
    half = getattr(model.module.blocks[0].attn, "rotate_half", False)
    dim = rope.shape[-1] // 2
    basis = torch.eye(dim)[:, None, :].expand(dim, layout.num_patches, dim)  # every direction, the same at every patch
    turned = apply_rot_embed_cat(basis, rope, half=half)
    scores = torch.einsum("dqc,dkc->qk", turned, turned) / dim  # the mean over directions is the mean over frequencies
    rows, cols = layout.grid
    for query, key in [(0, 0), (0, cols - 1), (cols + 1, 2), (layout.num_patches - 1, 0), (3, layout.num_patches - 2)]:
        down, right = key // cols - query // cols, key % cols - query % cols
        assert kernel[down + rows - 1, right + cols - 1] == pytest.approx(float(scores[query, key]), abs=1e-5)


def test_kernel_is_one_at_home_and_the_same_both_ways():
    model, layout = small("eva02_tiny_patch14_224", (56, 84), **SMALL)
    kernel = rotary_table(model, layout).kernel()
    rows, cols = layout.grid
    assert kernel.shape == (2 * rows - 1, 2 * cols - 1)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)
    assert kernel[rows - 1, cols - 1] == pytest.approx(1)
    assert kernel[rows - 1].min() < 0.9


def test_a_model_without_rotation_says_so():
    model, layout = small("vit_tiny_patch16_224", (64, 96), **SMALL)
    with pytest.raises(UnsupportedError, match="does not rotate"):
        rotary_table(model, layout)
    with pytest.raises(UnsupportedError, match="no relative position bias"):
        relative_biases(model, (64, 96))
    assert position_kinds(model, layout) == ("learned",)


def redrawn(model):
    generator = torch.Generator().manual_seed(1)
    for parameter in model.module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return model


def test_beit_bias_is_its_table_read_through_its_index():
    model, _ = small("beit_base_patch16_224", (64, 96), **SMALL)
    redrawn(model)
    layers = relative_biases(model, (64, 96))
    assert [layer.layer for layer in layers] == ["blocks.0.attn", "blocks.1.attn"]
    attention = model.module.blocks[1].attn
    for head, query, key in [(0, 0, 5), (2, 7, 7), (1, 24, 3)]:
        entry = int(attention.relative_position_index[query, key])
        expected = float(attention.relative_position_bias_table[entry, head])
        assert layers[1].values[head, query, key] == pytest.approx(expected, abs=1e-6)


def test_swin_bias_of_a_shifted_window_is_its_table():
    model, _ = small(
        "swin_tiny_patch4_window7_224", (64, 64), window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    )
    redrawn(model)
    layers = {layer.layer: layer for layer in relative_biases(model, (64, 64))}
    attention = model.module.layers[0].blocks[1].attn
    bias = layers["layers.0.blocks.1.attn"]
    assert bias.window == (4, 4)
    for query in range(16):
        for key in range(16):
            entry = (query // 4 - key // 4 + 3) * 7 + (query % 4 - key % 4 + 3)
            expected = attention.relative_position_bias_table[entry].numpy()
            np.testing.assert_allclose(bias.values[:, query, key], expected, atol=1e-6)


def test_swinv2_bias_is_what_its_network_generates():
    model, _ = small("swinv2_tiny_window8_256", (64, 64), window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4))
    redrawn(model)
    bias = relative_biases(model, (64, 64))[0]
    attention = model.module.layers[0].blocks[0].attn
    table = attention.cpb_mlp(attention.relative_coords_table).reshape(-1, 2)
    for query, key in [(0, 0), (3, 12), (15, 0), (6, 9)]:
        entry = (query // 4 - key // 4 + 3) * 7 + (query % 4 - key % 4 + 3)
        np.testing.assert_allclose(bias.values[:, query, key], 16 * torch.sigmoid(table[entry]).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "kinds"),
    [
        ("eva02_tiny_patch14_224", (56, 84), ("learned", "rotary")),
        ("vit_small_patch16_dinov3", (64, 96), ("rotary",)),
        ("beit_base_patch16_224", (64, 96), ("relative",)),
        ("vit_relpos_small_patch16_224", (64, 96), ("relative",)),
    ],
)
def test_every_kind_of_position_is_named(name, size, kinds):
    model, layout = small(name, size, **SMALL)
    assert position_kinds(redrawn(model), layout) == kinds


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_small_patch16_rope_mixed_224"])
@pytest.mark.parametrize(
    ("layer", "head", "words"),
    [
        (99, 0, "layer 99 does not exist: there are 2"),
        (0, 77, "head 77 does not exist: there are 3"),
        (-1, 0, "layer -1"),
        (0, -1, "head -1"),
    ],
)
def test_a_kernel_of_a_layer_or_head_that_is_not_there_is_refused(name, layer, head, words):
    """Also where all layers and heads share one table."""
    model, layout = small(name, ROTARY[name], **SMALL)
    with pytest.raises(IndexError, match=words):
        rotary_table(model, layout).kernel(layer, head)
    with pytest.raises(IndexError, match="patch 24 does not exist"):
        rotary_table(model, layout).similarity(1, 2, [0, 24])


def test_the_window_is_not_guessed_from_the_number_of_keys():
    """8 x 18 patches are 144 keys, and 144 is the square of 12."""
    model, _ = small("vit_relpos_small_patch16_224", (128, 288), **SMALL, class_token=False)
    biases = relative_biases(redrawn(model), (128, 288))
    assert [bias.values.shape[1:] for bias in biases] == [(144, 144)] * 2
    assert [bias.window for bias in biases] == [(8, 18)] * 2
    model, _ = small("beit_base_patch16_224", (64, 96), **SMALL)  # with a class token among the keys
    assert {bias.window for bias in relative_biases(redrawn(model), (64, 96))} == {None}
