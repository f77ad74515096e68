"""Heads switched off and tokens left out, in every way of writing attention, as by hand."""

from __future__ import annotations

import pytest
import torch

from tests.capture.written import (
    HEADS,
    LAYOUT,
    Attention,
    ByHand,
    Convolution,
    Own,
    Spelling,
    Written,
    build,
    picture,
    redrawn,
    written,
)
from vitviz.analysis.head_importance import head_importance
from vitviz.analysis.interventions import CutTokens, SwitchOffHeads, head_means, intervene
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.record import record
from vitviz.errors import CaptureError, UnsupportedError


@pytest.mark.parametrize(("off", "cut"), [(((0, 1), (1, 0)), ()), ((), (1, 4)), (((1, 1),), (0,))])
def test_heads_off_and_tokens_left_out_are_as_by_hand(spelled, off, cut):
    spelling, module = spelled
    x = picture()
    changes = [*([SwitchOffHeads(off)] if off else []), *([CutTokens(cut)] if cut else [])]
    with intervene(BareModel(module, LAYOUT), *changes) as changed, torch.no_grad():
        found = changed.module(x)
        traced = record(changed.module, x, LAYOUT)
    hand = ByHand(module, spelling.mixes, off, cut)
    torch.testing.assert_close(found, hand(x).detach(), atol=1e-6 if "casts" in spelling.between else 1e-10, rtol=0)
    for layer, weights in zip(traced.layers, hand.weights, strict=True):
        torch.testing.assert_close(layer.weights(), weights.detach(), atol=1e-6, rtol=0)
    assert (found - ByHand(module, spelling.mixes)(x)).abs().max() > 1e-4
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_means_of_heads_are_seen_where_values_are_on_the_left():
    plain, left = build(Spelling(), Spelling()), build(Spelling(values="vT @ wT"), Spelling(values="einsum heads last"))
    expected, found = (head_means(BareModel(module, LAYOUT), [picture()[0]]) for module in (plain, left))
    for one, other in zip(expected.layers, found.layers, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_of_heads_switched_off_one_by_one():
    """Importance of heads runs each as one entry of a batch."""
    module = build(Spelling(values="einsum heads last"), Spelling())
    x = picture()
    found = head_importance(Question(BareModel(module, LAYOUT), x[0], ClassLogit(2)))
    whole = ByHand(module)(x)[0, 2].detach()
    for layer in range(2):
        for head in range(HEADS):
            without = ByHand(module, off=((layer, head),))(x)[0, 2].detach()
            assert found.score_drop[layer, head] == pytest.approx(float(whole - without), abs=1e-5)


def test_a_model_without_any_attention_has_none_to_switch_off():
    module = redrawn(Written(Own(), Own()))
    with pytest.raises(CaptureError, match="No attention was seen"):
        record(module, picture(), LAYOUT)


def test_the_first_block_alone_is_switched_and_a_block_that_has_no_attention_raises():
    module = redrawn(Written(Convolution(), Attention(written(Spelling()))))
    module.blocks[0].attn.num_heads = HEADS
    with (
        pytest.raises(UnsupportedError, match=r"layer 0.*no attention was seen"),
        intervene(BareModel(module, LAYOUT), SwitchOffHeads(((0, 0),))) as changed,
    ):
        changed.module(picture())
