"""Tokens cut out against columns removed from the weights after the softmax."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.interventions.edits import REGISTERS, SIGLIP, answer, columns_removed, far, made, plainly
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import CutTokens, intervene
from vitviz.capture.record import record


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "explicit"])
@pytest.mark.parametrize("layers", [None, (1,)], ids=["all layers", "one layer"])
@pytest.mark.parametrize("family", [f for f in FAMILIES if f is not SIGLIP], ids=str)
def test_tokens_cut_out_are_columns_removed(family, layers, fused):
    model, x = made(family)
    for block in model.module.blocks:
        block.attn.fused_attn = fused
    tokens = [0, 3]
    changed = answer(model, x, CutTokens(tuple(tokens), layers))
    torch.testing.assert_close(changed, columns_removed(model.module, x, tokens, layers or (0, 1)))
    assert far(changed, plainly(model.module, x))


def test_a_trace_shows_the_cut():
    model, x = made(REGISTERS, double=False)
    with intervene(model, CutTokens((2, 9), (1,))) as changed:
        recording = record(changed.module, x, model.layout)
    first, last = (layer.weights() for layer in recording.layers)
    assert first[..., [2, 9]].min() > 0
    assert last[..., [2, 9]].max() == 0
    torch.testing.assert_close(last.sum(-1), torch.ones(last.shape[:2]))
