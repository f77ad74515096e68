"""Blocks of a model, run one by one: the same answer as the whole pass, and models that cannot be read."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.reference import picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.capture.blocks import Blocks
from vitviz.errors import UnsupportedError


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
