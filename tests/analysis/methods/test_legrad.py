"""LeGrad against each layer's own gradient on paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.analysis.reference import CLASS, LAYOUT, close, on_patches, picture, subject
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.errors import UnsupportedError


def test_legrad_is_the_mean_of_each_layers_own_gradient(by_hand):
    model, pixels, w = by_hand
    x0, x1, _ = model.module.states(pixels)
    expected = torch.zeros(LAYOUT.num_tokens, dtype=torch.float64)
    for block, x in zip(model.module.blocks, (x0, x1), strict=True):
        # the score read after this layer depends on this layer's class row only
        gradient = block.attn.gains[:, None] * (x @ w)  # (heads, keys)
        expected += gradient.clamp_min(0).mean(0) / LAYOUT.num_tokens / 2
    close(legrad(Question(model, pixels, ClassLogit(CLASS))), on_patches(expected))


def test_legrad_holds_one_blocks_graph_at_a_time(by_hand):
    model, pixels, _ = by_hand
    entered = []
    for block in model.module.blocks:
        block.register_forward_pre_hook(lambda _m, args: entered.append(args[0]))
    legrad(Question(model, pixels, ClassLogit(CLASS)))
    assert len(entered) == 2 and not any(state.requires_grad for state in entered)


def test_legrad_needs_one_attention_in_each_block():
    model, pixels = subject(), picture()
    model.module.blocks[1].attn = nn.Identity()
    with pytest.raises(UnsupportedError, match="Block 1 of .* has 0 attention layers"):
        legrad(Question(model, pixels, ClassLogit(CLASS)))
