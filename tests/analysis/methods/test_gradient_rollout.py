"""Gradient rollout against the product on paper."""

from __future__ import annotations

import torch

from tests.analysis.reference import CLASS, LAYOUT, close, on_patches
from vitviz.analysis.methods.gradient_rollout import gradient_rollout, gradient_rollout_row
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.attention import Attention
from vitviz.capture.gradients import WeightGradient
from vitviz.tokens import TokenLayout


def test_gradient_rollout_is_the_product_on_paper(by_hand):
    model, pixels, w = by_hand
    R = eye = torch.eye(LAYOUT.num_tokens, dtype=torch.float64)
    for block, G in zip(model.module.blocks, model.module.gradients(pixels, w), strict=True):
        X = (G * block.attn.A).clamp_min(0).mean(0)
        for row in range(len(X)):  # in the last layer all rows but the class token's are zero
            X[row] = X[row] / X[row].sum() if X[row].sum() > 0 else eye[row]
        R = (0.5 * eye + 0.5 * X) @ R
    heatmap = gradient_rollout(Question(model, pixels, ClassLogit(CLASS)))
    close(heatmap, on_patches(R[0]))


def test_a_zero_row_becomes_the_identitys():
    two = TokenLayout((), (1, 2), (1, 1))
    weights = Attention("attn", two, two, explicit=torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]))
    for zero in (0.0, -1.0):  # no gradient at all, and one that only speaks against: both leave nothing
        layer = WeightGradient(weights, torch.tensor([[[0.0, 2.0], [zero, zero]]]))
        torch.testing.assert_close(gradient_rollout_row([layer], torch.tensor([0.5, 0.5])), torch.tensor([0.25, 0.75]))
