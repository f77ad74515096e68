"""Targets: the token of a model without a classifier, and classes that do not exist."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.reference import LAYOUT, picture, subject
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit, SelfDot, default_target
from vitviz.errors import UnsupportedError


def test_a_model_without_a_classifier_explains_its_token():
    model, pixels = subject(classes=0), picture()
    token = model.module.states(pixels)[2][0]
    question = Question(model, pixels, SelfDot())
    assert question.score() == pytest.approx(float(token @ token))
    assert question.likelihood() == pytest.approx(1)
    seen = question.attention_gradients
    for layer, expected in zip(seen.layers, model.module.gradients(pixels, token), strict=True):
        # the gradient of x . detached(x) is that of w . x with w = x
        torch.testing.assert_close(layer.rows(), expected)
    patch = LAYOUT.token_at(1, 2)
    assert Question(model, pixels, SelfDot(patch)).query == "r1c2"
    assert generic_relevance(Question(model, pixels, SelfDot(patch))).values[1, 2] >= 1  # R starts from the identity
    with pytest.raises(UnsupportedError, match="no classifier"):
        Question(model, pixels, ClassLogit(0))
    with pytest.raises(UnsupportedError, match="does not exist"):
        Question(model, pixels, SelfDot(99)).score()
    assert isinstance(default_target(model.module, token), SelfDot)
    assert default_target(subject().module, torch.tensor([0.0, 2.0, 1.0, 0.0])) == ClassLogit(1)


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(UnsupportedError, match="Class 9 does not exist"):
        Question(subject(), picture(), ClassLogit(9)).score()
