"""LOST, TokenCut and MaskCut against loops over every pair of patches, dense eigenvectors, and cuts tried one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import linalg

from vitviz.analysis import localization
from vitviz.analysis.features import PatchFeatures
from vitviz.analysis.localization import (
    WEAK_EDGE,
    Box,
    box_of,
    contrast,
    lost,
    mask_cut,
    region_around,
    second_eigenvector,
    token_cut,
)
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


def features(values: np.ndarray, grid: tuple[int, int], patch: tuple[int, int] = (14, 10)) -> PatchFeatures:
    return PatchFeatures(np.asarray(values, np.float32), TokenLayout(("cls",), grid, patch), 11, "key")


def scene(kind: np.ndarray, width: int = 32, noise: float = 0.15, seed: int = 0) -> PatchFeatures:
    """One direction for each kind of patch, and noise."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(kind.max() + 1, width))
    return features(directions[kind.ravel()] + noise * generator.normal(size=(kind.size, width)), kind.shape)


def reached(side: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """The part of `side` that can be walked to from the seed in steps up, down, left and right."""
    found, todo = np.zeros(side.shape, bool), [seed]
    while todo:
        row, col = todo.pop()
        if 0 <= row < side.shape[0] and 0 <= col < side.shape[1] and side[row, col] and not found[row, col]:
            found[row, col] = True
            todo += [(row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)]
    return found


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_lost_is_the_papers_loops(seed: int, centred: bool):
    rows, cols, k = 5, 6, 9
    values = np.random.default_rng(seed).normal(0.1, 1, (rows * cols, 8)).astype(np.float32)
    found = lost(features(values, (rows, cols)), k, centred)
    f = [[float(x) for x in row] for row in (values - values.mean(0) if centred else values)]
    dot = [[sum(x * y for x, y in zip(a, b, strict=True)) for b in f] for a in f]
    degree = [sum(dot[p][q] > 0 for q in range(len(f)) if q != p) for p in range(len(f))]
    order = sorted(range(len(f)), key=lambda p: (degree[p], p))
    start = order[0]
    chosen = [p for p in order[:k] if p == start or dot[start][p] > 0]
    side = np.array([p == start or sum(dot[s][p] for s in chosen) > 0 for p in range(len(f))]).reshape(rows, cols)
    assert found.seed == divmod(start, cols) and found.eigenvector is None
    np.testing.assert_array_equal(found.degree.ravel(), degree)
    np.testing.assert_array_equal(np.flatnonzero(found.chosen), sorted(chosen))
    np.testing.assert_array_equal(found.mask, reached(side, divmod(start, cols)))
    assert found.graph.sum() == sum(degree)


@pytest.mark.parametrize("seed", range(4))
def test_token_cut_is_the_dense_eigenvector_cut_at_its_mean(seed: int):
    rows, cols, threshold = 4, 6, 0.1
    values = np.random.default_rng(seed).normal(size=(rows * cols, 6)).astype(np.float32)
    found = token_cut(features(values, (rows, cols)), threshold, centred=False, side="strongest")
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    weights = np.array([[1.0 if a @ b > threshold else WEAK_EDGE for b in unit] for a in unit])
    degree = np.diag(weights.sum(1))
    vector = linalg.eigh(degree - weights, degree)[1][:, 1]
    start = int(np.abs(vector).argmax())
    vector = vector if vector[start] > vector.mean() else -vector
    side = (vector > vector.mean()).reshape(rows, cols)
    assert found.eigenvector is not None
    np.testing.assert_allclose(found.eigenvector.ravel(), vector, atol=1e-6)
    assert found.seed == divmod(start, cols)
    np.testing.assert_array_equal(found.chosen, side)
    np.testing.assert_array_equal(found.mask, reached(side, divmod(start, cols)))
    np.testing.assert_array_equal(found.degree.ravel(), [sum(row > 0.5) - 1 for row in weights])


def test_the_eigenvector_of_parts_that_are_barely_joined():
    """Eigenvalues within 1e-4 of each other, which plain iterations do not tell apart."""
    kind = np.repeat(np.arange(4), [30, 14, 9, 7])
    weights = np.where(kind[:, None] == kind, 1.0, WEAK_EDGE)
    vector = second_eigenvector(weights)
    degree = np.diag(weights.sum(1))
    values, vectors = linalg.eigh(degree - weights, degree)
    np.testing.assert_allclose(np.abs(vector @ degree @ vectors[:, 1]), 1, atol=1e-8)
    np.testing.assert_allclose(vector @ (degree - weights) @ vector, values[1], rtol=1e-6)


def normalised_cut(weights: np.ndarray, side: np.ndarray) -> float:
    across = weights[side][:, ~side].sum()
    return across / weights[side].sum() + across / weights[~side].sum()


@pytest.mark.parametrize("seed", range(3))
def test_of_all_cuts_the_least_is_found(seed: int):
    """Every division of 12 patches in two, tried one by one."""
    kind = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]])
    found = token_cut(scene(kind, noise=0.3, seed=seed), 0.2, centred=False)
    weights = np.where(found.graph | np.eye(12, dtype=bool), 1.0, WEAK_EDGE)
    sides = [np.array(side, bool) for side in product((0, 1), repeat=12) if 0 < sum(side) < 12 and side[0] == 0]
    least = min(sides, key=lambda side: normalised_cut(weights, side))
    np.testing.assert_array_equal(least.reshape(3, 4), kind == 1)
    assert (found.chosen == (kind == 1)).all() or (found.chosen == (kind == 0)).all()


