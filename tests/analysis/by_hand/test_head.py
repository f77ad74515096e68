"""One head by hand: against the models' own unfused path and head outputs, and against numbers worked out on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import ParallelScalingBlock
from torch import nn

from tests.capture.families import FAMILIES, SMALL, Family, build, explicit_weights
from vitviz.analysis.by_hand import at_temperature, embedded_token, head_by_hand, open_layer
from vitviz.analysis.by_hand.steps import rotated
from vitviz.analysis.question import BareModel
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout


def traced(module, x, layout) -> Trace:
    recorded = record(module, x, layout)
    return Trace("model", x[0], layout, recorded.layers, recorded.logits)


@pytest.fixture(params=FAMILIES, ids=str, scope="module")
def case(request):
    family: Family = request.param
    module, x, layout = build(family)
    trace = traced(module, x, layout)
    model = BareModel(module, layout)
    return family, model, trace, [open_layer(model, trace, layer) for layer in range(2)]


def head_outputs(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """[(tokens, heads * value_dim)] of every block, from the modules' own path: what the norm over heads, or W_o, is given."""
    found: list[torch.Tensor] = []
    parts = [getattr(block.attn, "norm", block.attn.proj) for block in module.blocks]
    handles = [part.register_forward_pre_hook(lambda _m, inputs: found.append(inputs[0][0])) for part in parts]
    try:
        with torch.inference_mode():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def test_weights_equal_the_models_own_unfused_path(case):
    _, model, trace, opened = case
    for layer, own in enumerate(explicit_weights(model.module, trace.input[None])):
        for head in range(3):
            for query in range(0, trace.layout.num_tokens, 3):
                hand = head_by_hand(opened[layer], head, query)
                np.testing.assert_allclose(hand.weights, own[head, query].numpy(), atol=1e-5, rtol=0)
                assert hand.weights_off < 1e-5


def test_output_is_the_heads_own_before_the_output_projection(case):
    _, model, trace, opened = case
    for layer, own in enumerate(head_outputs(model.module, trace.input[None])):
        for head in range(3):
            for query in (0, trace.layout.num_tokens - 1):
                hand = head_by_hand(opened[layer], head, query)
                size = hand.output.size
                np.testing.assert_allclose(hand.output, own[query, head * size : (head + 1) * size].numpy(), atol=1e-5)


def test_what_all_heads_add_is_what_the_token_gains(case):
    """Against the model's own residual stream before its MLP; W_o's bias belongs to no head and is added here."""
    _, model, trace, opened = case
    block, token, states = model.module.blocks[1], trace.layout.num_tokens - 1, []
    listening = block.norm2.register_forward_pre_hook(lambda _module, inputs: states.append(inputs[0][0, token]))
    with torch.inference_mode():
        model.module(trace.input[None])
    listening.remove()
    hands = [head_by_hand(opened[1], head, token) for head in range(3)]
    bias = block.attn.proj.bias.double().numpy()
    added = sum(hand.added for hand in hands) + (bias if hands[0].scale is None else bias * hands[0].scale)
    gained = states[0].double().numpy() - opened[1].residual[token].double().numpy()
    np.testing.assert_allclose(added, gained, atol=1e-4 * max(1.0, np.abs(gained).max()))


