"""What the start page's figure opens in place, against the library's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from tests.analysis.staged import built
from vitviz.analysis.positions import position_similarity
from vitviz.analysis.question import BareModel
from vitviz.analysis.relative import rotary_table
from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout
from vitviz.ui.pages.start.position_map import ARRAYS


def small(name: str, **arguments):
    torch.manual_seed(0)
    module = timm.create_model(name, img_size=(56, 84), embed_dim=48, depth=2, num_heads=3, **arguments).eval()
    return BareModel(module, layout_of(module, name, (56, 84)))


def test_the_products_of_what_is_sent_are_the_similarities_of_positions():
    model = small("vit_small_patch14_dinov2")
    vectors = ARRAYS["added"](model, model.layout)[0]["features"].astype(float)
    np.testing.assert_allclose(vectors @ vectors.T, position_similarity(model, model.layout), atol=2e-3)


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_224", "vit_small_patch16_rope_mixed_224"])
def test_the_products_of_what_is_sent_are_the_rotary_kernel(name):
    model = small(name, patch_size=14)
    arrays, meta = ARRAYS["rotary"](model, model.layout)
    table = rotary_table(model, model.layout)
    wanted = np.mean([table.similarity(0, head) for head in range(meta["heads"])], 0)
    vectors = arrays["features"].astype(float)
    np.testing.assert_allclose(vectors @ vectors.T, wanted, atol=2e-3)
    assert meta["heads"] == (3 if "mixed" in name else 1)


def test_a_bias_is_the_mean_of_the_heads_of_the_first_layer_that_adds_one():
    module = built("swin_tiny_patch4_window7_224")
    model = BareModel(module, TokenLayout((), (16, 16), (4, 4)))
    arrays, meta = ARRAYS["relative"](model, model.layout)
    table = module.layers[0].blocks[0].attn.relative_position_bias_table.numpy()  # (49, heads)
    # timm's index is (query - key + 3) along each axis
    np.testing.assert_allclose(arrays["bias"], table.reshape(7, 7, -1)[::-1, ::-1].mean(-1), atol=1e-6)
    assert meta == {"step": [1, 1], "window": [4, 4], "whole": False}


def test_a_bias_that_depends_on_more_has_no_map(monkeypatch):
    model = small("vit_small_patch14_dinov2")
    arrays, _ = ARRAYS["relative"](model, model.layout)
    assert np.isnan(arrays["bias"]).all()
