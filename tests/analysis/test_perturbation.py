"""Perturbed pictures whose truth is known, and probabilities by the network's own forward pass."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from vitviz.analysis.perturbation import CELLS, KINDS, default_levels, perturbation_curve, perturbed, piece_order
from vitviz.capture import cost
from vitviz.errors import UnsupportedError

SIDE = 32
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def picture(seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def network(module: nn.Module) -> SimpleNamespace:
    return SimpleNamespace(
        name="network",
        module=module.eval(),
        lock=threading.RLock(),
        preprocessing=SimpleNamespace(mean=MEAN, std=STD),
    )


def vit(dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    torch.manual_seed(2)
    module = timm.create_model(
        "vit_tiny_patch16_224", img_size=SIDE, patch_size=8, depth=2, embed_dim=24, num_heads=2, num_classes=5
    )
    for parameter in module.parameters():
        parameter.data.normal_(std=0.2)
    module.pos_embed.data.zero_()
    return network(module.to(dtype))


def cnn(dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU())
    whole = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).to(dtype)
    whole.num_classes = 5  # as timm says it
    return network(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_level_is_the_picture_itself(kind: str):
    whole = picture()
    first, *rest = default_levels(kind, (SIDE, SIDE))
    kept = perturbed(whole, kind, first)
    np.testing.assert_array_equal(kept, whole)
    assert not np.shares_memory(kept, whole)
    for level in rest:
        assert (perturbed(whole, kind, level) != whole).any(), level


@pytest.mark.parametrize("grid", [3, 4, 7, 16])  # of 32 pixels: with 2 left over, 0, 4, and 0
def test_shuffles_are_exact_permutations(grid: int):
    whole, seed = picture(), 7
    found = perturbed(whole, "shuffle", grid, seed)
    step, order = SIDE // grid, piece_order(grid, seed)
    first = (SIDE - grid * step) // 2
    assert sorted(order.tolist()) == list(range(grid * grid))
    expected = whole.copy()
    for place, piece in enumerate(order.tolist()):
        (r, c), (to_r, to_c) = ((first + step * np.array(divmod(each, grid))).tolist() for each in (piece, place))
        expected[to_r : to_r + step, to_c : to_c + step] = whole[r : r + step, c : c + step]
    np.testing.assert_array_equal(found, expected)  # what is left over at the border stays
    np.testing.assert_array_equal(*(np.sort(each.reshape(-1, 3), axis=0) for each in (found, whole)))


def test_all_grids_to_16_are_asked():
    assert default_levels("shuffle", (224, 224)) == tuple(range(1, 17))
    assert default_levels("shuffle", (5, 224)) == (1, 2, 3, 4, 5)
    for grid in (0, SIDE + 1):
        with pytest.raises(ValueError, match="1 to 32 pieces"):
            perturbed(picture(), "shuffle", grid)


def test_hidden_cells_are_as_many_as_said_and_stay_hidden():
    whole = picture()
    mean = whole.mean((0, 1)).round()
    before = np.zeros((CELLS, CELLS), bool)
    for share in (0.25, 0.5, 1.0):
        found = perturbed(whole, "hide", share, 1)
        cells = (found == mean).all(-1).reshape(CELLS, 2, CELLS, 2).all((1, 3))
        assert cells.sum() == round(share * CELLS * CELLS)
        assert (cells | ~before).all()
        before = cells


def test_the_centre_is_a_square_in_the_middle():
    whole = picture()
    found = perturbed(whole, "centre", 0.5)
    changed = np.zeros((SIDE, SIDE), bool)
    changed[8:24, 8:24] = True
    np.testing.assert_array_equal(found[~changed], whole[~changed])
    assert (found[changed] == whole.mean((0, 1)).round()).all()


def test_blur_takes_texture_and_edges_leave_outlines():
    checks = (np.indices((SIDE, SIDE)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert np.abs(perturbed(checks, "blur", 4).astype(float) - 127.5).max() < 2
    two = np.zeros((SIDE, SIDE, 3), np.uint8)
    two[:, SIDE // 2 :] = (200, 100, 50)
    outline = perturbed(two, "edges", 1.0)
    assert (outline[:, [15, 16]] == 255).all() and (outline[:, :14] == 0).all() and (outline[:, 18:] == 0).all()
    np.testing.assert_array_equal(perturbed(two, "edges", 0.5)[0, -1], (100, 50, 25))
    for kind, level in (("blur", -1), ("edges", 1.5), ("hide", -0.1), ("noise", 1)):
        with pytest.raises(ValueError, match="not"):
            perturbed(two, kind, level)


@pytest.mark.parametrize("kind", ["hide", "blur"])
def test_values_are_those_of_the_network_itself(kind: str):
    subject, whole = cnn(), picture()
    told = []
    found = perturbation_curve(subject, whole, kind, orders=2, progress=lambda done, of: told.append((done, of)))
    orders = 2 if kind == "hide" else 1
    for index, level in enumerate(found.levels):
        expected = []
        for seed in range(orders):
            pixels = (perturbed(whole, kind, level, seed) / 255 - np.array(MEAN)) / np.array(STD)
            with torch.no_grad():
                logits = subject.module(torch.from_numpy(pixels).float().permute(2, 0, 1)[None])
            expected.append(float(logits.softmax(-1)[0, found.target]))
        assert found.values[index] == pytest.approx(np.mean(expected), abs=1e-5)
        assert (found.low[index], found.high[index]) == pytest.approx((min(expected), max(expected)), abs=1e-5)
        np.testing.assert_array_equal(found.pictures[index], perturbed(whole, kind, level, 0))
    assert told[-1] == (1 + orders * (len(found.levels) - 1),) * 2, "the picture as it is once"


def test_a_transformer_without_positions_does_not_notice_a_shuffle_and_a_convolution_does():
    whole = picture()
    flat = perturbation_curve(vit(torch.float64), whole, "shuffle", levels=(1, 2, 4))
    assert np.ptp(flat.values) < 1e-6 and np.abs(flat.high - flat.low).max() < 1e-6  # probabilities are read in float32
    noticed = perturbation_curve(cnn(torch.float64), whole, "shuffle", levels=(1, 2, 4))
    assert np.ptp(noticed.values) > 1e-5


def test_the_target_may_be_chosen_and_must_exist():
    subject, whole = cnn(), picture()
    own = perturbation_curve(subject, whole, "centre", levels=(0, 0.5)).target
    assert perturbation_curve(subject, whole, "centre", target=(own + 1) % 5, levels=(0,)).target == (own + 1) % 5
    with pytest.raises(IndexError, match="output 5 does not exist"):
        perturbation_curve(subject, whole, "centre", target=5, levels=(0,))


@pytest.mark.parametrize("fit", [0, 3, 100])
def test_a_pass_takes_as_many_pictures_as_half_of_the_memory_holds(fit: int, monkeypatch: pytest.MonkeyPatch):
    subject, whole = vit(), picture()
    plain = perturbation_curve(subject, whole, "centre")
    peak = cost.pass_cost(subject.module, (SIDE, SIDE)).peak
    monkeypatch.setattr(cost, "free_memory", lambda device: int(2.1 * fit * peak))
    batches: list[int] = []
    subject.module.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    found = perturbation_curve(subject, whole, "centre")
    assert batches == {0: [1] * 10, 3: [3, 3, 3, 1], 100: [8, 2]}[fit]
    np.testing.assert_allclose(found.values, plain.values, atol=1e-6)


def test_a_model_without_a_classifier_is_refused():
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", img_size=SIDE, depth=1, embed_dim=24, num_heads=2, num_classes=0)
    with pytest.raises(UnsupportedError, match="no classifier"):
        perturbation_curve(network(module), picture(), "blur")
