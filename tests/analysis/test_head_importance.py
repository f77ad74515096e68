"""Heads switched off in batches from cached states are heads switched off one by one from the pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.capture.families import FAMILIES, build
from vitviz.analysis.head_importance import correlation_with_confidence, head_confidence, head_importance
from vitviz.analysis.interventions import SwitchOffHeads, intervene
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_batched_and_restarted_is_one_by_one_from_the_start(family):
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], ClassLogit(2))
    told = []
    found = head_importance(question, batch=2, progress=lambda done, whole: told.append((done, whole)))
    with torch.no_grad():
        before = module(x)[0]
    for layer in range(2):
        for head in range(3):
            with intervene(question.model, SwitchOffHeads(((layer, head),))), torch.no_grad():
                after = module(x)[0]
            assert found.score_drop[layer, head] == pytest.approx(float(before[2] - after[2]), abs=1e-5)
            fall = float(before.softmax(-1)[2] - after.softmax(-1)[2])
            assert found.likelihood_drop[layer, head] == pytest.approx(fall, abs=1e-5)
    # three heads through two blocks, two of them at once; then three through one
    assert told == [(2, 9), (4, 9), (5, 9), (6, 9), (8, 9), (9, 9)]


def test_confidence_is_the_mean_of_row_maxima():
    module, x, layout = build(FAMILIES[3])
    question = Question(BareModel(module, layout), x[0], ClassLogit(2))
    expected = [[layer.weights(head).amax(-1).mean() for head in range(3)] for layer in question.trace.layers]
    np.testing.assert_allclose(head_confidence(question.trace), np.array(expected), atol=1e-6)


def test_rank_correlation_is_of_sizes():
    importance = np.array([[0.1, -0.4], [0.2, -0.3]])
    assert correlation_with_confidence(importance, np.abs(importance)) == pytest.approx(1)
    assert correlation_with_confidence(importance, -np.abs(importance)) == pytest.approx(-1)
    assert np.isnan(correlation_with_confidence(importance, np.ones((2, 2))))
