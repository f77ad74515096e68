"""One layer on the picture: the query on its grid, the map on the keys' grid, the window in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.draw.pictures import gradient_photo, pixels
from vitviz.draw import Scale
from vitviz.draw.cells import FRAME
from vitviz.draw.layer import LayerMap, QuerySide, borders, contour, draw_layer, draw_overview, paint_queries, rule
from vitviz.draw.scale import rgb
from vitviz.errors import DrawError
from vitviz.heatmap import Heatmap

PHOTO = gradient_photo(300, 300)


def framed(picture: np.ndarray) -> np.ndarray:
    return (picture == rgb(FRAME)).all(axis=2)


def test_the_window_is_outlined_where_it_is_and_nothing_is_where_all_can_be_seen():
    values = np.random.default_rng(0).random((6, 6)).astype(np.float32)
    reach = np.zeros((6, 6), bool)
    reach[:3, 3:] = True
    left = QuerySide((6, 6))
    half = draw_layer(PHOTO, Heatmap(values, "attention weight"), left, reach, width=620)
    whole = draw_layer(PHOTO, Heatmap(values, "attention weight"), left, np.ones((6, 6), bool), width=620)
    found = framed(pixels(half))
    assert found.any() and not framed(pixels(whole)).any()
    columns = np.nonzero(found.any(axis=0))[0]
    assert columns.min() > half.width // 2 + 100, "the right half of the right picture"


def test_the_scale_is_of_what_can_be_reached():
    values = np.zeros((4, 4), np.float32)
    reach = np.zeros((4, 4), bool)
    reach[:2, :2] = True
    values[:2, :2] = [[0.2, 0.3], [0.25, 0.25]]
    given = draw_layer(PHOTO, Heatmap(values, "w"), QuerySide((4, 4)), reach, scale=Scale(0.2, 0.3))
    own = draw_layer(PHOTO, Heatmap(values, "w"), QuerySide((4, 4)), reach)
    np.testing.assert_array_equal(pixels(given)[:300], pixels(own)[:300])


def test_reach_is_of_the_keys_grid():
    with pytest.raises(DrawError, match="keys' grid"):
        draw_layer(PHOTO, Heatmap(np.ones((4, 4)), "w"), QuerySide((8, 8)), np.ones((8, 8), bool))


def test_windows_are_cut_and_very_fine_grids_are_not():
    labels = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1)
    plain = pixels(PHOTO.resize((300, 300)))
    cut = (pixels(paint_queries(PHOTO, QuerySide((8, 8), None, labels), 300)) != plain).any(axis=2)
    assert cut[150].all() and cut[:, 150].all() and not cut[75, 75], "one line down, one across"
    assert (pixels(paint_queries(PHOTO, QuerySide((64, 64)), 300)) == plain).all()
    assert (pixels(paint_queries(PHOTO, QuerySide((0, 0)), 300)) == plain).all()


def test_overview_has_a_picture_for_each_layer():
    maps = [np.random.default_rng(i).random((side, side)) for i, side in enumerate((8, 8, 4))]
    queries = (None, (1, 1), None)
    layers = [LayerMap(n, m, np.ones(m.shape, bool), q) for n, m, q in zip("abc", maps, queries, strict=True)]
    one, three = (draw_overview(PHOTO, shown, width=600, columns=2) for shown in (layers[:1], layers))
    assert three.height > one.height * 0.9 and three.width > 600
    assert framed(pixels(three)).any() and not framed(pixels(one)).any()
    with pytest.raises(DrawError, match="at least one layer"):
        draw_overview(PHOTO, [])


# Borders and contours: where the lines lie, corner by corner.


def test_borders_lie_between_labels_and_are_joined():
    assert borders(np.array([[0, 0, 1], [0, 0, 1]])) == [(0, 2, 2, 2)]
    assert sorted(borders(np.array([[0, 0], [1, 2]]))) == [(1, 0, 1, 2), (1, 1, 2, 1)]
    assert borders(np.zeros((3, 3))) == []


def test_contour_goes_round_along_the_edge_too():
    cells = np.zeros((3, 4), bool)
    cells[0, :2] = True
    assert sorted(contour(cells)) == [(0, 0, 0, 2), (0, 0, 1, 0), (0, 2, 1, 2), (1, 0, 1, 2)]
    assert sorted(contour(np.ones((2, 2), bool))) == [(0, 0, 0, 2), (0, 0, 2, 0), (0, 2, 2, 2), (2, 0, 2, 2)]


def unit_lines(segments: list[tuple[int, int, int, int]]) -> set[tuple[int, int, int, int]]:
    found = set()
    for r0, c0, r1, c1 in segments:
        assert (r0 == r1) != (c0 == c1)
        found |= {(r0, c, r0, c + 1) for c in range(c0, c1)} | {(r, c0, r + 1, c0) for r in range(r0, r1)}
    return found


@given(st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_every_side_between_inside_and_outside_is_drawn_and_no_other(rows, cols, random):
    cells = np.array([[random.random() < 0.5 for _ in range(cols)] for _ in range(rows)])
    around = np.pad(cells, 1)
    expected = {
        (r, c, r, c + 1) for r in range(rows + 1) for c in range(cols) if around[r, c + 1] != around[r + 1, c + 1]
    }
    expected |= {
        (r, c, r + 1, c) for r in range(rows) for c in range(cols + 1) if around[r + 1, c] != around[r + 1, c + 1]
    }
    assert unit_lines(contour(cells)) == expected


def test_a_line_never_covers_the_cell_it_frames():
    for side in (4, 14, 56):
        picture = Image.new("RGB", (450, 450), "#808080")
        cells = np.zeros((side, side), bool)
        cells[2, 1] = True
        rule(picture, contour(cells), (side, side), strong=True)
        middle = 450 / side
        assert (pixels(picture)[int(2.5 * middle), int(1.5 * middle)] == 0x80).all()
        changed = (pixels(picture) != 0x80).any(axis=2)
        assert changed.any() and changed[: int(1.4 * middle)].sum() == 0
