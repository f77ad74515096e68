"""Occlusion against the contributions of a linear model, and its windows."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.reference import CLASS, LAYOUT, close, on_patches
from vitviz.analysis.methods.occlusion import occlusion, windows
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.tokens import TokenLayout


def test_occlusion_of_a_linear_model_is_the_mean_over_windows(by_hand):
    model, pixels, w = by_hand
    parts = model.module.contributions(pixels, w)
    for stride in (1, 2, 3):
        covers = torch.from_numpy(windows(LAYOUT, 3, stride)).double()
        expected = ((covers @ parts)[:, None] * covers).sum(0) / covers.sum(0)
        for batch in (1, 4):
            close(
                occlusion(Question(model, pixels, ClassLogit(CLASS)), stride=stride, batch=batch), on_patches(expected)
            )


@pytest.mark.parametrize("grid", [(1, 1), (2, 7), (16, 16), (5, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_cover_every_patch(grid, stride):
    covers = windows(TokenLayout((), grid, (1, 1)), 3, stride)
    assert covers.any(0).all()
    assert (covers.sum(1) <= 9).all()


def test_gaps_between_windows_are_refused():
    with pytest.raises(ValueError, match="leave gaps"):
        windows(LAYOUT, 3, 4)