@pytest.mark.parametrize("method", [lost, token_cut])
def test_an_object_in_a_known_place_is_found_to_the_pixel(method):
    kind = np.zeros((9, 11), int)
    kind[2:5, 6:9] = 1
    found = method(scene(kind))
    np.testing.assert_array_equal(found.mask, kind == 1)
    assert found.box == Box(60, 28, 90, 70)
    assert kind[found.seed] == 1 and found.score > 0.9


def test_several_objects_one_after_the_other():
    kind = np.zeros((10, 12), int)
    kind[1:5, 1:5], kind[6:9, 6:11] = 1, 2
    found = mask_cut(scene(kind, noise=0.1), 3)
    masks = {tuple(map(tuple, one.mask)) for one in found}
    assert {tuple(map(tuple, kind == part)) for part in (1, 2)} <= masks
    assert len(mask_cut(scene(kind), 1)) == 1
    with pytest.raises(ValueError, match="at least one object"):
        mask_cut(scene(kind), 0)


def test_a_side_with_three_corners_is_background():
    kind = np.zeros((8, 8), int)
    kind[1:7, 1:7] = 1  # larger than what is around it
    found = mask_cut(scene(kind, seed=3), 1)[0]
    np.testing.assert_array_equal(found.mask, kind == 1)


def test_the_side_at_the_border_is_background():
    kind = np.ones((8, 10), int)
    kind[0], kind[:, 0], kind[-1] = 0, 0, 0  # a frame that is open at the right, and smaller than what it holds
    found = token_cut(scene(kind, noise=0.05))
    np.testing.assert_array_equal(found.mask, kind == 1)
    with pytest.raises(ValueError, match="a side is chosen"):
        token_cut(scene(kind), side="left")


def test_patches_in_another_order_give_the_same_cut_in_that_order():
    values = np.random.default_rng(5).normal(size=(30, 6))
    order = np.random.default_rng(6).permutation(30)
    one, two = (token_cut(features(v, (5, 6)), 0.1, side="strongest") for v in (values, values[order]))
    assert one.eigenvector is not None and two.eigenvector is not None
    np.testing.assert_allclose(one.eigenvector.ravel()[order], two.eigenvector.ravel(), atol=1e-6)
    np.testing.assert_array_equal(one.chosen.ravel()[order], two.chosen.ravel())
    first, second = (lost(features(v, (5, 6))) for v in (values, values[order]))
    np.testing.assert_array_equal(first.degree.ravel()[order], second.degree.ravel())


def test_the_score_is_the_mean_over_pairs():
    unit = np.random.default_rng(7).normal(size=(12, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    mask = np.zeros((3, 4), bool)
    mask[1:, 2:] = True
    inside = mask.ravel()
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j and inside[i]]
    own = np.mean([unit[i] @ unit[j] for i, j in pairs if inside[j]])
    across = np.mean([unit[i] @ unit[j] for i, j in pairs if not inside[j]])
    assert contrast(unit, mask) == pytest.approx(own - across, abs=1e-12)
    assert contrast(unit, np.ones((3, 4), bool)) == 0


def test_pictures_without_an_object_do_not_fail():
    same = features(np.ones((12, 4)), (3, 4))
    for found in (lost(same), token_cut(same), *mask_cut(same, 3), token_cut(features(np.eye(2), (1, 2)))):
        assert found.mask.any() and np.isfinite(found.score)


def test_boxes():
    assert box_of(np.array([[0, 0, 0], [0, 1, 1]], bool), TokenLayout((), (2, 3), (14, 10))) == Box(10, 14, 30, 28)
    assert Box(0, 0, 4, 4).iou(Box(2, 2, 6, 6)) == pytest.approx(4 / 28)
    assert Box(0, 0, 4, 4).iou(Box(4, 0, 8, 4)) == 0 and Box(1, 2, 3, 4).iou(Box(1, 2, 3, 4)) == 1
    with pytest.raises(ValueError, match="empty mask"):
        box_of(np.zeros((2, 3), bool), TokenLayout((), (2, 3), (14, 10)))


def test_too_many_patches_are_refused_before_memory_is_taken(monkeypatch):
    monkeypatch.setattr(localization, "MOST_PATCHES", 11)
    for method in (lost, token_cut, mask_cut):
        with pytest.raises(UnsupportedError, match="at most 11"):
            method(scene(np.zeros((3, 4), int)))


def test_a_region_grows_from_one_patch_to_what_is_like_it_and_connected():
    # Two blobs of one kind apart from each other on another ground: a click finds its own blob, whole and alone.
    kinds = np.zeros((6, 9), int)
    kinds[1:5, 1:4] = 1
    kinds[2:4, 6:8] = 1
    found = region_around(scene(kinds, noise=0.2, seed=3), (2, 2))
    expected = np.zeros((6, 9), bool)
    expected[1:5, 1:4] = True
    np.testing.assert_array_equal(found, expected)
    small = region_around(scene(kinds, noise=0.2, seed=3), (3, 7))
    assert small.sum() == 4
    assert small[2:4, 6:8].all()
