"""Patches as pixels, filters as components, logits as a prediction."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from vitviz.analysis.patches import filter_components, is_cut, patch_pixels, sequence_cost
from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.question import BareModel
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout((), (2, 3), (4, 5))  # of models whose layout does not matter


def test_patches_are_cut_row_by_row_with_their_pixels_upright():
    layout = TokenLayout(("cls",), (2, 3), (4, 5))
    picture = np.random.default_rng(0).integers(0, 256, (8, 15, 3), dtype=np.uint8)
    patches = patch_pixels(picture, layout)
    assert patches.shape == (6, 4, 5, 3)
    for index in range(6):
        row, col = divmod(index, 3)
        np.testing.assert_array_equal(patches[index], picture[row * 4 : row * 4 + 4, col * 5 : col * 5 + 5])
    with pytest.raises(ValueError, match="8x14"):
        patch_pixels(picture[:, :14], layout)


def test_components_span_the_filters_and_come_in_order():
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1)
    found = filter_components(BareModel(module, LAYOUT), 500)
    flat = module.patch_embed.proj.weight.detach().flatten(1).numpy()  # (192, 768)
    covariance = np.cov(flat.T, bias=True)
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    np.testing.assert_allclose(found.explained[:5], values[::-1][:5] / values.sum(), rtol=1e-3)
    first = found.components[0].transpose(2, 0, 1).ravel()  # (16, 16, 3) -> (3 * 16 * 16,)
    assert abs(first @ vectors[:, -1]) == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert (found.components.reshape(len(found.components), -1)[:28].max(1) > 0).all()
    assert filter_components(BareModel(module, LAYOUT)).components.shape == (28, 16, 16, 3)


def test_a_planted_filter_is_found():
    planted = torch.zeros(3, 4, 4)
    planted[0, :, 2:] = 1  # red on the right
    embed = nn.Module()
    embed.proj = nn.Conv2d(3, 9, 4, 4)
    embed.proj.weight.data = torch.linspace(-1, 1, 9)[:, None, None, None] * planted
    module = nn.Module()
    module.patch_embed = embed
    found = filter_components(BareModel(module, LAYOUT), 1)
    np.testing.assert_allclose(found.components[0], planted.permute(1, 2, 0) / 8**0.5, atol=1e-5)
    assert found.explained[0] == pytest.approx(1)


def test_filters_that_are_all_alike_have_no_share_of_a_variance():
    module = nn.Module()
    module.patch_embed = nn.Module()
    module.patch_embed.proj = nn.Conv2d(3, 9, 4, 4)
    module.patch_embed.proj.weight.data.fill_(0.5)
    found = filter_components(BareModel(module, LAYOUT), 2)
    assert np.isfinite(found.components).all() and found.explained == pytest.approx([0, 0])


def test_no_filters_over_pixels_is_refused():
    with pytest.raises(UnsupportedError, match="filters"):
        filter_components(BareModel(timm.create_model("vit_tiny_r_s16_p8_224", img_size=64, depth=1), LAYOUT))


def test_predictions_are_the_softmax_in_order():
    logits = torch.tensor([0.0, 2.0, 1.0])
    found = top_predictions(logits, ("cat", "dog", "cow"), count=2)
    total = 1 + np.exp(2) + np.exp(1)
    assert [(p.label, p.index) for p in found] == [("dog", 1), ("cow", 2)]
    assert [p.probability for p in found] == pytest.approx([np.exp(2) / total, np.exp(1) / total])
    assert found[0].logit == 2.0
    assert top_predictions(logits)[0].label == "class 1"
    with pytest.raises(ValueError, match="2 labels"):
        top_predictions(logits, ("cat", "dog"))


def test_pairs_of_pixels_and_of_patches():
    cost = sequence_cost(TokenLayout(("cls",), (16, 16), (14, 14)))
    assert (cost.pixels, cost.patches, cost.patch_pairs) == (224 * 224, 256, 65536)
    assert cost.pixel_pairs == sum(224 * 224 for _ in range(224 * 224)) == cost.patch_pairs * 14**4


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("vit_tiny_patch16_224", True),
        ("swin_tiny_patch4_window7_224", True),
        ("pvt_v2_b0", False),
        ("vit_tiny_r_s16_p8_224", False),
    ],
)
def test_a_picture_is_cut_where_each_filter_covers_one_patch(name, cut):
    with torch.device("meta"):
        module = timm.create_model(name)
    side = 4 if name.startswith(("swin", "pvt")) else 32 if "_r_" in name else 16
    assert is_cut(BareModel(module, LAYOUT), TokenLayout((), (224 // side, 224 // side), (side, side))) == cut