def test_every_step_follows_from_the_one_before(case):
    family, _, trace, opened = case
    token, other = trace.layout.num_tokens - 1, trace.layout.num_tokens - 2
    hand = head_by_hand(opened[1], 2, token, key=other)
    norm = hand.norm
    by_one = [
        (x - norm.mean) / norm.deviation * g + s for x, g, s in zip(hand.residual, norm.gain, norm.shift, strict=True)
    ]
    np.testing.assert_allclose(by_one, hand.given, atol=1e-5)
    for step in (hand.q, hand.k, hand.v):
        given = hand.given if step.token == token else opened[1].given[other].double().numpy()
        bias = np.zeros(hand.head_dim) if step.slice.bias is None else step.slice.bias
        sums = [
            sum(w * x for w, x in zip(row, given, strict=True)) + b
            for row, b in zip(step.slice.weight, bias, strict=True)
        ]
        np.testing.assert_allclose(step.plain, sums, atol=1e-9)
    assert (hand.q.norm is not None) == family.normed == (hand.k.norm is not None)
    assert (hand.q.rotation is not None) == family.rotary == hand.rotates
    assert (hand.bias is not None) == family.bias
    assert hand.v.norm is None and hand.v.rotation is None
    np.testing.assert_allclose(hand.k.result, hand.keys[other], atol=1e-12)
    np.testing.assert_allclose(hand.q.result, hand.queries[token], atol=1e-12)
    np.testing.assert_allclose(hand.v.result, hand.values[other], atol=1e-12)
    dot = sum(a * b for a, b in zip(hand.q.result, hand.k.result, strict=True))
    added = 0 if hand.bias is None else hand.bias[other]
    assert hand.scores[other] == pytest.approx(dot / hand.head_dim**0.5 + added)
    assert hand.weights[other] == pytest.approx(np.exp(hand.scores[other]) / np.exp(hand.scores).sum())
    assert hand.maximum == hand.scores.max() and hand.total == pytest.approx(hand.exps.sum())
    assert hand.weights.sum() == pytest.approx(1)


def test_entrance_adds_up_for_every_token(case):
    family, model, trace, opened = case
    for token in range(trace.layout.num_tokens):
        start = embedded_token(model, trace, opened[1], token)
        total = start.embedding if start.position is None else start.embedding + start.position
        np.testing.assert_allclose(total, opened[0].residual[token].numpy(), atol=1e-4)
        prefix = token < trace.layout.num_prefix
        assert (start.pixels is None) == prefix
        hybrid = "_r_s16" in family.architecture
        assert (start.filters is None) == (prefix or hybrid)
        if start.filters is not None:
            component = (start.filters[5] * start.pixels).sum() + start.filter_bias[5]
            assert component == pytest.approx(start.embedding[5], abs=1e-4)
    places = not family.rotary and not family.bias
    assert (start.position is not None) == (places or "eva02" in family.architecture)


def test_prefix_tokens_are_not_rotated_and_turning_keeps_lengths():
    family = next(each for each in FAMILIES if "dinov3" in each.architecture)
    module, x, layout = build(family)
    opened = open_layer(BareModel(module, layout), traced(module, x, layout), 0)
    hand = head_by_hand(opened, 1, "r3c5", key="reg2")
    turn = hand.q.rotation
    assert hand.rotates and turn is not None and hand.k.rotation is None
    assert np.linalg.norm(turn.result) == pytest.approx(np.linalg.norm(turn.given))
    assert np.abs(turn.result - turn.given).max() > 0.1
    np.testing.assert_allclose(turn.cos**2 + turn.sin**2, 1, atol=1e-6)


@pytest.mark.parametrize("half", [False, True])
def test_a_quarter_turn_on_paper(half):
    table = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])  # every sine 1, every cosine 0
    turn = rotated(np.array([1.0, 2, 3, 4]), table, half)
    assert turn.result.tolist() == ([-3, -4, 1, 2] if half else [-2, 1, -4, 3])


