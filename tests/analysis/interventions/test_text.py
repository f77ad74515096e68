"""Interventions as text: what was written comes back, and no text takes more than the bounds."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.interventions.edits import interventions
from vitviz.analysis.interventions import CutTokens, HidePatches, Interventions


@given(st.lists(interventions, max_size=5))
def test_text_comes_back_as_it_was(items):
    written = Interventions(tuple(items))
    text = written.encode()
    assert Interventions.decode(text) == written
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._~"), "may stand in a URL as it is"


def test_text_in_full():
    text = "hide_mean_3-7.12~shuffle_5~positions_zero~heads_zero_0x3.11x2~layers_4.7~cut_0.5_all~cut_9.10_2-4"
    assert Interventions.decode(text).encode() == text
    assert Interventions.decode("").items == ()


@pytest.mark.parametrize(
    "text",
    [
        *("hide", "hide_mean_x", "hide_paint_1", "heads_zero_1", "heads_zero_1x2x3", "cut_1", "layers_-1", "nothing_1"),
        *("shuffle_1e9", "shuffle_99999999", "layers_0-1000000.0-1000000", "layers_٣", "layers_1~" * 9000),
        # reversed runs, which would cancel long ones in a sum of lengths; runs that only together are too long; many items
        *("hide_mean_0-99999~hide_mean_99999-0", "layers_5-4", "cut_0_9-0", "cut_0-60000_0-60000"),
        *("hide_mean_0-60000~cut_0-60000_all", "layers_0-99999.0", "shuffle_1~" * 65, "heads_zero_0x99999999"),
    ],
)
def test_a_text_from_anybody_is_refused_in_words_and_before_it_is_unrolled(text):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"is not an intervention|too long"):
            Interventions.decode(text)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < 20_000_000, "100,000 numbers take about 5 MB as a tuple and a set"


pieces = st.sampled_from(
    ["hide_mean_", "hide_blur_", "layers_", "cut_", "heads_zero_", "shuffle_", "positions_shuffle_", "_all", "~"]
)
numbers = st.sampled_from(
    ["0", "1", "21904", "40000", "99999", "100000", "999999", "999999999", "9" * 30, "٣", "-1", "1.5", "nan"]
)


@given(st.lists(pieces | numbers | st.sampled_from(["-", ".", "x", "_"]), max_size=40).map("".join))
def test_no_text_asks_for_more_than_the_bounds(text):
    try:
        decoded = Interventions.decode(text)
    except ValueError:
        return
    kept = sum(len(value) for item in decoded for value in vars(item).values() if isinstance(value, tuple))
    assert kept <= 100_000 and len(decoded) <= 64
    assert Interventions.decode(decoded.encode()) == decoded


def test_the_text_of_a_ragged_choice_comes_back():
    """Every other patch of the largest grid that the app offers, and as many tokens: no run to fold."""
    ragged = tuple(range(0, 148 * 148, 2))
    written = Interventions((HidePatches(ragged), CutTokens(ragged)))
    assert Interventions.decode(written.encode()) == written
