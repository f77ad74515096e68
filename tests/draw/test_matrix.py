"""A product of matrices on the blackboard: every entry is drawn, in its place, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from vitviz.draw import DARK, LIGHT, Scale
from vitviz.draw.matrix import Factor, draw_product
from vitviz.draw.scale import colours
from vitviz.errors import DrawError


def factors(n: int = 5, m: int = 3, p: int = 4) -> tuple[Factor, Factor, Factor]:
    random = np.random.default_rng(0)
    left, top = random.normal(size=(n, m)), random.normal(size=(m, p))
    return Factor(left, "Q"), Factor(top, "K"), Factor(left @ top, "scores", signed=False)


def place_of(picture: np.ndarray, block: np.ndarray) -> tuple[int, int]:
    """(top, left) of the block's one occurrence."""
    high, wide = block.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, block.shape)[:, :, 0]
    hits = np.argwhere((windows == block).reshape(*windows.shape[:2], -1).all(-1))
    assert len(hits) == 1, f"{len(hits)} places for a block of {high} x {wide}"
    return int(hits[0][0]), int(hits[0][1])


@pytest.mark.parametrize("theme", [LIGHT, pytest.param(DARK, marks=pytest.mark.long)], ids=lambda theme: theme.name)
def test_every_entry_stands_beside_its_row_and_under_its_column(theme):
    left, top, result = factors()
    picture = np.asarray(draw_product(left, top, result, row=2, column=1, width=70, theme=theme))
    places = {}
    for each in (left, top, result):
        scale = Scale.of(each.values.astype(np.float32), robust=True, signed=each.signed)
        block = colours(each.values, scale, theme).repeat(10, axis=0).repeat(10, axis=1)
        places[each.name] = place_of(picture, block)
    assert places["Q"][0] == places["scores"][0] and places["K"][1] == places["scores"][1]
    assert places["Q"][1] + 30 < places["scores"][1] and places["K"][0] + 30 < places["scores"][0]


def test_in_line_the_three_stand_side_by_side():
    left, top, result = factors()
    picture = np.asarray(draw_product(left, top, result, row=1, in_line=True, width=110))
    tops, lefts = [], []
    for each in (left, top, result):
        scale = Scale.of(each.values.astype(np.float32), robust=True, signed=each.signed)
        high, start = place_of(picture, colours(each.values, scale, LIGHT).repeat(10, axis=0).repeat(10, axis=1))
        tops.append(high)
        lefts.append(start)
    assert len(set(tops)) == 1 and lefts == sorted(lefts)
    assert lefts[1] >= lefts[0] + 30 and lefts[2] >= lefts[1] + 40


def test_the_arrows_point_at_the_row_and_the_column():
    left, top, result = factors()
    plain = np.asarray(draw_product(left, top, result, width=350)).astype(int)
    marked = np.asarray(draw_product(left, top, result, row=4, column=0, width=350)).astype(int)
    changed = np.argwhere((plain != marked).any(-1))
    lower = np.asarray(draw_product(left, top, result, row=0, column=0, width=350)).astype(int)
    other = np.argwhere((plain != lower).any(-1))
    assert 0 < len(changed) < 600 and changed[:, 0].max() - other[:, 0].max() == 4 * 50


def test_what_does_not_fit_is_refused():
    left, top, result = factors()
    with pytest.raises(DrawError, match="does not give scores"):
        draw_product(top, left, result)
    with pytest.raises(DrawError, match="5 rows and 4 columns"):
        draw_product(left, top, result, row=5)
    with pytest.raises(DrawError, match="column 4"):
        draw_product(left, top, result, column=4)
    with pytest.raises(DrawError):
        draw_product(left, top, Factor(np.full((5, 4), np.nan), "scores"))
