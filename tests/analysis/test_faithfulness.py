"""Curves of a linear model are sums known on paper; orders, baselines, agreement, and what happens on the way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.analysis.reference import LAYOUT, LinearTarget, picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.faithfulness import (
    Curve,
    HiddenLikelihoods,
    centre_orders,
    disagreement,
    faithfulness,
    hidden_by_deletion,
    hidden_by_insertion,
    orders_of,
    passes_needed,
    rank_agreement,
)
from vitviz.analysis.hiding import cells, hide, read_hidden
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.errors import Cancelled, UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout

PATCHES = LAYOUT.num_patches


@pytest.fixture
def linear():
    model, pixels = subject(), picture()
    contributions = model.module.contributions(pixels, model.module.head[2]).numpy()
    return Question(model, pixels, LinearTarget(ClassLogit(2))), contributions


def last(question, maps, **kwargs):
    return list(faithfulness(question, maps, **kwargs))[-1]


def test_curves_of_a_linear_model_are_sums(linear):
    question, parts = linear
    order = np.array([3, 0, 5, 1, 4, 2])
    values = np.empty(PATCHES)
    values[order] = np.arange(PATCHES, 0, -1)
    found = last(question, {"map": values.reshape(LAYOUT.grid)}, levels=(PATCHES,)).methods[0]
    start = question.score()
    np.testing.assert_allclose(found.deletion.values, start - np.concatenate([[0], parts[order].cumsum()]), atol=1e-9)
    np.testing.assert_allclose(
        found.insertion.values, start - parts.sum() + np.concatenate([[0], parts[order].cumsum()]), atol=1e-9
    )
    np.testing.assert_allclose(found.deletion.fractions, np.arange(PATCHES + 1) / PATCHES)


def test_no_order_is_better_than_the_contributions_own(linear):
    question, parts = linear
    asked = HiddenLikelihoods(question)
    fractions = np.linspace(0, 1, PATCHES + 1)
    orders = [np.array(order) for order in itertools.permutations(range(PATCHES))][::7]
    (best,) = orders_of(parts.reshape(LAYOUT.grid), range(3)).hiding
    every = [*orders, best]
    asked.compute(
        [hidden(o, f) for o in every for f in fractions for hidden in (hidden_by_deletion, hidden_by_insertion)]
    )
    assert asked.deletion([best], fractions).area <= min(asked.deletion([o], fractions).area for o in orders) + 1e-9
    assert asked.insertion([best], fractions).area >= max(asked.insertion([o], fractions).area for o in orders) - 1e-9
    assert len(question.hidden_likelihoods) == 2**PATCHES  # no set of patches was run twice


def test_area_is_the_trapezoid():
    curve = Curve(np.array([0, 0.25, 1.0]), np.array([1.0, 0.5, 0.0]))
    assert curve.area == pytest.approx(0.25 * 0.75 + 0.75 * 0.25)


def test_showing_in_reverse_is_hiding_read_backwards(linear):
    """Why a random order is run once and serves both curves."""
    question, _ = linear
    random = last(question, {}, levels=(PATCHES,), seeds=3).random
    assert len(random) == 3
    order = np.random.default_rng(1).permutation(PATCHES)
    asked = HiddenLikelihoods(question)
    fractions = np.linspace(0, 1, PATCHES + 1)
    asked.compute([hidden_by_insertion(order[::-1], f) for f in fractions])
    np.testing.assert_allclose(random[1].insertion.values, asked.insertion([order[::-1]], fractions).values, atol=1e-9)


def test_refinement_keeps_what_is_known(linear):
    question, _ = linear
    maps = {"a": np.arange(6.0).reshape(2, 3), "b": Heatmap(np.eye(2, 3), "b")}
    coarse, fine = faithfulness(question, maps, levels=(2, 4), seeds=2)
    assert (coarse.steps, fine.steps) == (2, 4)
    for one, other in zip((*coarse.methods, coarse.centre), (*fine.methods, fine.centre), strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.deletion.values, other.deletion.values[::2])
        np.testing.assert_array_equal(one.insertion.values, other.insertion.values[::2])


def test_one_by_one_and_in_batches_is_the_same():
    module, x, layout = build(FAMILIES[3])
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))
    maps = {"a": np.random.default_rng(0).random(layout.grid)}
    one, eight = (last(question, maps, levels=(4,), seeds=2, batch=batch) for batch in (1, 8))
    for row, other in zip(one.table(), eight.table(), strict=True):
        assert row["name"] == other["name"]
        assert row["deletion"] == pytest.approx(other["deletion"], abs=1e-5)
        assert row["insertion"] == pytest.approx(other["insertion"], abs=1e-5)


def test_progress_ends_at_the_whole_and_can_cancel(linear):
    question, _ = linear
    told = []
    list(faithfulness(question, {"a": np.eye(2, 3)}, levels=(2, 4), batch=2, progress=lambda d, t: told.append((d, t))))
    assert told[-1][0] == told[-1][1]
    assert [d for d, _ in told] == sorted({d for d, _ in told})

    def stop(done: int, _total: int) -> None:
        if done >= 4:
            raise Cancelled("enough")

    fresh = Question(question.model, question.pixels, question.target)  # what was run for the other is not run again
    with pytest.raises(Cancelled, match="enough"):
        list(faithfulness(fresh, {"a": np.eye(2, 3)}, levels=(2, 4), batch=2, progress=stop))
    assert torch._C._len_torch_function_stack() == 0


def test_the_table_names_methods_and_baselines(linear):
    question, _ = linear
    found = last(question, {"a": np.eye(2, 3)}, levels=(2,))
    assert [row["name"] for row in found.table()] == ["a", "centre of the picture", "random order"]
    assert found.table()[-1]["gap"] == pytest.approx(0)
    assert [scores.deletion.values[0] for scores in found.random] == pytest.approx(
        [question.score()] * len(found.random)
    )


def test_hidden_pixels_are_the_patch_and_nothing_else():
    pixels = picture()
    masks = torch.zeros(2, *LAYOUT.grid, dtype=torch.bool)
    masks[0, 1, 2] = True
    hidden = hide(pixels, masks)
    expected = pixels.clone()
    expected[:, 4:8, 8:12] = pixels.mean((1, 2), keepdim=True)
    torch.testing.assert_close(hidden[0], expected)
    assert torch.equal(hidden[1], pixels)


def test_hidden_images_are_read_in_their_order(linear):
    question, parts = linear
    masks = cells(np.eye(PATCHES, dtype=bool), LAYOUT)
    for batch in (1, 4):
        values = read_hidden(question, masks, question.target.score, batch)
        np.testing.assert_allclose(question.score() - values, parts, atol=1e-9)


def test_the_centre_comes_first():
    layout = TokenLayout(("cls",), (3, 5), (2, 4))
    orders = centre_orders(layout, range(8)).hiding
    for order in orders:
        assert order[0] == 7
        assert set(order[-4:]) == {0, 4, 10, 14}
    assert len({tuple(order[-4:]) for order in orders}) > 1  # the corners are equally far: none always comes first


def test_rank_agreement_and_disagreement():
    up = np.arange(6.0).reshape(2, 3)
    agreement = rank_agreement({"up": up, "square": up**2, "down": -up, "flat": np.ones((2, 3))})
    np.testing.assert_allclose(agreement[:3, :3], [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert np.isnan(agreement[3]).all()
    spread = disagreement({"up": up, "down": -up}).values
    np.testing.assert_allclose(spread, np.abs(up - 2.5) / 5, atol=1e-6)
    assert disagreement({"up": up, "square": up**2}).values.max() == 0


def test_a_map_of_another_grid_is_refused(linear):
    with pytest.raises(ValueError, match=r"'a' has the shape \(3, 2\)"):
        list(faithfulness(linear[0], {"a": np.zeros((3, 2))}))


@pytest.mark.parametrize("equal", [0, 2, 4, 6])
def test_equal_values_are_averaged_over_random_orders(linear, equal):
    """The contributions of a linear model add up, so the mean over all orders of equal patches is known on paper: after m of n
    equal patches, m / n of their sum is gone. A fixed order would be a walk over the picture."""
    question, parts = linear
    values = np.arange(PATCHES, 0, -1.0)
    tied = np.array([4, 1, 5, 0, 2, 3])[:equal]  # any patches, not the first ones
    values[tied] = 0
    found = last(question, {"map": values.reshape(LAYOUT.grid)}, levels=(PATCHES,), seeds=400).methods[0]
    gone, left = [0.0], parts.copy()
    for patch in [p for p in range(PATCHES) if p not in tied]:
        gone.append(gone[-1] + left[patch])
    gone += [gone[-1] + parts[tied].sum() * (m + 1) / max(equal, 1) for m in range(equal)]
    spread = np.abs(parts).sum() / np.sqrt(400)
    np.testing.assert_allclose(found.deletion.values, question.score() - np.array(gone), atol=2 * spread)
    end = question.score() - parts.sum()
    np.testing.assert_allclose(found.insertion.values, end + np.array(gone), atol=2 * spread)


def test_a_constant_map_is_random_order_and_nothing_better(linear):
    question, _ = linear
    found = last(question, {"flat": np.full(LAYOUT.grid, 0.25)}, levels=(2, 4), seeds=5)
    flat, *_, random = found.table()
    assert (flat["deletion"], flat["insertion"]) == pytest.approx((random["deletion"], random["insertion"]))
    assert flat["gap"] == pytest.approx(0)


def test_equal_values_are_drawn_again_only_where_there_are_any():
    rng = np.random.default_rng(0)
    distinct = rng.permutation(12).reshape(3, 4)
    orders = orders_of(distinct, range(5))
    assert len(orders.hiding) == len(orders.showing) == 1
    assert list(distinct.ravel()[orders.hiding[0]]) == list(range(11, -1, -1))
    tied = np.where(distinct < 8, 0, distinct)
    for order in (*(orders := orders_of(tied, range(5))).hiding, *orders.showing):
        assert list(tied.ravel()[order]) == [11, 10, 9, 8, *[0] * 8]
        assert sorted(order) == list(range(12))
    assert len({tuple(order) for order in orders.hiding}) == 5


def test_random_insertion_hides_as_many_as_every_other_on_an_odd_grid():
    """Half of nine patches: insertion shows 4 of them, whatever the order comes from."""
    layout = TokenLayout((), (3, 3), (4, 4))
    shown = []

    class Counting(torch.nn.Module):
        num_classes = 2

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            patches = torch.nn.functional.avg_pool2d(x, 4).flatten(1).reshape(len(x), 3, -1)
            return patches[:, :2].sum(-1)

    picture = torch.arange(9.0).reshape(1, 3, 3).repeat_interleave(4, 1).repeat_interleave(4, 2).expand(3, -1, -1)
    question = Question(BareModel(Counting(), layout), picture, LinearTarget(ClassLogit(0)))
    found = last(question, {"down": np.arange(9.0).reshape(3, 3)}, levels=(2,), seeds=1)
    middle = 4.0  # the mean colour; the score is the sum of what is shown and the mean for every hidden patch
    order = np.random.default_rng(0).permutation(9)[::-1]
    shown = order[:4]
    expected = sum(float(patch) for patch in shown) + 5 * middle
    assert found.random[0].insertion.values[1] == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_has_no_order(linear, wrong):
    values = np.arange(6.0).reshape(2, 3)
    values[1, 1] = wrong
    with pytest.raises(UnsupportedError, match=r"1 of 6 values of the map 'broken' are not finite"):
        list(faithfulness(linear[0], {"fine": np.ones((2, 3)), "broken": values}))


def test_a_curve_needs_a_seed(linear):
    with pytest.raises(ValueError, match="at least one seed"):
        list(faithfulness(linear[0], {"a": np.eye(2, 3)}, seeds=0))


def test_what_was_run_for_a_question_is_not_run_again(linear):
    question, _ = linear
    maps = {"a": np.arange(6.0).reshape(2, 3)}
    runs = []
    whole = passes_needed(question, maps, (2, 4), seeds=2)
    list(faithfulness(question, maps, levels=(2,), seeds=2, progress=lambda done, _: runs.append(done)))
    coarse = runs[-1]
    left = passes_needed(question, maps, (2, 4), seeds=2)
    assert 0 < coarse < whole
    assert left == whole - coarse
    (fine,) = list(faithfulness(question, maps, levels=(2, 4), seeds=2))[1:]
    assert passes_needed(question, maps, (2, 4), seeds=2) == 0
    fresh = Question(question.model, question.pixels, question.target)
    fresh.reuse(question.passes)
    assert passes_needed(fresh, maps, (2, 4), seeds=2) == 0
    alone = last(Question(question.model, question.pixels, question.target), maps, levels=(4,), seeds=2)
    np.testing.assert_allclose(fine.methods[0].deletion.values, alone.methods[0].deletion.values, atol=1e-9)
