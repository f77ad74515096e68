"""Scales of a board's maps: one for all of them, or each its own, and what is said of it."""

from __future__ import annotations

import numpy as np

from vitviz.draw import Scale
from vitviz.ui.components.heatmap import MapScales

MAPS = np.array([[[0.0, 1.0], [2.0, 3.0]], [[0.0, 10.0], [20.0, 30.0]]])  # (maps, rows, cols)


def test_one_scale_is_that_of_all_maps() -> None:
    scales = MapScales.of(MAPS, "weight", shared=True)
    assert scales.shared is not None and list(scales.each) == [scales.shared] * 2
    assert (scales.shared.low, scales.shared.high) == (0.0, 30.0)
    assert scales.caption == f"weight · {scales.shared.label}"


def test_each_map_has_its_own_scale_and_the_caption_says_so() -> None:
    scales = MapScales.of(MAPS, "weight")
    assert scales.shared is None and [(each.low, each.high) for each in scales.each] == [(0.0, 3.0), (0.0, 30.0)]
    assert "each map has a scale of its own" in scales.caption and scales.ends == (
        "a map's smallest",
        "a map's largest",
    )
    robust = MapScales.of(MAPS, "weight", robust=True)
    assert robust.ends[1] == "its 99th percentile" and [each.robust for each in robust.each] == [True, True]


def test_signed_maps_have_scales_around_zero() -> None:
    scales = MapScales.of(MAPS - 1, "bias", signed=True)
    assert [(each.low, each.high) for each in scales.each] == [(-2.0, 2.0), (-29.0, 29.0)]
    assert scales.each[0] == Scale.of(MAPS[0] - 1, signed=True)