class Doubling(nn.Module):
    """Attention on two tokens of width 2 and one head, whose numbers fit on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.sharper = 1, 1.0
        self.qkv = nn.Linear(2, 6, bias=False)
        eye = torch.eye(2)
        self.qkv.weight.data = torch.cat([eye, 2 * eye, 3 * eye])
        self.proj = nn.Identity()

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(1, -1, 3, 1, 2).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q * self.sharper, k, v, scale=0.5)
        return self.proj(out.transpose(1, 2).reshape(1, -1, 2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = Doubling()

    def forward(self, x):
        return x + self.attn(x)


class Paper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block())
        self.tokens = torch.tensor([[[1.0, 0.0], [1.0, 2.0]]])

    def forward(self, x):
        return self.blocks(self.tokens)[:, 0]


def paper() -> tuple[BareModel, Trace]:
    module = Paper().eval().requires_grad_(False)
    layout = TokenLayout((), (1, 2), (4, 4))
    return BareModel(module, layout), traced(module, torch.zeros(1, 3, 4, 8), layout)


def test_known_answer():
    """Tokens (1, 0) and (1, 2); q = x, k = 2x, v = 3x, scores 0.5 q.k. For the second token: 0.5 (2, 10) = (1, 5)."""
    hand = head_by_hand(open_layer(*paper(), 0), 0, 1)
    assert hand.norm is None and hand.factor == 0.5 and hand.bias is None
    assert hand.dots.tolist() == [2, 10] and hand.scores.tolist() == [1, 5] and hand.maximum == 5
    assert hand.exps == pytest.approx([np.exp(-4), 1]) and hand.key == 1
    w = np.exp(-4) / (1 + np.exp(-4))
    assert hand.weights == pytest.approx([w, 1 - w])
    assert hand.output == pytest.approx([3, 6 * (1 - w)])


def test_attention_that_does_something_more_is_refused():
    model, trace = paper()
    model.module.blocks[0].attn.sharper = 2.0
    with pytest.raises(UnsupportedError, match="Layer 0 does more"):
        head_by_hand(open_layer(model, trace, 0), 0, 1)


def test_a_block_whose_attention_is_not_apart_is_refused():
    module = timm.create_model("vit_tiny_patch16_224", img_size=32, block_fn=ParallelScalingBlock, **SMALL).eval()
    x = torch.zeros(1, 3, 32, 32)
    trace = traced(module, x, layout_of(module, "vit_tiny_patch16_224", (32, 32)))
    with pytest.raises(UnsupportedError, match="attention module of its own"):
        open_layer(BareModel(module, trace.layout), trace, 0)


def test_a_block_that_normalises_afterwards_is_followed():
    name = "vit_relpos_base_patch32_plus_rpn_256"
    module = timm.create_model(name, img_size=64, **SMALL).eval()
    trace = traced(module, torch.randn(1, 3, 64, 64), layout_of(module, name, (64, 64)))
    hand = head_by_hand(open_layer(BareModel(module, trace.layout), trace, 1), 0, "r0c1")
    assert hand.norm is None and np.array_equal(hand.residual, hand.given)


def test_no_hook_stays_behind():
    model, trace = paper()
    open_layer(model, trace, 0)
    broken = RuntimeError("on purpose")

    def fail(*_):
        raise broken

    handle = model.module.blocks[0].attn.proj.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        open_layer(model, trace, 0)
    handle.remove()
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]
    assert not any(hooks)


def test_what_does_not_exist_is_said():
    model, trace = paper()
    opened = open_layer(model, trace, 0)
    with pytest.raises(IndexError, match="layer 1 does not exist"):
        open_layer(model, trace, 1)
    with pytest.raises(IndexError, match="head 1 does not exist"):
        head_by_hand(opened, 1, 0)
    with pytest.raises(UnsupportedError, match="cls"):
        head_by_hand(opened, 0, "cls")


def test_temperature():
    scores = np.log([1.0, 2.0, 5.0])
    assert at_temperature(scores, 1.0) == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert at_temperature(scores, 0.5) == pytest.approx([1 / 30, 4 / 30, 25 / 30])
    assert at_temperature(scores, 1e9) == pytest.approx([1 / 3] * 3)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            at_temperature(scores, wrong)


def test_strongest_keeps_the_class_token_and_prefix_tokens_that_matter():
    layout = TokenLayout(("cls", "reg0", "reg1"), (1, 4), (4, 4))
    weights = np.array([0.01, 0.5, 0.02, 0.1, 0.2, 0.03, 0.14])
    hand = replace(head_by_hand(open_layer(*paper(), 0), 0, 1), layout=layout, weights=weights)
    assert hand.strongest(2) == [1, 4, 6, 0]
    assert hand.strongest(4) == [1, 4, 6, 3, 5, 0]
    assert hand.strongest(100) == [1, 4, 6, 3, 5, 0]
