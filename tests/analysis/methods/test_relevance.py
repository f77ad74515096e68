"""Gradient methods against the arithmetic on paper, against finite differences, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.analysis.reference import LAYOUT, picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods.gradcam import gradcam
from vitviz.analysis.methods.gradient_rollout import gradient_rollout, gradient_rollout_row
from vitviz.analysis.methods.integrated_gradients import integrated_gradients
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.methods.occlusion import occlusion, windows
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference, SelfDot, default_target
from vitviz.capture.attention import Attention
from vitviz.capture.gradients import WeightGradient, gradients_of, watched_attention
from vitviz.errors import CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout

CLASS = 2


@pytest.fixture(params=["fused", "folded", "explicit"])
def by_hand(request):
    model = subject(request.param)
    return model, picture(), model.module.head[CLASS]


def on_patches(row) -> torch.Tensor:
    return LAYOUT.patches(row).float()


def close(heatmap, expected, atol=1e-5):
    torch.testing.assert_close(torch.from_numpy(heatmap.values.copy()), expected.float(), atol=atol, rtol=1e-5)


def test_gradients_on_attention_are_those_on_paper(by_hand):
    model, pixels, w = by_hand
    seen = Question(model, pixels, ClassLogit(CLASS)).attention_gradients
    for layer, block, expected in zip(seen.layers, model.module.blocks, model.module.gradients(pixels, w), strict=True):
        torch.testing.assert_close(layer.attention.weights(), block.attn.A)
        torch.testing.assert_close(layer.rows(), expected)


def test_generic_relevance_is_the_product_on_paper(by_hand):
    model, pixels, w = by_hand
    eye = torch.eye(LAYOUT.num_tokens, dtype=torch.float64)
    R = eye
    for block, G in zip(model.module.blocks, model.module.gradients(pixels, w), strict=True):
        R = R + (G * block.attn.A).clamp_min(0).mean(0) @ R
    close(generic_relevance(Question(model, pixels, ClassLogit(CLASS))), on_patches(R[0]))


def test_gradient_rollout_is_the_product_on_paper(by_hand):
    model, pixels, w = by_hand
    R = eye = torch.eye(LAYOUT.num_tokens, dtype=torch.float64)
    for block, G in zip(model.module.blocks, model.module.gradients(pixels, w), strict=True):
        X = (G * block.attn.A).clamp_min(0).mean(0)
        for row in range(len(X)):  # in the last layer all rows but the class token's are zero
            X[row] = X[row] / X[row].sum() if X[row].sum() > 0 else eye[row]
        R = (0.5 * eye + 0.5 * X) @ R
    heatmap = gradient_rollout(Question(model, pixels, ClassLogit(CLASS)))
    close(heatmap, on_patches(R[0]))


def test_a_zero_row_becomes_the_identitys():
    two = TokenLayout((), (1, 2), (1, 1))
    weights = Attention("attn", two, two, explicit=torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]))
    for zero in (0.0, -1.0):  # no gradient at all, and one that only speaks against: both leave nothing
        layer = WeightGradient(weights, torch.tensor([[[0.0, 2.0], [zero, zero]]]))
        torch.testing.assert_close(gradient_rollout_row([layer], torch.tensor([0.5, 0.5])), torch.tensor([0.25, 0.75]))


def test_nothing_accumulates_over_calls(by_hand):
    model, pixels, _ = by_hand
    first = generic_relevance(Question(model, pixels, ClassLogit(CLASS)))
    generic_relevance(Question(model, pixels, ClassLogit(0)))
    again = generic_relevance(Question(model, pixels, ClassLogit(CLASS)))
    assert (first.values == again.values).all()


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


def test_gradcam_is_the_sum_on_paper(by_hand):
    model, pixels, w = by_hand
    _, x1, _ = model.module.states(pixels)
    patches = slice(LAYOUT.num_prefix, None)
    channel_weights = (model.module.mixing(1)[0, patches, None] * w).mean(0)
    heatmap = gradcam(Question(model, pixels, ClassLogit(CLASS)))
    close(heatmap, on_patches((x1[patches] @ channel_weights).clamp_min(0)))
    assert heatmap.values.max() > 0


def test_integrated_gradients_of_a_linear_model_are_its_contributions(by_hand):
    model, pixels, w = by_hand
    heatmap = integrated_gradients(Question(model, pixels, ClassLogit(CLASS)), steps=3)
    close(heatmap, on_patches(model.module.contributions(pixels, w)))
    assert heatmap.signed


def test_occlusion_of_a_linear_model_is_the_mean_over_windows(by_hand):
    model, pixels, w = by_hand
    parts = model.module.contributions(pixels, w)
    for stride in (1, 2, 3):
        covers = torch.from_numpy(windows(LAYOUT, 3, stride)).double()
        expected = ((covers @ parts)[:, None] * covers).sum(0) / covers.sum(0)
        for batch in (1, 4):
            close(
                occlusion(Question(model, pixels, ClassLogit(CLASS)), stride=stride, batch=batch), on_patches(expected)
            )


@pytest.mark.parametrize("grid", [(1, 1), (2, 7), (16, 16), (5, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_cover_every_patch(grid, stride):
    covers = windows(TokenLayout((), grid, (1, 1)), 3, stride)
    assert covers.any(0).all()
    assert (covers.sum(1) <= 9).all()


def test_gaps_between_windows_are_refused():
    with pytest.raises(ValueError, match="leave gaps"):
        windows(LAYOUT, 3, 4)


def test_scalar_methods_are_antisymmetric_and_relu_methods_are_not():
    model, pixels = subject(), picture()
    one, other = Question(model, pixels, LogitDifference(0, 3)), Question(model, pixels, LogitDifference(3, 0))
    assert one.score() == pytest.approx(-other.score())
    assert one.likelihood() == pytest.approx(1 - other.likelihood())
    for method in (integrated_gradients, occlusion):
        assert abs(method(one).values + method(other).values).max() < 1e-6
    for method in (generic_relevance, gradient_rollout, legrad, gradcam):
        assert abs(method(one).values + method(other).values).max() > 1e-3, method.__name__


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


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_every_kind_of_model_gets_maps_that_are_not_empty(family):
    module, x, layout = build(family)
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    for method in (generic_relevance, gradient_rollout, legrad, gradcam, integrated_gradients, occlusion):
        values = method(question).values
        assert values.shape == family.grid, method.__name__
        assert abs(values).max() > 0, method.__name__


def test_a_class_token_model_has_no_gradient_at_its_last_blocks_output():
    """Why Grad-CAM looks in front of the last attention and not behind it."""
    module, x, layout = build(FAMILIES[0])
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    last = question.hidden_states.states[-1].clone().requires_grad_()
    with torch.enable_grad():
        question.blocks.read(last).logits[0, 3].backward()
    assert last.grad[0, layout.num_prefix :].abs().max() == 0


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[4]], ids=str)
def test_shares_of_integrated_gradients_add_up(family):
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    with torch.no_grad():
        difference = float(module(x)[0, 3] - module(flat)[0, 3])
    total = integrated_gradients(question, steps=300, batch=50).values.sum()
    assert total == pytest.approx(difference, rel=0.05, abs=0.05)


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


def test_weights_too_many_to_hold_are_refused_before_there_are_more(monkeypatch):
    model, pixels = subject("explicit"), picture()
    both_layers = 2 * model.module.blocks[0].attn.A.nbytes
    monkeypatch.setattr("vitviz.capture.gradients.LARGEST", both_layers)
    with watched_attention(model.module):
        model.module(pixels[None])
    monkeypatch.setattr("vitviz.capture.gradients.LARGEST", both_layers - 1)
    with pytest.raises(UnsupportedError, match="those of 8 tokens need more"), watched_attention(model.module):
        model.module(pixels[None])


@pytest.mark.parametrize("method", [generic_relevance, gradient_rollout, legrad])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_chunks_give_what_whole_matrices_give(monkeypatch, family, method):
    module, x, layout = build(family)
    whole = method(Question(BareModel(module, layout), x[0], ClassLogit(3))).values
    monkeypatch.setattr("vitviz.capture.attention.Attention.fewest_queries", 3)
    monkeypatch.setattr("vitviz.capture.attention.CHUNK_ENTRIES", 1)
    question = Question(BareModel(module, layout), x[0], ClassLogit(3))
    sizes = {len(chunk) for layer in question.attention_gradients.layers for chunk in layer.query_chunks()}
    assert max(sizes) == 3
    np.testing.assert_allclose(method(question).values, whole, rtol=1e-4, atol=1e-6 * abs(whole).max())


def test_gradients_of_nothing_are_an_error():
    with pytest.raises(CaptureError, match="No attention"):
        gradients_of(torch.tensor(1.0), [])
