"""The heat map as a value."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vitviz.heatmap import Heatmap


def test_it_keeps_its_own_read_only_float32_copy() -> None:
    source = np.zeros((2, 3), np.float32)
    heatmap = Heatmap(source, "weight")
    source[0, 0] = 9
    assert heatmap.values.dtype == np.float32 and heatmap.values[0, 0] == 0 and heatmap.grid == (2, 3)
    with pytest.raises(ValueError, match="read-only"):
        heatmap.values[0, 0] = 1


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (0, 3)])
def test_only_a_grid_of_values_is_a_heat_map(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="grid"):
        Heatmap(np.zeros(shape), "weight")


def test_its_peak_is_the_largest_value_and_either_way_where_signed() -> None:
    values = [[0.1, -0.9, 0.3], [0.5, 0.2, 0.0]]
    assert Heatmap(values, "weight").peak == (1, 0, 0.5)
    assert Heatmap(values, "change", signed=True).peak == (0, 1, pytest.approx(-0.9))


def test_prints_as_one_line() -> None:
    assert repr(Heatmap([[0.0, 1.5], [-2.0, 0.25]], "rollout")) == "Heatmap('rollout', 2x2 patches, -2 to 1.5)"


def test_a_notebook_shows_each_patch_in_grey_and_leaves_out_what_is_no_number() -> None:
    shown = Heatmap(np.array([[0.0, 1.0], [0.5, np.nan]]), "<weight>")._repr_html_()
    assert re.findall(r'x="(.)" y="(.)" .*?fill="rgb\((\d+),', shown) == [
        ("0", "0", "0"),
        ("1", "0", "255"),
        ("0", "1", "128"),
    ]
    assert "&lt;weight&gt;" in shown and "<weight>" not in shown
    signed = Heatmap(np.array([[-1.0, 0.0, 3.0]]), "weight", signed=True)._repr_html_()
    assert re.findall(r"rgb\((\d+),", signed) == ["85", "128", "255"]
