"""Integrated gradients against integrals in closed form, and the gap that finitely many points leave."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.analysis.reference import CLASS, close, on_patches
from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods import explain
from vitviz.analysis.methods.integrated_gradients import PathAttribution, integrated_gradients
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference
from vitviz.errors import Cancelled, IncompleteWarning
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout((), (2, 3), (2, 2))
SIZE = LAYOUT.input_size


def weights(seed: int = 0) -> torch.Tensor:
    """(2, 3, height, width) float64."""
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def picture() -> torch.Tensor:
    return torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


class OfOneNumber(nn.Module):
    """logit c = f((x * w[c]).sum()): along a straight path the inner sum is a straight line, so every integral is known."""

    num_classes = 2

    def __init__(self, f) -> None:
        super().__init__()
        self.w = nn.Parameter(weights(), requires_grad=False)
        self.f = f

    def forward(self, x):
        return self.f(torch.einsum("bchw,kchw->bk", x, self.w))


def question(f, target=None) -> Question:
    return Question(BareModel(OfOneNumber(f), LAYOUT), picture(), target or ClassLogit(0))


def expected(f, index: int = 0) -> np.ndarray:
    """(rows, cols): (x - x0) w f' integrated over the path: times the mean of f' on it, (f(b) - f(a)) / (b - a)."""
    x, w = picture(), weights()[index]
    flat = x.mean((1, 2), keepdim=True).expand_as(x)
    start, end = (flat * w).sum(), (x * w).sum()
    shares = (x - flat) * w * (f(end) - f(start)) / (end - start)
    return F.avg_pool2d(shares.sum(0)[None], LAYOUT.patch_size)[0].mul(4).numpy()  # (height, width) -> (rows, cols)


@pytest.mark.parametrize("power", [1, 2, 3, 5])
def test_a_polynomial_is_integrated_exactly(power):
    """n Gauss-Legendre points integrate a polynomial of degree 2 n - 1; the gradient here has degree `power` - 1."""

    def f(s):
        return (s / 4) ** power

    found = integrated_gradients(question(f), steps=3)
    np.testing.assert_allclose(found.values, expected(f), rtol=1e-5, atol=1e-6)
    assert found.steps == 3 and found.complete and found.signed
    assert found.total == pytest.approx(found.difference, abs=1e-5)
    x = picture()[None]
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    logits = OfOneNumber(f)(torch.cat([x, flat]))[:, 0]
    assert found.difference == pytest.approx(float(logits[0] - logits[1]))


def wave(frequency):
    return lambda s: 3 * torch.sin(frequency * s) + s


def test_points_are_doubled_until_the_shares_add_up():
    f = wave(6.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = integrated_gradients(question(f), steps=2)
    assert found.steps > 2 and (found.steps & (found.steps - 1)) == 0
    assert abs(found.gap) < 0.05 * max(abs(found.difference), 1)
    half = integrated_gradients_once(question(f), found.steps // 2)
    assert not half.complete  # no more than were needed
    fine = integrated_gradients(question(f), steps=400)
    np.testing.assert_allclose(fine.values, expected(f), rtol=1e-4, atol=1e-4)


def integrated_gradients_once(asked, steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWarning)
        return integrated_gradients(asked, steps=steps, most_steps=steps)


def test_a_gap_that_stays_is_measured_and_warned_of():
    f = wave(300.0)
    told = []
    with pytest.warns(IncompleteWarning, match=r"With 16 points .* add up to"):
        found = integrated_gradients(question(f), steps=4, most_steps=16, progress=lambda *done: told.append(done))
    assert found.steps == 16 and not found.complete
    # the gap by an independent Gauss-Legendre sum of f' on the path
    x, w = picture(), weights()[0]
    flat = x.mean((1, 2), keepdim=True).expand_as(x)
    start, end = float((flat * w).sum()), float((x * w).sum())
    points, parts = np.polynomial.legendre.leggauss(16)
    inner = torch.tensor(start + (end - start) * (points + 1) / 2, requires_grad=True)
    (slope,) = torch.autograd.grad(f(inner).sum(), inner)
    total = float((end - start) * (slope.numpy() * parts / 2).sum())
    assert found.total == pytest.approx(total, rel=1e-4)
    assert found.gap == pytest.approx(total - found.difference, rel=1e-3)
    assert told[-1] == (28, 28) and [d for d, _ in told] == sorted(d for d, _ in told)


@pytest.mark.parametrize(
    ("difference", "tolerance"), [(40.0, 2.0), (-40.0, 2.0), (1.0, 0.05), (0.2, 0.05), (0.0, 0.05)]
)
def test_the_tolerance_is_relative_and_absolute_for_small_differences(difference, tolerance):
    for gap, complete in ((0.99, True), (-0.99, True), (1.01, False), (-1.01, False), (float("nan"), False)):
        found = PathAttribution(np.zeros((1, 1)), "x", total=difference + gap * tolerance, difference=difference)
        assert found.tolerance == pytest.approx(tolerance)
        assert found.complete == complete


def test_other_callers_get_the_same_rule():
    f = wave(6.0)
    direct = integrated_gradients(question(f))
    for options in ({}, {"steps": 32, "most_steps": 256}):
        np.testing.assert_array_equal(explain(question(f), "integrated_gradients", **options).values, direct.values)
    with pytest.warns(IncompleteWarning):
        assert explain(question(f), "integrated_gradients", steps=2, most_steps=2).steps == 2
    one = integrated_gradients(question(f, LogitDifference(0, 1)))
    other = integrated_gradients(question(f, LogitDifference(1, 0)))
    np.testing.assert_allclose(one.values, -other.values, atol=1e-5)
    assert one.gap == pytest.approx(-other.gap)


@pytest.mark.parametrize("after", [1, 40, 100])
def test_it_can_be_stopped_in_every_attempt(after):
    def stop(done: int, _whole: int) -> None:
        if done >= after:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        integrated_gradients(question(wave(300.0)), progress=stop)


def test_progress_ends_at_the_whole_also_when_fewer_points_were_enough():
    told = []
    integrated_gradients(question(wave(0.1)), progress=lambda *done: told.append(done))
    assert told[-1] == (480, 480)
    assert told[-2][0] == 32


def test_one_point_is_no_integral():
    with pytest.raises(ValueError, match="at least 2 points"):
        integrated_gradients(question(wave(1.0)), steps=1)


def test_integrated_gradients_of_a_linear_model_are_its_contributions(by_hand):
    model, pixels, w = by_hand
    heatmap = integrated_gradients(Question(model, pixels, ClassLogit(CLASS)), steps=3)
    close(heatmap, on_patches(model.module.contributions(pixels, w)))
    assert heatmap.signed


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[4]], ids=str)
def test_shares_of_integrated_gradients_add_up(family):
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    with torch.no_grad():
        difference = float(module(x)[0, 3] - module(flat)[0, 3])
    total = integrated_gradients(question, steps=300, batch=50).values.sum()
    assert total == pytest.approx(difference, rel=0.05, abs=0.05)
