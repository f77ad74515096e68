"""Whether a map lies on the marked object, and what hiding the object does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.reference import LAYOUT, LinearTarget, picture, subject
from vitviz.analysis.hiding import ObjectTest, object_test, share_inside
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.heatmap import Heatmap

MASK = np.array([[True, False, False], [False, True, False]])


def test_share_counts_positive_relevance_only():
    assert share_inside(Heatmap(np.array([[3, 1, -5], [0, 0, 4]]), "x"), MASK) == pytest.approx(3 / 8)
    assert np.isnan(share_inside(Heatmap(-np.ones((2, 3)), "x"), MASK))
    assert share_inside(Heatmap(np.ones((2, 3)), "x"), MASK) == pytest.approx(MASK.mean())


def test_the_fall_is_the_objects_own_and_elsewhere_is_elsewhere():
    model, pixels = subject(), picture()
    parts = model.module.contributions(pixels, model.module.head[1]).numpy().reshape(LAYOUT.grid)
    question = Question(model, pixels, LinearTarget(ClassLogit(1)))
    found = object_test(question, MASK, {"true": Heatmap(np.clip(parts, 0, None), "x")}, draws=9)
    assert found.drop == pytest.approx(parts[MASK].sum())
    outside = parts[~MASK]
    pairs = {round(float(outside[i] + outside[j]), 6) for i in range(4) for j in range(i)}
    assert {round(float(fall), 6) for fall in found.control_drops} <= pairs
    assert found.area == pytest.approx(2 / 6)
    assert found.shares["true"] == pytest.approx(np.clip(parts, 0, None)[MASK].sum() / np.clip(parts, 0, None).sum())


@pytest.mark.parametrize("mask", [np.zeros((2, 3)), np.ones((2, 3)), np.ones((3, 2))])
def test_an_object_that_cannot_be_compared_is_refused(mask):
    question = Question(subject(), picture(), ClassLogit(1))
    with pytest.raises(ValueError, match=r"mark at least one|on a grid of"):
        object_test(question, mask.astype(bool), {})


@pytest.mark.parametrize(
    ("fall", "elsewhere", "times"),
    [
        (0.6, (0.1, 0.3), 3.0),
        (-0.2, (0.1, 0.3), -1.0),
        (0.6, (0.1, -0.3), np.inf),
        (-0.2, (0.1, -0.3), np.nan),
        (0.0, (0.0,), np.nan),
    ],
)
def test_times_is_a_ratio_only_where_there_is_one(fall, elsewhere, times):
    found = ObjectTest(0.25, 0.8, fall, np.array(elsewhere), {})
    assert found.times == pytest.approx(times, nan_ok=True)


def test_an_object_is_compared_with_something():
    with pytest.raises(ValueError, match="at least one area elsewhere, not 0"):
        object_test(Question(subject(), picture(), ClassLogit(1)), MASK, {}, draws=0)


def test_a_large_object_is_compared_with_all_the_rest():
    model, pixels = subject(), picture()
    parts = model.module.contributions(pixels, model.module.head[1]).numpy().reshape(LAYOUT.grid)
    question = Question(model, pixels, LinearTarget(ClassLogit(1)))
    found = object_test(question, ~MASK, {})
    assert found.compared_with_rest
    assert found.drop == pytest.approx(parts[~MASK].sum())
    np.testing.assert_allclose(found.control_drops, [parts[MASK].sum()], rtol=1e-5)
    half = np.array([[True, True, True], [False, False, False]])
    assert not object_test(question, half, {}, draws=3).compared_with_rest
