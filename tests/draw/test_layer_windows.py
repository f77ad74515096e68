"""Borders and contours: where the lines lie, corner by corner."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.draw.pictures import pixels
from vitviz.draw.layer import borders, contour, rule


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
