"""Attention in every way of writing it that is claimed: captured and counted as by hand, or refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.capture import test_ablation, test_gradients
from tests.capture.written import (
    DIM,
    HEADS,
    LAYOUT,
    SIZE,
    TOKENS,
    Attention,
    ByHand,
    Convolution,
    Own,
    Spelling,
    Written,
    picture,
    redrawn,
    written,
)
from vitviz.analysis.interventions import CutTokens, SwitchOffHeads, intervene
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.bias import score_biases
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.cost import pass_cost
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of


def test_weights_and_logits_are_those_by_hand(spelled):
    spelling, module = spelled
    x, hand = picture(), ByHand(module, spelling.mixes)
    expected = hand(x)
    recording = record(module, x, LAYOUT, keep_values=True)
    assert [layer.name for layer in recording.layers] == ["blocks.0.attn", "blocks.1.attn"]
    for layer, weights in zip(recording.layers, hand.weights, strict=True):
        tolerance = 1e-6 if spelling.between == "two casts" else 1e-10
        torch.testing.assert_close(layer.weights(), weights.detach(), atol=tolerance, rtol=0)
        assert layer.v.shape == (HEADS, TOKENS, DIM)
        assert layer.rows_sum_to_one != spelling.mixes
    torch.testing.assert_close(recording.logits, expected[0].float(), atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        assert torch.equal(recording.logits, module(x)[0].float())


def test_every_query_is_at_its_patch(spelled):
    _, module = spelled
    assert layout_of(module, "written", SIZE) == LAYOUT
    for placement in placements_of(module, SIZE):
        assert (placement.kind, placement.query_layout, placement.in_order) == ("global", LAYOUT, True)
    staged, recorded = record(module, picture(), None), record(module, picture(), LAYOUT)
    for one, other in zip(staged.layers, recorded.layers, strict=True):
        assert torch.equal(one.weights(), other.weights())


def test_calls_are_counted_and_the_bias_is_found(spelled):
    _, module = spelled
    work = pass_cost(module, SIZE)
    assert [shape[-3:] for shape in work.shapes] == [(HEADS, TOKENS, TOKENS)] * 2  # some fold the batch into the heads
    biases = score_biases(module, SIZE)
    assert list(biases) == ["blocks.0.attn", "blocks.1.attn"]
    for name, bias in biases.items():
        own = module.get_submodule(name).bias.detach()
        torch.testing.assert_close(bias - bias.mean(-1, keepdim=True), own - own.mean(-1, keepdim=True))


def heads_before_keys(q, k, v, bias):
    """Weights (batch, queries, heads, keys)."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    scores = torch.einsum("bqhd,bkhd->bqhk", q, k) + bias.transpose(0, 1)
    return torch.einsum("bqhk,bkhd->bqhd", scores.softmax(-1), v).transpose(1, 2)


