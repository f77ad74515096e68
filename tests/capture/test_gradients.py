"""Gradients on attention weights against finite differences, and what watching leaves behind."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from tests.analysis.reference import picture, subject
from tests.capture import written
from tests.capture.families import FAMILIES, build
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference
from vitviz.capture.gradients import gradients_of, watched_attention
from vitviz.errors import CaptureError, UnsupportedError


class Nudged(TorchFunctionMode):
    """Adds `nudge` to the weights of one fused call."""

    def __init__(self, call: int, nudge: torch.Tensor) -> None:
        super().__init__()
        self.left, self.nudge = call, nudge

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        q, k, v = args
        scale = (kwargs or {}).get("scale") or q.shape[-1] ** -0.5
        mask = (kwargs or {}).get("attn_mask")
        weights = (q @ k.transpose(-2, -1) * scale + (0 if mask is None else mask)).softmax(-1)
        self.left -= 1
        return (weights + self.nudge if self.left == -1 else weights) @ v


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_gradients_equal_finite_differences(family):
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], LogitDifference(1, 4))
    seen = question.attention_gradients
    assert len(seen.layers) == 2
    for call, layer in enumerate(seen.layers):
        gradient = layer.rows()
        direction = torch.randn(gradient.shape, dtype=torch.float64)
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad(), Nudged(call, step * direction):
                logits = module(x)[0]
            ends.append(logits[1] - logits[4])
        expected = (ends[0] - ends[1]) / 2e-5
        assert abs(expected) > 1e-6
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_watched_attention_leaves_the_answer_and_the_model_alone(family):
    module, x, _ = build(family)
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]
    with torch.no_grad():
        before = module(x)
    with watched_attention(module) as watched:
        answer = module(x)
    torch.testing.assert_close(answer.detach(), before, atol=1e-4, rtol=1e-4)
    assert watched and all(one.result.requires_grad for one in watched)
    assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    with pytest.raises(RuntimeError, match="on purpose"), watched_attention(module):
        raise RuntimeError("on purpose")
    with torch.no_grad():
        assert torch.equal(module(x), before)
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]


def test_weights_too_many_to_hold_are_refused_before_there_are_more(monkeypatch):
    model, pixels = subject("explicit"), picture()
    both_layers = 2 * model.module.blocks[0].attn.A.nbytes
    monkeypatch.setattr("vitviz.capture.gradients.LARGEST", both_layers)
    with watched_attention(model.module):
        model.module(pixels[None])
    monkeypatch.setattr("vitviz.capture.gradients.LARGEST", both_layers - 1)
    with pytest.raises(UnsupportedError, match="those of 8 tokens need more"), watched_attention(model.module):
        model.module(pixels[None])


def test_gradients_of_nothing_are_an_error():
    with pytest.raises(CaptureError, match="No attention"):
        gradients_of(torch.tensor(1.0), [])


def test_gradients_are_those_through_the_computation_by_hand(spelled):
    spelling, module = spelled
    x, hand = written.picture(), written.ByHand(module, spelling.mixes)
    expected = torch.autograd.grad(hand(x)[0, 2], hand.weights)
    for frozen in (False, True):
        module.requires_grad_(not frozen)
        question = Question(BareModel(module, written.LAYOUT), x[0], ClassLogit(2))
        layers = question.attention_gradients.layers
        for layer, gradient in zip(layers, expected, strict=True):
            torch.testing.assert_close(
                layer.rows(), gradient, atol=1e-6 if "casts" in spelling.between else 1e-10, rtol=1e-5
            )
    module.requires_grad_(True)
