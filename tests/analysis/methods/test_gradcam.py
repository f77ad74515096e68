"""Grad-CAM against the sum on paper."""

from __future__ import annotations

import torch

from tests.analysis.reference import CLASS, LAYOUT, close, on_patches
from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods.gradcam import gradcam
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit


def test_gradcam_is_the_sum_on_paper(by_hand):
    model, pixels, w = by_hand
    _, x1, _ = model.module.states(pixels)
    patches = slice(LAYOUT.num_prefix, None)
    channel_weights = (model.module.mixing(1)[0, patches, None] * w).mean(0)
    heatmap = gradcam(Question(model, pixels, ClassLogit(CLASS)))
    close(heatmap, on_patches((x1[patches] @ channel_weights).clamp_min(0)))
    assert heatmap.values.max() > 0


def test_a_class_token_model_has_no_gradient_at_its_last_blocks_output():
    """Why Grad-CAM looks in front of the last attention and not behind it."""
    module, x, layout = build(FAMILIES[0])
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    last = question.hidden_states.states[-1].clone().requires_grad_()
    with torch.enable_grad():
        question.blocks.read(last).logits[0, 3].backward()
    assert last.grad[0, layout.num_prefix :].abs().max() == 0
