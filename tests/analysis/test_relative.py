"""Biases over displacements, against the models' own tables read by hand."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from tests.analysis.staged import built
from vitviz.analysis.question import BareModel
from vitviz.analysis.relative import RelativeBias, by_offset, offset_biases
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.errors import UnsupportedError
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
