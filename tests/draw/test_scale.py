"""Scales: their ends, what they clip, and that they say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vitviz.draw.scale import Scale, number
from vitviz.errors import DrawError

GRIDS = arrays.arrays(np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32))


def test_a_raw_scale_runs_from_the_smallest_to_the_largest_value_and_clips_nothing() -> None:
    scale = Scale.of(np.array([[3.0, 1.0], [2.0, 5.0]]))
    assert (scale.low, scale.high, scale.clipped, scale.total) == (1.0, 5.0, 0, 4)
    np.testing.assert_allclose(scale.unit(np.array([1.0, 2.0, 5.0])), [0, 0.25, 1])
    assert scale.label == "raw scale, from the smallest to the largest value"


def test_a_robust_scale_ends_at_the_99th_percentile_and_counts_what_lies_beyond() -> None:
    values = np.arange(1, 201, dtype=np.float32)
    values[-1] = 5000  # a sink
    scale = Scale.of(values, robust=True)
    assert scale.high == pytest.approx(np.percentile(values, 99))
    beyond = sum(value > np.percentile(values, 99) for value in values.tolist())
    assert beyond == 2
    assert (scale.clipped, scale.above, scale.below, scale.total) == (2, 2, 0, 200)
    assert scale.label == "robust scale, ends at the 99th percentile: 2 of 200 values lie beyond (up to 5,000)"
    assert scale.unit(values)[-1] == 1
    assert scale.ticks()[-1] == (1.0, f"≥ {number(scale.high, (scale.high - scale.low) / 2)}")


def test_a_signed_robust_scale_clips_both_sides_and_keeps_zero_in_the_middle() -> None:
    values = np.linspace(-1, 1, 1001)
    values[0], values[-1] = -40, 30
    scale = Scale.of(values, robust=True, signed=True)
    assert scale.low == -scale.high
    assert scale.unit(np.zeros(1))[0] == 0.5
    assert scale.below == np.count_nonzero(values < -scale.high) > 0
    assert scale.above == np.count_nonzero(values > scale.high) > 0
    assert "−40" in scale.label and "30" in scale.label
    assert scale.ticks()[0][1].startswith("≤") and scale.ticks()[1] == (0.5, "0")


def test_a_single_non_zero_patch_leaves_a_robust_scale_raw_instead_of_without_range() -> None:
    one_hot = np.zeros((16, 16))
    one_hot[3, 4] = 0.7
    scale = Scale.of(one_hot, robust=True)
    assert (scale.low, scale.high, scale.robust, scale.clipped) == (0.0, pytest.approx(0.7), False, 0)
    assert scale.label.startswith("raw scale")


def test_a_shared_scale_spans_all_its_maps_and_counts_anew_under_each() -> None:
    small, large = np.array([[0.0, 1.0]]), np.array([[2.0, 9.0, 4.0]])
    scale = Scale.of(small, large)
    assert (scale.low, scale.high, scale.total) == (0, 9, 5)
    here = scale.counting(small)
    assert (here.low, here.high, here.total, here.highest) == (0, 9, 2, 1)
    assert here.label == "raw scale; the values here run from 0 to 1"


def test_a_scale_from_elsewhere_counts_the_values_it_clips() -> None:
    scale = Scale(0, 1).counting(np.array([-0.5, 0.2, 1.5, 2.0]))
    assert (scale.below, scale.above, scale.total) == (1, 2, 4)
    assert scale.label == "raw scale: 3 of 4 values lie beyond (up to −0.5 and 2)"
    np.testing.assert_allclose(scale.unit(np.array([-0.5, 0.2, 2.0])), [0, 0.2, 1])


@pytest.mark.parametrize("value", [0.0, 1 / 257, -3.0])
def test_a_constant_map_is_flat_and_says_its_number(value: float) -> None:
    values = np.full((4, 4), value)
    scale = Scale.of(values)
    assert scale.flat
    assert scale.label == f"every value is {number(value)}"
    assert scale.ticks() == [(0.5, number(value))]
    np.testing.assert_array_equal(scale.unit(values), 0.5)


def test_rounding_noise_on_a_uniform_map_is_not_blown_up_into_a_picture() -> None:
    uniform = np.float32(1 / 257) * (1 + np.random.default_rng(0).uniform(-3e-7, 3e-7, (16, 16)))
    np.testing.assert_array_equal(Scale.of(uniform).unit(uniform), 0.5)
    contrast = uniform.astype(np.float32)
    contrast[0, 0] *= 1.01
    assert not Scale.of(contrast).flat


def test_values_beyond_a_flat_scale_still_go_to_its_ends() -> None:
    scale = Scale(2, 2)
    np.testing.assert_array_equal(scale.unit(np.array([1.0, 2.0, 3.0])), [0, 0.5, 1])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_number(wrong: float) -> None:
    values = np.ones((4, 5))
    values[1, 2] = values[3, 3] = wrong
    with pytest.raises(DrawError, match="2 of 20 values are not finite"):
        Scale.of(values)
    with pytest.raises(DrawError, match="2 of 20"):
        Scale(0, 1).unit(values)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DrawError, match="no value"):
        Scale.of(np.empty((0, 4)))
    with pytest.raises(DrawError, match="no value"):
        Scale.of()


def test_ends_in_the_wrong_order_or_lopsided_signed_ends_are_refused() -> None:
    with pytest.raises(ValueError, match="smaller to a larger"):
        Scale(1, 0)
    with pytest.raises(ValueError, match="symmetric"):
        Scale(-1, 2, signed=True)


@given(GRIDS, st.booleans(), st.booleans())
def test_any_finite_map_lands_in_the_unit_interval_in_its_own_order(
    values: np.ndarray, robust: bool, signed: bool
) -> None:
    scale = Scale.of(values, robust=robust, signed=signed)
    unit = scale.unit(values).ravel()
    assert unit.min() >= 0 and unit.max() <= 1
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(unit[order]) >= 0).all()
    limit_low, limit_high = np.float32(scale.low), np.float32(scale.high)
    assert scale.clipped == np.count_nonzero((values < limit_low) | (values > limit_high))
    assert robust or scale.clipped == 0


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.0, 0.0, "0"),
        (0.5, 0.0, "0.5"),
        (-0.25, 0.0, "−0.25"),
        (0.003891, 0.0, "0.00389"),
        (2.6e-5, 0.0, "2.6×10⁻⁵"),
        (-1.5e7, 0.0, "−1.5×10⁷"),
        (1.00012, 0.0001, "1.00012"),
        (1234.6, 0.0, "1,230"),
        (999.96, 0.0, "1,000"),
        (40.0, 0.0, "40"),
        (100.0, 0.0, "100"),
        (0.0001, 0.0, "0.0001"),
        (9.9999e5, 0.0, "1×10⁶"),
    ],
)
def test_numbers_are_short_and_still_tell_neighbours_apart(value: float, step: float, text: str) -> None:
    assert number(value, step) == text


def test_a_low_end_too_small_to_see_is_about_zero_and_one_that_can_be_seen_is_not() -> None:
    assert Scale(3e-14, 0.03).ticks()[0] == (0.0, "≈ 0")
    assert Scale(0.001, 0.03).ticks()[0] == (0.0, "0.001")
    assert Scale(0, 0.03).ticks()[0] == (0.0, "0")


def test_the_ends_of_a_narrow_scale_are_not_written_alike() -> None:
    texts = [text for _, text in Scale(0.12340, 0.12352).ticks()]
    assert len(set(texts)) == 3
