"""Masks as pixels and as COCO, read back by code of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vitviz.analysis.localization import Box
from vitviz.analysis.masks import (
    Annotation,
    box_in_photograph,
    coco,
    in_photograph,
    otsu_mask,
    pixel_mask,
    refine_mask,
    run_lengths,
    upsampled,
)


def two_tone(truth: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8: a dark object on a bright ground, with noise."""
    picture = np.where(truth[..., None], (40, 60, 90), (200, 190, 170)).astype(float)
    return (picture + np.random.default_rng(0).normal(scale=4, size=picture.shape)).clip(0, 255).astype(np.uint8)


def disc(side: int, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:side, :side]
    return (rows - side / 2 - 3) ** 2 + (cols - side / 2 + 2) ** 2 < radius**2


def by_patches(truth: np.ndarray, patch: int) -> np.ndarray:
    rows, cols = (length // patch for length in truth.shape)
    return truth.reshape(rows, patch, cols, patch).mean((1, 3)) > 0.5


@pytest.mark.parametrize(("radius", "least"), [(9.0, 0.75), (25.0, 0.99)])  # of one patch's size, and of several
def test_refined_masks_follow_the_edge_of_the_object(radius: float, least: float):
    truth = disc(96, radius)
    coarse = by_patches(truth, 12)
    assert coarse.any()
    found = refine_mask(coarse, two_tone(truth))
    rough = pixel_mask(coarse, truth.shape)
    iou = [(mask & truth).sum() / (mask | truth).sum() for mask in (rough, found)]
    assert iou[1] > least > iou[0] + 0.05, iou


def test_all_or_nothing_stays_so():
    picture = two_tone(disc(24, 6))
    for value in (False, True):
        assert (refine_mask(np.full((2, 2), value), picture) == value).all()
    with pytest.raises(ValueError, match="equal patches"):
        pixel_mask(np.ones((5, 5), bool), (24, 24))


def test_otsu_separates_two_groups():
    values = np.array([[0.1, 0.12, 0.9], [0.11, 0.95, 0.13]])
    np.testing.assert_array_equal(otsu_mask(values), values > 0.5)
    assert not otsu_mask(np.ones((3, 3))).any()


def decoded(segmentation: dict) -> np.ndarray:
    height, width = segmentation["size"]
    pixels, value = [], False
    for length in segmentation["counts"]:
        pixels += [value] * length
        value = not value
    return np.array(pixels, bool).reshape(width, height).T


def test_run_lengths_are_cocos():
    assert run_lengths(np.array([[0, 1, 1], [0, 0, 1]], bool)) == [2, 1, 1, 2]
    assert run_lengths(np.array([[1, 0], [0, 0]], bool)) == [0, 1, 3]
    assert run_lengths(np.zeros((2, 3), bool)) == [6]


def test_a_coco_file_says_what_was_found():
    masks = np.random.default_rng(1).random((2, 7, 9)) > 0.6
    annotations = [
        Annotation("b.jpg", (1.0, 2.0, 4.5, 6.0), masks[0], score=0.5),
        Annotation("a.jpg", (0.0, 0.0, 3.0, 2.0), category="wheel"),
        Annotation("b.jpg", (0.0, 0.0, 9.0, 7.0), masks[1]),
    ]
    told = json.loads(json.dumps(coco({"a.jpg": (5, 6), "b.jpg": (7, 9)}, annotations)))
    assert told["images"][1] == {"id": 2, "file_name": "b.jpg", "height": 7, "width": 9}
    assert [row["image_id"] for row in told["annotations"]] == [2, 1, 2]
    assert [row["id"] for row in told["annotations"]] == [1, 2, 3]
    first, second, third = told["annotations"]
    assert first["bbox"] == [1, 2, 3.5, 4] and first["score"] == 0.5 and first["area"] == masks[0].sum()
    assert second["area"] == 6 and "score" not in second and "segmentation" not in second
    assert told["categories"] == [{"id": 1, "name": "object"}, {"id": 2, "name": "wheel"}]
    assert [row["category_id"] for row in told["annotations"]] == [1, 2, 1]
    for row, mask in zip((first, third), masks, strict=True):
        np.testing.assert_array_equal(decoded(row["segmentation"]), mask)
    with pytest.raises(ValueError, match="size is not given"):
        coco({"a.jpg": (5, 6)}, annotations)
    with pytest.raises(ValueError, match="does not fit"):
        coco({"b.jpg": (9, 7)}, annotations[:1])


def test_back_to_the_photograph():
    """A photograph of 40 x 60 pixels whose middle 40 x 40 became an input of 20 x 20."""
    region = (10.0, 0.0, 50.0, 40.0)
    mask = np.zeros((20, 20), bool)
    mask[4:10, 2:7] = True
    large = in_photograph(mask, region, (40, 60))
    expected = np.zeros((40, 60), bool)
    expected[8:20, 14:24] = True
    np.testing.assert_array_equal(large, expected)
    assert box_in_photograph(Box(2, 4, 7, 10), region, (20, 20)) == (14, 8, 24, 20)
    thirds = in_photograph(np.array([[False, False], [True, False]]), (0.0, 0.0, 3.0, 3.0), (3, 3))
    np.testing.assert_array_equal(thirds, [[0, 0, 0], [1, 0, 0], [1, 0, 0]], "a pixel belongs where its middle lies")


def test_values_between_patches():
    grid = np.stack([np.arange(4.0) * np.ones((3, 1)), np.ones((3, 4))], -1)  # (3, 4, 2): a ramp and a constant
    np.testing.assert_array_equal(upsampled(grid, (6, 8), "nearest"), grid.repeat(2, 0).repeat(2, 1))
    smooth = upsampled(grid, (30, 40), "bilinear")
    centres = (np.arange(40) + 0.5) / 10 - 0.5  # each pixel's centre, in patches
    np.testing.assert_allclose(smooth[7, :, 0], centres.clip(0, 3), atol=1e-5)
    np.testing.assert_allclose(upsampled(grid, (30, 40))[..., 1], 1, atol=1e-5)
    with pytest.raises(ValueError, match="a method is one of"):
        upsampled(grid, (6, 8), "lanczos")
