"""The logit lens: the last layer is the model itself, and a patch is read as if it were all there is."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.reference import GRID, LAYOUT, picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, SelfDot
from vitviz.capture.blocks import Blocks
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


class Twisted(torch.nn.Module):
    """Does something between its blocks and its head that the lens could not know of."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = subject().module
        self.blocks, self.num_classes = self.inner.blocks, 4

    def forward_head(self, tokens):
        return self.inner.forward_head(tokens)

    def forward(self, x):
        return self.inner(x) * 2


def test_a_model_that_cannot_be_read_is_refused():
    with pytest.raises(UnsupportedError, match="more between its last block and its output"):
        Blocks(Twisted()).hidden_states(picture()[None])
    with pytest.raises(UnsupportedError, match="not one row of blocks"):
        Blocks(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_running_on_from_a_state_is_the_rest_of_the_pass(family):
    module, x, _ = build(family)
    blocks = Blocks(module)
    with torch.no_grad():
        hidden_states = blocks.hidden_states(x)
        for layer in range(3):
            end = blocks.resume(hidden_states, layer, hidden_states.states[layer])
            torch.testing.assert_close(blocks.read(end).logits, module(x))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in module.modules())
