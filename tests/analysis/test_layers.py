"""Windows, stages and pooling layers: which patches a query can reach, against Swin's and MaxViT's own partitions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.staged import traced
from vitviz.analysis.attention import attention_map
from vitviz.analysis.layers import layer_kind, layer_maps, reached, stage_of, window_labels, within_window
from vitviz.analysis.queries import corresponding_cell, nearest_query
from vitviz.errors import UnsupportedError

SWIN, MAXVIT, PVT, CAIT = "swin_tiny_patch4_window7_224", "maxvit_tiny_rw_224", "pvt_v2_b0", "cait_xxs24_224"
small = cache(traced)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        (SWIN, ["windows", "shifted windows", "windows", "shifted windows"]),
        (MAXVIT, ["windows", "spread windows", "windows", "spread windows"]),
        (PVT, ["pooled", "pooled", "pooled", "global"]),
        (CAIT, ["global", "global", "pooling", "pooling"]),
    ],
)
def test_every_layer_has_its_kind(name, kinds):
    assert [layer_kind(layer) for layer in small(name).all_layers] == kinds


def test_a_stage_begins_where_the_grid_changes():
    trace = small(SWIN)
    assert [layer.query_layout.grid for layer in trace.layers] == [(16, 16), (16, 16), (8, 8), (8, 8)]
    assert [stage_of(trace, index) for index in range(4)] == [0, 0, 1, 1]
    assert [stage_of(small(CAIT), index) for index in range(4)] == [0, 0, 0, 0]


def same_window(window: int, shift: int, side: int, one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Whether Swin lets two patches meet: one window after the roll, and not brought together from opposite edges."""

    def home(place: int) -> tuple[int, bool]:
        return (place - shift) % side // window, shift > 0 and place < shift

    return all(home(a) == home(b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(("index", "shift"), [(0, 0), (1, 2), (2, 0), (3, 2)])
def test_reach_is_swins_window_with_what_its_mask_hides_left_out(index, shift):
    layer = small(SWIN).layers[index]
    rows, cols = layer.query_layout.grid
    for query in range(0, rows * cols, 7):
        cell = divmod(query, cols)
        expected = [[same_window(4, shift, rows, cell, (r, c)) for c in range(cols)] for r in range(rows)]
        np.testing.assert_array_equal(reached(layer, query), expected)


def test_labels_are_windows():
    labels = window_labels(small(SWIN).layers[0])
    assert labels is not None
    rows, cols = np.divmod(np.arange(256), 16)
    mine = {
        label: {(r // 4, c // 4) for r, c, one in zip(rows, cols, labels.ravel(), strict=True) if one == label}
        for label in np.unique(labels)
    }
    assert len(mine) == 16 and all(len(blocks) == 1 for blocks in mine.values())
    assert window_labels(small(PVT).layers[0]) is None


def test_spread_windows_lie_a_step_apart():
    layer = small(MAXVIT).layers[1]
    reach = reached(layer, 0)
    rows, cols = np.nonzero(reach)
    steps = {int(step) for axis in (rows, cols) for step in np.diff(np.unique(axis))}
    assert len(steps) == 1 and steps.pop() > 1


@pytest.mark.parametrize("name", [SWIN, MAXVIT, PVT])
def test_a_map_sums_to_one_within_reach_and_is_zero_outside(name):
    for layer in small(name).layers:
        query = layer.num_queries // 2 + 1
        maps, reach = layer_maps(layer, query), reached(layer, query)
        assert maps.shape == (layer.num_heads, *layer.key_layout.grid)
        np.testing.assert_allclose(maps.sum((1, 2)), 1, atol=1e-5)
        assert (maps[:, ~reach] < 1e-30).all()  # a mask of -100 leaves e^-100
        assert (maps[:, reach] > 1e-9).all()
        inside = within_window(maps, reach)
        assert inside.shape[1] * inside.shape[2] == reach.sum()
        np.testing.assert_array_equal(inside.reshape(len(maps), -1), maps[:, reach])


@pytest.mark.parametrize("name", [SWIN, PVT])
def test_the_mean_is_of_all_patches(name):
    layer = small(name).layers[1]
    expected = torch.stack([layer.row(query) for query in range(layer.num_queries)]).mean(0)
    np.testing.assert_allclose(layer_maps(layer, "mean").reshape(layer.num_heads, -1), expected.numpy(), atol=1e-6)
    heatmap = attention_map(layer, "mean")
    np.testing.assert_allclose(heatmap.values.ravel(), expected.mean(0).numpy(), atol=1e-6)


def test_a_patch_that_does_not_exist_is_refused():
    with pytest.raises(UnsupportedError):
        layer_maps(small(SWIN).layers[3], "r9c0")


def test_a_patch_keeps_its_place_on_another_grid():
    trace = small(SWIN)
    assert nearest_query(trace.layers[3], "r5c11", (16, 16)) == "r2c5"
    assert nearest_query(trace.layers[0], "r5c11", (16, 16)) == "r5c11"
    assert nearest_query(trace.layers[0], "mean", (16, 16)) == "mean"
    assert nearest_query(trace.layers[3], "cls", (16, 16)) == "mean"  # no class token asks in windows
    for lost in ("", "r99c0", "<b>"):
        with pytest.raises(UnsupportedError):
            nearest_query(trace.layers[3], lost, (16, 16))
    assert nearest_query(small(CAIT).pooling[0], "r1c1", (4, 4)) == "cls"


def test_each_part_of_a_mixture_keeps_its_place():
    trace = small(SWIN)
    assert nearest_query(trace.layers[0], "r5c11+r0c0", (16, 16)) == "r5c11+r0c0"
    # two patches of the finer grid in one of the coarser, and the mean in place of a token that nobody has
    assert nearest_query(trace.layers[3], "0.5*r5c11+0.25*r5c10+0.25*cls", (16, 16)) == "0.75*r2c5+0.25*mean"
    rows = [trace.layers[0].row(trace.layout.token_at(*cell)) for cell in ((5, 11), (0, 0))]
    expected = trace.layout.patches((0.25 * rows[0] + 0.75 * rows[1]).mean(0))
    found = attention_map(trace.layers[0], nearest_query(trace.layers[0], "0.25*r5c11+0.75*r0c0", (16, 16)))
    np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-6)
    with pytest.raises(UnsupportedError, match="r99c0 is outside"):
        nearest_query(trace.layers[3], "r0c0+r99c0", (16, 16))


@given(st.integers(1, 7), st.integers(1, 8), st.data())
def test_from_a_coarse_grid_to_a_finer_one_and_back_is_the_same_patch(side, times, data):
    cell = data.draw(st.tuples(st.integers(0, side - 1), st.integers(0, side - 1)))
    fine = (side * times, side * times)
    assert corresponding_cell(corresponding_cell(cell, (side, side), fine), fine, (side, side)) == cell


def test_a_cell_is_moved_without_rounding():
    """The centre of every cell, in fractions; a centre on an edge belongs to the cell below and to the right."""
    for count, there in itertools.product(range(1, 61), repeat=2):
        for index in range(count):
            expected = math.floor(Fraction(2 * index + 1, 2 * count) * there)
            assert corresponding_cell((index, 0), (count, 1), (there, 1)) == (expected, 0)