def heads_behind_keys(q, k, v, bias):
    """Weights (batch, queries, keys, heads), normalised over their third axis."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    scores = torch.einsum("bqhd,bkhd->bqkh", q, k) + bias.permute(1, 2, 0)
    return torch.einsum("bqkh,bkhd->bqhd", scores.softmax(2), v).transpose(1, 2)


class Softmax(nn.Module):
    def forward(self, scores):
        return scores.softmax(-1)


class Apply(nn.Module):
    def forward(self, weights, v):
        return torch.einsum("bhij,bhjd->bhid", weights, v)


class InModules(Attention):
    """Every step is a module of its own."""

    def __init__(self):
        super().__init__(self.steps)
        self.softmax, self.apply_weights = Softmax(), Apply()

    def steps(self, q, k, v, bias):
        return self.apply_weights(self.softmax(q @ k.mT + bias), v)


@pytest.mark.parametrize(
    "attention",
    [lambda: Attention(heads_before_keys), lambda: Attention(heads_behind_keys), InModules],
    ids=["heads before keys", "heads behind keys", "steps in modules"],
)
def test_any_order_of_axes_and_steps_in_modules_of_their_own(attention):
    module = redrawn(Written(attention(), attention()))
    spelled = Spelling(), module
    test_weights_and_logits_are_those_by_hand(spelled)
    test_every_query_is_at_its_patch(spelled)
    test_gradients.test_gradients_are_those_through_the_computation_by_hand(spelled)
    test_ablation.test_heads_off_and_tokens_left_out_are_as_by_hand(spelled, ((0, 1), (1, 0)), (2, 5))


def test_heads_that_share_their_values_have_them_each():
    def shared(q, k, v, bias):
        return (q @ k[:, :1].mT + bias).softmax(-1) @ v[:, :1]

    (layer,) = record(redrawn(Written(Attention(shared))), picture(), LAYOUT, keep_values=True).layers
    assert layer.v.shape == (HEADS, TOKENS, DIM)
    assert torch.equal(layer.v[0], layer.v[1])


@pytest.mark.parametrize("distance", [True, False], ids=["cdist", "cosine"])
def test_scores_that_are_no_product_of_matrices(distance):
    def attend(q, k, v, bias):
        near = -torch.cdist(q, k) if distance else F.cosine_similarity(q[:, :, :, None], k[:, :, None], dim=-1)
        e = (bias + near).exp()
        return e / e.sum(-1, keepdim=True) @ v

    module = redrawn(Written(Attention(attend)))
    own = module.blocks[0].attn
    q, k, _ = (part[0] for part in own.heads(module.blocks[0].norm1(module.patch_embed(picture()).flatten(2).mT)))
    if distance:
        near = -((q[:, :, None] - k[:, None]) ** 2).sum(-1).sqrt()
    else:
        near = (q @ k.mT) / q.norm(dim=-1)[:, :, None] / k.norm(dim=-1)[:, None]
    (layer,) = record(module, picture(), LAYOUT).layers
    torch.testing.assert_close(layer.weights(), (own.bias + near).softmax(-1).detach())


def late(q, k, v, bias):
    e = (q @ k.mT + bias).exp()
    return (e @ v) / e.sum(-1, keepdim=True)


def gated(q, k, v, bias):
    return (q @ k.mT + bias).sigmoid() @ v


def sparse(q, k, v, bias):
    scores = q @ k.mT + bias
    ordered, _ = scores.sort(-1, descending=True)
    steps = torch.arange(1, TOKENS + 1, device=scores.device)
    total = ordered.cumsum(-1) - 1
    size = (ordered * steps > total).sum(-1, keepdim=True)
    return (scores - total.gather(-1, size - 1) / size).clamp_min(0) @ v


def largest(q, k, v, bias):
    best = (q @ k.mT + bias).topk(3, -1)
    picked = torch.take_along_dim(v[:, :, None], best.indices[..., None], 3)  # (batch, heads, queries, 3, head_dim)
    return (best.values.softmax(-1)[..., None] * picked).sum(-2)


def one_by_one(q, k, v, bias):
    weights = (q @ k.mT + bias).softmax(-1)
    return sum(weights[..., key : key + 1] * v[..., key : key + 1, :] for key in range(TOKENS))


def head_by_head(q, k, v, bias):
    weights = (q @ k.mT + bias).softmax(-1)
    return torch.stack([weights[:, head] @ v[:, head] for head in range(HEADS)], 1)


def unused(q, k, v, bias):
    (q @ k.mT + bias).softmax(-1)
    return v


def softmin(q, k, v, bias):
    return F.softmin(q @ k.mT + bias, -1) @ v


def always_dropping(q, k, v, bias):
    return F.dropout((q @ k.mT + bias).softmax(-1), 0.1) @ v


def always_dropping_fused(q, k, v, bias):
    return F.scaled_dot_product_attention(q, k, v, bias, dropout_p=0.1)


UNFOLLOWED = [
    late,
    gated,
    sparse,
    largest,
    one_by_one,
    head_by_head,
    unused,
    softmin,
    always_dropping,
    always_dropping_fused,
]


@pytest.mark.parametrize("attend", UNFOLLOWED, ids=lambda attend: attend.__name__)
def test_one_layer_that_cannot_be_followed_is_refused_by_name(attend):
    plain = written(Spelling())
    module = redrawn(Written(Attention(plain), Attention(attend), Attention(plain)))
    x, model = picture(), BareModel(module, LAYOUT)
    for asked in (lambda: record(module, x, LAYOUT), lambda: record(module, x, None)):
        with pytest.raises(UnsupportedError, match=r"blocks\.1"):
            asked()
    with (
        pytest.raises(UnsupportedError, match=r"layer 1|blocks\.1"),
        intervene(model, SwitchOffHeads(((1, 0),))) as changed,
        torch.no_grad(),
    ):
        changed.module(x)
    assert torch._C._len_torch_function_stack() == 0
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


class Nothing(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize("other", [Convolution, Nothing])
def test_blocks_that_mix_by_convolution_or_not_at_all_do_not_count(other):
    module = redrawn(Written(other(), Attention(written(Spelling())), other()))
    assert [layer.name for layer in record(module, picture(), LAYOUT).layers] == ["blocks.1.attn"]


def test_another_class_of_attention_in_a_block_of_the_same_class_is_refused():
    module = redrawn(Written(Attention(written(Spelling())), Own()))
    with pytest.raises(UnsupportedError, match=r"No attention was recognised in 'blocks\.1' \(Block\)"):
        record(module, picture(), LAYOUT)


def test_softmax_one_and_a_sink_are_weights_as_used():
    def one(q, k, v, bias):
        e = (q @ k.mT + bias).exp()
        return e / (1 + e.sum(-1, keepdim=True)) @ v

    def sink(q, k, v, bias):
        scores = q @ k.mT + bias
        return torch.cat([scores, torch.zeros_like(scores[..., :1])], -1).softmax(-1)[..., :-1] @ v

    recorded = [record(redrawn(Written(Attention(attend))), picture(), LAYOUT).layers[0] for attend in (one, sink)]
    own = redrawn(Written(Attention(one)))
    q, k, _ = own.blocks[0].attn.heads(own.blocks[0].norm1(own.patch_embed(picture()).flatten(2).mT))
    e = (q[0] @ k[0].mT + own.blocks[0].attn.bias).exp().detach()
    for layer in recorded:
        torch.testing.assert_close(layer.weights(), e / (1 + e.sum(-1, keepdim=True)))
        assert not layer.rows_sum_to_one


def test_weights_multiplied_with_two_sets_of_values_are_one_layer():
    def twice(q, k, v, bias):
        weights = (q @ k.mT + bias).softmax(-1)
        return weights @ v + weights @ (2 * v)

    def once(q, k, v, bias):
        return (q @ k.mT + bias).softmax(-1) @ (3 * v)

    x, double, single = picture(), redrawn(Written(Attention(twice))), redrawn(Written(Attention(once)))
    assert len(record(double, x, LAYOUT).layers) == 1
    asked = [Question(BareModel(m.requires_grad_(False), LAYOUT), x[0], ClassLogit(1)) for m in (double, single)]
    one, other = (question.attention_gradients.layers[0].rows() for question in asked)
    torch.testing.assert_close(one, other)
    for change in (SwitchOffHeads(((0, 1),)), CutTokens((2,))):
        answers = []
        for module in (double, single):
            with intervene(BareModel(module, LAYOUT), change) as changed, torch.no_grad():
                answers.append(changed.module(x))
        torch.testing.assert_close(*answers)


def test_maps_that_are_subtracted_before_their_product_are_refused():
    def difference(q, k, v, bias):
        return ((q @ k.mT + bias).softmax(-1) - 0.5 * (k @ q.mT).softmax(-1)) @ v

    with pytest.raises(UnsupportedError, match="subtracts"):
        record(redrawn(Written(Attention(difference))), picture(), LAYOUT)


def test_queries_in_parts_are_not_taken_for_pooling():
    def chunks(q, k, v, bias):
        parts = zip(q.split(3, 2), bias.split(3, 1), strict=True)
        return torch.cat([(part @ k.mT + own).softmax(-1) @ v for part, own in parts], 2)

    found = record(redrawn(Written(Attention(chunks))), picture(), LAYOUT)
    assert not found.pooling and "some patches at a time" in found.not_sequential


class Head(nn.Module):
    """A head in a module of its own, of `width` numbers a token."""

    def __init__(self, width: int, fused: bool = False) -> None:
        super().__init__()
        self.qkv = nn.Linear(HEADS * DIM, 3 * width)
        self.fused = fused

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v) if self.fused else (q @ k.mT).softmax(-1) @ v


class Several(nn.Module):
    """Heads side by side on one input, or one after the other on what the head before made of it."""

    def __init__(self, joined: str, fused: bool = False) -> None:
        super().__init__()
        width = DIM if joined == "side by side" else HEADS * DIM
        self.heads, self.joined = nn.ModuleList(Head(width, fused) for _ in range(HEADS)), joined

    def forward(self, x):
        if self.joined == "side by side":
            return torch.cat([head(x) for head in self.heads], -1)
        x = x.clone()
        for head in self.heads:
            if self.joined == "in place":
                x += head(x)
            else:
                x = x + head(x)
        return x


def _one_head_at_a_time(q, k, v, bias):
    heads = [(q[:, h] @ k[:, h].mT + bias[h]).softmax(-1) @ v[:, h] for h in range(HEADS)]
    return torch.stack(heads, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Several("side by side"),
        lambda: Several("side by side", fused=True),
        lambda: Attention(_one_head_at_a_time),
    ],
)
def test_heads_computed_one_by_one_are_no_layers_one_after_the_other(make):
    module = redrawn(Written(make(), make()))
    question = Question(BareModel(module, LAYOUT), picture()[0], ClassLogit(2))
    for ask in (lambda: question.trace, lambda: question.attention_gradients):
        with pytest.raises(UnsupportedError, match=r"'blocks\.0\.attn.*several calls on the same input"):
            ask()
    found = record(module, picture(), LAYOUT)
    assert found.not_sequential and sum(layer.num_heads for layer in found.layers) == 2 * HEADS


@pytest.mark.parametrize("joined", ["one after the other", "in place"])
def test_calls_that_work_on_what_the_one_before_gave_are_layers(joined):
    module = redrawn(Written(Several(joined)))
    assert [layer.name for layer in record(module, picture(), LAYOUT).layers] == [
        "blocks.0.attn.heads.0",
        "blocks.0.attn.heads.1",
    ]
