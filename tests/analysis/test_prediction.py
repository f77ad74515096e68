"""The logit lens: the last layer is the model itself, and a patch is read as if it were all there is."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.reference import GRID, LAYOUT, picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, SelfDot
from vitviz.errors import UnsupportedError


def test_layers_of_the_model_on_paper():
    model, pixels = subject(), picture()
    question = Question(model, pixels, ClassLogit(1))
    states = model.module.states(pixels)
    torch.testing.assert_close(logit_lens(question).logits, torch.stack([x[0] @ model.module.head.T for x in states]))
    expected = torch.stack([x[LAYOUT.num_prefix :] @ model.module.head.T for x in states]).reshape(3, *GRID, -1)
    torch.testing.assert_close(patch_lens(question), expected)
    torch.testing.assert_close(patch_lens(question, 1), expected[1])
    torch.testing.assert_close(target_by_layer(question), logit_lens(question).probabilities[:, 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_last_layer_is_the_models_own_answer(family):
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))
    with torch.no_grad():
        torch.testing.assert_close(logit_lens(question).logits[-1], module(x)[0])
    assert patch_lens(question, -1).shape == (*family.grid, 7)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_patch_is_read_through_the_models_own_norm_and_pooling(family):
    """The same patch read from a sequence whose every token is that patch, one at a time and at full length."""
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))
    state = question.hidden_states.states[1]
    lens = patch_lens(question, 1)
    for row, col in ((0, 0), (1, 2)):
        token = state[:, layout.token_at(row, col)]
        with torch.no_grad():
            full = token[:, None].expand(-1, layout.num_tokens, -1)
            torch.testing.assert_close(lens[row, col], module.forward_head(module.norm(full))[0])


def test_without_a_classifier_there_is_nothing_to_read():
    with pytest.raises(UnsupportedError, match="no classifier"):
        logit_lens(Question(subject(classes=0), picture(), SelfDot()))
