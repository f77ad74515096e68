"""Relevance against the product on paper, and what the gradient methods have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.analysis.reference import CLASS, LAYOUT, close, on_patches, picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods.gradcam import gradcam
from vitviz.analysis.methods.gradient_rollout import gradient_rollout
from vitviz.analysis.methods.integrated_gradients import integrated_gradients
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.methods.occlusion import occlusion
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference


def test_generic_relevance_is_the_product_on_paper(by_hand):
    model, pixels, w = by_hand
    eye = torch.eye(LAYOUT.num_tokens, dtype=torch.float64)
    R = eye
    for block, G in zip(model.module.blocks, model.module.gradients(pixels, w), strict=True):
        R = R + (G * block.attn.A).clamp_min(0).mean(0) @ R
    close(generic_relevance(Question(model, pixels, ClassLogit(CLASS))), on_patches(R[0]))


def test_scalar_methods_are_antisymmetric_and_relu_methods_are_not():
    model, pixels = subject(), picture()
    one, other = Question(model, pixels, LogitDifference(0, 3)), Question(model, pixels, LogitDifference(3, 0))
    assert one.score() == pytest.approx(-other.score())
    assert one.likelihood() == pytest.approx(1 - other.likelihood())
    for method in (integrated_gradients, occlusion):
        assert abs(method(one).values + method(other).values).max() < 1e-6
    for method in (generic_relevance, gradient_rollout, legrad, gradcam):
        assert abs(method(one).values + method(other).values).max() > 1e-3, method.__name__


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_every_kind_of_model_gets_maps_that_are_not_empty(family):
    module, x, layout = build(family)
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    for method in (generic_relevance, gradient_rollout, legrad, gradcam, integrated_gradients, occlusion):
        values = method(question).values
        assert values.shape == family.grid, method.__name__
        assert abs(values).max() > 0, method.__name__


@pytest.mark.parametrize("method", [generic_relevance, gradient_rollout, legrad])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_chunks_give_what_whole_matrices_give(monkeypatch, family, method):
    module, x, layout = build(family)
    whole = method(Question(BareModel(module, layout), x[0], ClassLogit(3))).values
    monkeypatch.setattr("vitviz.capture.attention.Attention.fewest_queries", 3)
    monkeypatch.setattr("vitviz.capture.attention.CHUNK_ENTRIES", 1)
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    sizes = {len(chunk) for layer in question.attention_gradients.layers for chunk in layer.query_chunks()}
    assert max(sizes) == 3
    np.testing.assert_allclose(method(question).values, whole, rtol=1e-4, atol=1e-6 * abs(whole).max())
