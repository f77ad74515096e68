"""Maps over displacements: the query in the middle, values where their displacement is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.draw.pictures import area_of, pixels
from vitviz.draw import LIGHT
from vitviz.draw.cells import FRAME
from vitviz.draw.heatmap import draw_offsets, offset_ticks, signed_number
from vitviz.draw.scale import rgb, table
from vitviz.errors import DrawError

HIGH = table(LIGHT.sequential)[255]


def test_the_query_is_framed_in_the_middle_and_a_value_lies_at_its_step():
    values = np.zeros((5, 9))
    values[0, 8] = 1  # two up, four to the right
    picture = draw_offsets(values, label="bias", signed=False, width=500)
    drawn = pixels(picture)
    bar = drawn.shape[0] // 2
    high = area_of(HIGH, drawn[:bar])
    middle = area_of(np.array(rgb(FRAME)), drawn)
    cell = high[2] - high[0]
    centre = (middle[0] + middle[2]) / 2, (middle[1] + middle[3]) / 2
    assert (high[0] + high[2]) / 2 - centre[0] == pytest.approx(4 * cell, abs=4)
    assert centre[1] - (high[1] + high[3]) / 2 == pytest.approx(2 * cell, abs=4)


def test_an_even_map_has_no_middle():
    with pytest.raises(DrawError, match="odd number"):
        draw_offsets(np.zeros((4, 5)), label="bias")
    with pytest.raises(DrawError):
        draw_offsets(np.full((3, 3), np.nan), label="bias")


def test_steps_are_named_both_ways():
    assert offset_ticks(6) == [-6, -4, -2, 0, 2, 4, 6]
    assert [signed_number(offset) for offset in (-3, 0, 8)] == ["−3", "0", "+8"]
