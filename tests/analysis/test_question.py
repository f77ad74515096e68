"""One model, one input and one target: its gradients on paper, and nothing that is left from another question."""

from __future__ import annotations

import torch

from tests.analysis.reference import CLASS
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit


def test_gradients_on_attention_are_those_on_paper(by_hand):
    model, pixels, w = by_hand
    seen = Question(model, pixels, ClassLogit(CLASS)).attention_gradients
    for layer, block, expected in zip(seen.layers, model.module.blocks, model.module.gradients(pixels, w), strict=True):
        torch.testing.assert_close(layer.attention.weights(), block.attn.A)
        torch.testing.assert_close(layer.rows(), expected)


def test_nothing_accumulates_over_calls(by_hand):
    model, pixels, _ = by_hand
    first = generic_relevance(Question(model, pixels, ClassLogit(CLASS)))
    generic_relevance(Question(model, pixels, ClassLogit(0)))
    again = generic_relevance(Question(model, pixels, ClassLogit(CLASS)))
    assert (first.values == again.values).all()
