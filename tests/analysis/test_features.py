"""Patch features against the model's own layers called one by one, and against answers known beforehand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import timm
import torch

from vitviz.analysis import features as analysis_features
from vitviz.analysis.features import (
    FACETS,
    PatchFeatures,
    cluster_patches,
    correspondences,
    feature_maps,
    patch_similarity,
    principal_components,
    similar_patches,
)
from vitviz.analysis.question import BareModel
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout(("cls",), (3, 4), (16, 16))
DEPTH = 2


def model(layout: TokenLayout = LAYOUT, dtype: torch.dtype = torch.float32, positions: bool = True) -> BareModel:
    torch.manual_seed(1)
    module = timm.create_model(
        "vit_tiny_patch16_224", img_size=layout.input_size, depth=DEPTH, embed_dim=24, num_heads=3
    ).eval()
    for parameter in module.parameters():
        parameter.data.normal_(std=0.3)
    if not positions:
        module.pos_embed.data.zero_()
    return BareModel(module.to(dtype).requires_grad_(False), layout)


def features(values: np.ndarray, grid: tuple[int, int]) -> PatchFeatures:
    return PatchFeatures(values.astype(np.float32), TokenLayout((), grid, (10, 10)), 0, "key")


def plain_patches(grid: tuple[int, int], side: int = 16) -> torch.Tensor:
    """(3, height, width): every patch one colour of its own, so that a patch looks the same flipped."""
    colours = torch.rand(3, *grid, generator=torch.Generator().manual_seed(3))
    return colours.repeat_interleave(side, 1).repeat_interleave(side, 2)


def test_facets_are_what_the_layers_compute():
    subject, pixels = model(), torch.randn(3, *LAYOUT.input_size)
    maps = feature_maps(subject, pixels)
    module = subject.module
    state = module._pos_embed(module.patch_embed(pixels[None]))
    for layer, block in enumerate(module.blocks):
        q, k, v = block.attn.qkv(block.norm1(state)).chunk(3, dim=-1)  # (1, tokens, width) each, head by head
        state = block(state)
        expected = {"query": q, "key": k, "value": v, "token": module.norm(state)}
        for facet in FACETS:
            found = maps.facet(facet, layer)
            assert found.layout.grid == LAYOUT.grid and (found.layer, found.facet) == (layer, facet)
            np.testing.assert_allclose(found.values, expected[facet][0, 1:].numpy(), atol=2e-5)
    assert maps.facet().layer == DEPTH - 1
    assert not any(block._forward_hooks for block in module.blocks)


def test_what_is_not_there_is_refused():
    maps = feature_maps(model(), torch.randn(3, *LAYOUT.input_size))
    with pytest.raises(ValueError, match="a facet is one of"):
        maps.facet("output")
    with pytest.raises(IndexError, match="layer 2 does not exist"):
        maps.facet("key", 2)
    with pytest.raises(ValueError, match="cannot be compared"):
        patch_similarity(maps.facet("key", 0), maps.facet("key", 1))
    without = type(maps)(maps.layers, (), maps.layout)
    with pytest.raises(UnsupportedError, match="use its keys"):
        without.facet("token")


def test_the_browser_gets_the_same_similarities():
    found = features(np.random.default_rng(0).normal(3, 2, (20, 384)), (4, 5))
    packed = found.packed()
    assert packed.dtype == np.float16 and packed.shape == (20, 384)
    rows = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in found.values] for a in found.values]
    np.testing.assert_allclose(patch_similarity(found), rows, atol=1e-6)
    np.testing.assert_allclose(packed.astype(np.float32) @ packed.astype(np.float32).T, rows, atol=1e-3)
    np.testing.assert_allclose(similar_patches(found, (2, 3)).values, np.reshape(rows[13], (4, 5)), atol=1e-6)


def test_a_patch_without_features_is_like_nothing():
    values = np.eye(6)
    values[2] = 0
    assert (patch_similarity(features(values, (2, 3)))[2] == 0).all()


@pytest.mark.parametrize("shift", [(0, 0), (1, 2)])
def test_correspondences_of_a_flipped_and_shifted_copy_are_the_known_ones(shift: tuple[int, int]):
    subject = model(positions=False)
    picture = plain_patches(LAYOUT.grid)
    copy = picture.flip(2).roll((shift[0] * 16, shift[1] * 16), (1, 2))
    a, b = (feature_maps(subject, pixels).facet("key") for pixels in (picture, copy))
    found = correspondences(a, b)
    rows, cols = LAYOUT.grid
    known = {
        row * cols + col: (row + shift[0]) % rows * cols + (cols - 1 - col + shift[1]) % cols
        for row in range(rows)
        for col in range(cols)
    }
    assert dict(zip(found.source.tolist(), found.target.tolist(), strict=True)) == known
    assert (np.diff(found.similarity) <= 0).all() and found.similarity[-1] > 0.999
    assert len(correspondences(a, b, count=3).source) == 3


def test_pairs_are_each_others_nearest():
    a = features(np.array([[1, 0], [0.9, 0.1], [0, 1]]), (1, 3))
    b = features(np.array([[1, 0.01], [0, 1], [0.1, 1]]), (1, 3))
    alone = correspondences(a, b, mutual=False)
    assert sorted(zip(alone.source.tolist(), alone.target.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 1)]
    both = correspondences(a, b)
    assert sorted(zip(both.source.tolist(), both.target.tolist(), strict=True)) == [(0, 0), (2, 1)]


def test_neighbours_are_found_in_blocks_whose_memory_is_bounded(monkeypatch):
    """The pairs are those of a known shuffle, and those of the whole matrix where nothing is known."""
    generator = np.random.default_rng(8)
    values, order = generator.standard_normal((3000, 8)), generator.permutation(3000)
    a, b, c = (features(each, (50, 60)) for each in (values, values[order], generator.standard_normal((3000, 8))))
    whole = patch_similarity(a, c)  # 36 MB
    monkeypatch.setattr(analysis_features, "BLOCK_PAIRS", 70_000)  # 23 patches a block
    tracemalloc.start()
    same, others = correspondences(a, b), correspondences(a, c, mutual=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
    np.testing.assert_array_equal(order[same.target], same.source)
    assert len(same.source) == 3000
    np.testing.assert_array_equal(others.target, whole.argmax(1)[others.source])
    np.testing.assert_allclose(others.similarity, np.sort(whole.max(1))[::-1], atol=1e-6)
    mutual = correspondences(a, c)
    np.testing.assert_array_equal(whole.argmax(0)[mutual.target], mutual.source)
    assert len(mutual.source) == (whole.argmax(0)[whole.argmax(1)] == np.arange(3000)).sum()


def test_without_positions_shuffled_patches_give_shuffled_features():
    """To 1e-10 in double precision; with positions, and for a convolutional network, they do not."""
    order = np.random.default_rng(4).permutation(LAYOUT.num_patches)
    picture = torch.randn(3, *LAYOUT.input_size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rows, cols = LAYOUT.grid
    cells = picture.reshape(3, rows, 16, cols, 16).permute(1, 3, 0, 2, 4).flatten(0, 1)  # (patches, 3, 16, 16)
    shuffled = cells[order].reshape(rows, cols, 3, 16, 16).permute(2, 0, 3, 1, 4).reshape(picture.shape)
    differences = {}
    for positions in (True, False):
        subject = model(dtype=torch.float64, positions=positions)
        one, two = (feature_maps(subject, pixels).states[-1] for pixels in (picture, shuffled))
        differences[positions] = float((one[1:][order] - two[1:]).abs().max())
        differences[positions, "cls"] = float((one[0] - two[0]).abs().max())
    assert differences[False] < 1e-10 and differences[False, "cls"] < 1e-10
    assert differences[True] > 1e-3 and differences[True, "cls"] > 1e-3
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 5, padding=2)
    )
    network = network.double()
    with torch.no_grad():
        one, two = (network(pixels[None]).relu().mean((2, 3)) for pixels in (picture, shuffled))
    assert float((one - two).abs().max()) > 1e-3


def test_components_are_those_of_a_singular_value_decomposition():
    generator = np.random.default_rng(6)
    pictures = [features(generator.normal(size=(12, 7)) * np.arange(1, 8), (3, 4)) for _ in range(2)]
    found = principal_components(pictures, 3)
    rows = np.concatenate([picture.values for picture in pictures])
    left, singular, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = left[:, :3] * singular[:3]
    answer = np.concatenate([values.reshape(-1, 3) for values in found.values])
    sign = np.sign((expected * answer).sum(0))
    np.testing.assert_allclose(answer, expected * sign, atol=1e-3)
    np.testing.assert_allclose(found.explained, (singular**2 / (singular**2).sum())[:3], rtol=1e-4)
    for colours in found.colours():
        assert colours.shape == (3, 4, 3) and colours.min() >= 0 and colours.max() <= 1


def test_one_thing_has_one_colour_in_all_pictures_and_the_background_none():
    generator = np.random.default_rng(7)
    grid = (6, 6)
    background, wheel, body = generator.normal(size=(3, 16))
    pictures, truths = [], []
    for top, left in ((1, 1), (2, 3)):
        kind = np.zeros(grid, int)
        kind[top : top + 3, left], kind[top : top + 3, left + 1] = 1, 2
        values = np.stack([background, wheel, body])[kind.ravel()] + generator.normal(scale=0.01, size=(36, 16))
        pictures.append(features(values, grid))
        truths.append(kind)
    found = principal_components(pictures, 3, foreground=True)
    for kept, values, kind in zip(found.foreground, found.values, truths, strict=True):
        np.testing.assert_array_equal(kept, kind > 0)
        assert np.isnan(values[kind == 0]).all()
    colours = found.colours()
    assert all((colour[kind == 0] == 0).all() for colour, kind in zip(colours, truths, strict=True))
    firsts = [
        [values[kind == part][:, 0].mean() for part in (1, 2)]
        for values, kind in zip(found.values, truths, strict=True)
    ]
    np.testing.assert_allclose(firsts[0], firsts[1], atol=0.05)
    assert abs(firsts[0][0] - firsts[0][1]) > 1


def test_clusters_are_the_known_groups_numbered_by_size():
    directions = np.eye(8)[:3]
    sizes = np.array([0] * 9 + [1] * 4 + [2] * 2)
    noise = np.random.default_rng(8).normal(scale=0.02, size=(15, 8))
    order = np.random.default_rng(9).permutation(15)
    one = features((directions[sizes] + noise)[order], (3, 5))
    (found,) = cluster_patches([one], 3)
    np.testing.assert_array_equal(found.ravel(), sizes[order])
    np.testing.assert_array_equal(cluster_patches([one], 3)[0], found)
    both = cluster_patches([one, features(directions[[2, 2, 1, 0]], (2, 2))], 3)
    np.testing.assert_array_equal(both[1], [[2, 2], [1, 0]])
    same = features(np.ones((6, 4)), (2, 3))
    assert (cluster_patches([same], 4)[0] == 0).all(), "patches that are all alike are one cluster"
    with pytest.raises(ValueError, match="1 to 15 clusters"):
        cluster_patches([one], 16)


def test_windows_have_no_common_features():
    module = timm.create_model("swin_tiny_patch4_window7_224", img_size=64, window_size=4, embed_dim=24, depths=(2, 2))
    with pytest.raises(UnsupportedError, match="inside windows or on different grids"):
        feature_maps(BareModel(module.eval(), TokenLayout((), (16, 16), (4, 4))), torch.randn(3, 64, 64))
