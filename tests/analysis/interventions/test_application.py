"""Interventions against the same edit made by hand: to the pixels, to the weights, or to the sequence."""

from __future__ import annotations

import copy
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import vitviz
from tests.capture.families import FAMILIES, Family, build
from vitviz.analysis import interventions as package
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
    base,
    effect,
    head_means,
    intervene,
    text,
)
from vitviz.analysis.interventions.shuffle_patches import permutation
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.ui.pages.what_if.interventions import sentence

PLAIN = FAMILIES[0]
REGISTERS = next(f for f in FAMILIES if "reg4_dinov2" in f.architecture)
SIGLIP = next(f for f in FAMILIES if "siglip" in f.architecture)
POSITIONED = [PLAIN, REGISTERS, SIGLIP, next(f for f in FAMILIES if "deit3" in f.architecture)]
AVERAGING = Family(
    "vit_tiny_patch16_224",
    (),
    (4, 6),
    arguments={"embed_dim": 48, "depth": 2, "num_heads": 3, "class_token": False, "global_pool": "avg"},
)


def made(family, double: bool = True):
    module, x, layout = build(family)
    return BareModel(module.double() if double else module, layout, str(family)), x.double() if double else x


def answer(model, x, *interventions, **kwargs) -> torch.Tensor:
    with intervene(model, *interventions, **kwargs) as changed, torch.no_grad():
        return changed.module(x)


def plainly(module, x) -> torch.Tensor:
    with torch.no_grad():
        return module(x)


def far(one, other) -> bool:
    return bool((one - other).abs().max() > 1e-4)


def by_loop(x, layout):
    """(row, col, pixel slices) of every patch."""
    high, wide = x.shape[-2] // layout.grid[0], x.shape[-1] // layout.grid[1]
    for row in range(layout.grid[0]):
        for col in range(layout.grid[1]):
            yield slice(row * high, (row + 1) * high), slice(col * wide, (col + 1) * wide)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_hidden_patches_have_the_mean_colour(family):
    model, x = made(family)
    edited = x.clone()
    for index, (rows, cols) in enumerate(by_loop(x, model.layout)):
        if index in (1, 4):
            edited[:, :, rows, cols] = x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(answer(model, x, HidePatches((1, 4))), plainly(model.module, edited))


def test_blurred_patches_keep_their_colour_and_lose_their_detail():
    model, x = made(PLAIN)
    seen = []
    handle = model.module.patch_embed.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    answer(model, x, HidePatches((8,), "blur"))
    handle.remove()
    inside = torch.zeros_like(x, dtype=torch.bool)
    inside[:, :, 16:32, 32:48] = True
    assert torch.equal(seen[0][~inside], x[~inside])
    assert seen[0][inside].std() < 0.2 * x[inside].std()


def test_a_batch_is_hidden_image_by_image():
    model, x = made(PLAIN)
    other = 2 * x + 1
    both = answer(model, torch.cat([x, other]), HidePatches((3,)))
    torch.testing.assert_close(both[1:], answer(model, other, HidePatches((3,))))


@pytest.mark.parametrize(
    "family", [PLAIN, SIGLIP, AVERAGING, REGISTERS, *[f for f in FAMILIES if "relpos_small" in f.architecture]], ids=str
)
def test_shuffled_patches_changed_places(family):
    model, x = made(family)
    order = permutation(model.layout, 7)
    places = list(by_loop(x, model.layout))
    edited = x.clone()
    for place, source in enumerate(order):
        edited[:, :, *places[place]] = x[:, :, *places[source]]
    assert far(edited, x)
    torch.testing.assert_close(answer(model, x, ShufflePatches(7)), plainly(model.module, edited))


@pytest.mark.parametrize("family", POSITIONED, ids=str)
@pytest.mark.parametrize("how", ["zero", "shuffle"])
def test_changed_positions_are_changed_weights(family, how):
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    order = permutation(model.layout, 3)
    skip = edited.pos_embed.shape[1] - model.layout.num_patches  # prefix rows, where the embedding has them
    rows = edited.pos_embed.data[:, skip:]
    edited.pos_embed.data[:, skip:] = 0 if how == "zero" else rows[:, order].clone()
    changed = answer(model, x, ChangePositions(how, 3))
    torch.testing.assert_close(changed, plainly(edited, x))
    assert far(changed, plainly(model.module, x))


@pytest.mark.parametrize("family", POSITIONED, ids=str)
@pytest.mark.parametrize("nested", [False, True], ids=["together", "nested"])
@pytest.mark.parametrize(
    "changes", [("zero", "shuffle"), ("shuffle", "zero"), ("shuffle", "shuffle"), ("zero", "zero")], ids="-".join
)
def test_positions_changed_twice_are_changed_one_after_the_other(family, changes, nested):
    """Zero and then shuffled is zero, which is no reason to say that the model adds no positions."""
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    skip = edited.pos_embed.shape[1] - model.layout.num_patches
    items = [ChangePositions(how, seed) for seed, how in enumerate(changes, start=3)]
    for item in items:
        rows = edited.pos_embed.data[:, skip:]
        order = permutation(model.layout, item.seed)
        edited.pos_embed.data[:, skip:] = 0 if item.how == "zero" else rows[:, order].clone()
    if nested:
        with intervene(model, items[0]):
            changed = answer(model, x, items[1])
    else:
        changed = answer(model, x, *items)
    torch.testing.assert_close(changed, plainly(edited, x))


def test_positions_inside_attention_cannot_be_changed():
    model, x = made(next(f for f in FAMILIES if f.rotary))
    with pytest.raises(UnsupportedError, match="adds no position embedding"):
        answer(model, x, ChangePositions("zero"))


def without_columns(module, heads):
    """The output projection without the columns that these heads write through."""
    edited = copy.deepcopy(module)
    for layer, head in heads:
        attention = edited.blocks[layer].attn
        size = attention.proj.in_features // attention.num_heads
        attention.proj.weight.data[:, head * size : (head + 1) * size] = 0
    return edited


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "explicit"])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_heads_switched_off_are_columns_of_the_projection_at_zero(family, fused):
    model, x = made(family)
    for block in model.module.blocks:
        block.attn.fused_attn = fused
    heads = ((0, 1), (1, 0), (1, 2))
    changed = answer(model, x, SwitchOffHeads(heads))
    torch.testing.assert_close(changed, plainly(without_columns(model.module, heads), x))
    assert far(changed, plainly(model.module, x))


def test_a_head_at_its_mean_is_a_constant_in_the_projections_bias():
    model, x = made(AVERAGING)
    other = torch.randn_like(x)
    means = head_means(model, [x[0], other[0]])
    outputs = []
    for image in (x, other):  # the mean by another way: the heads' outputs as the projection is given them
        attention = model.module.blocks[1].attn
        handle = attention.proj.register_forward_pre_hook(lambda _m, args: outputs.append(args[0][0]))
        plainly(model.module, image)
        handle.remove()
    size = 16
    constant = torch.stack(outputs).mean((0, 1))[2 * size : 3 * size]  # head 2 of layer 1
    torch.testing.assert_close(means.layers[1][2, 0], constant.float())
    edited = without_columns(model.module, ((1, 2),))
    projection = model.module.blocks[1].attn.proj.weight
    edited.blocks[1].attn.proj.bias.data += projection[:, 2 * size : 3 * size] @ means.layers[1][2, 0].double()
    changed = answer(model, x, SwitchOffHeads(((1, 2),), "mean"), head_means=means)
    torch.testing.assert_close(changed, plainly(edited, x))
    assert means.images == 2
    assert means.digest != head_means(model, [x[0]]).digest


def test_prefix_tokens_have_head_means_of_their_own():
    model, x = made(REGISTERS)
    means = head_means(model, [x[0]])
    assert means.layers[0].shape == (3, 6, 16)
    filled = means.fill(0, model.layout)
    assert filled.shape == (3, model.layout.num_tokens, 16)
    assert torch.equal(filled[:, :5], means.layers[0][:, :5])
    assert far(means.layers[0][:, 0], means.layers[0][:, -1])


class HandOn(nn.Module):
    def forward(self, x, *_args, **_kwargs):
        return x


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_layers_switched_off_hand_on_what_they_get(family):
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    edited.blocks[1] = HandOn()
    torch.testing.assert_close(answer(model, x, SwitchOffLayers((1,))), plainly(edited, x))


def columns_removed(module, x, tokens, layers):
    """The same cut in another way: weights after the softmax, their columns at zero and their rows rescaled."""
    module = copy.deepcopy(module)
    for layer, block in enumerate(module.blocks):
        block.attn.fused_attn = False
        if layer in layers:

            def cut(_module, _args, weights):
                weights = weights.clone()
                weights[..., tokens] = 0
                return weights / weights.sum(-1, keepdim=True)

            block.attn.attn_drop.register_forward_hook(cut)
    return plainly(module, x)


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


def run_without_rows(model, x, removed):
    """Patches really taken out of the sequence behind the position embedding, in timm's own steps."""
    module = model.module
    with torch.no_grad():
        tokens = module.norm_pre(module._pos_embed(module.patch_embed(x)))
        kept = [t for t in range(model.layout.num_tokens) if t - model.layout.num_prefix not in removed]
        tokens = tokens[:, kept]
        for block in module.blocks:
            tokens = block(tokens)
        return module.forward_head(module.norm(tokens))


@pytest.mark.parametrize("family", [PLAIN, REGISTERS, SIGLIP, AVERAGING, FAMILIES[2]], ids=str)
def test_a_removed_patch_is_gone_from_the_sequence(family):
    model, x = made(family)
    removed = (0, 7, 8, 23)
    changed = answer(model, x, HidePatches(removed, "removed"))
    torch.testing.assert_close(changed, run_without_rows(model, x, removed))
    assert far(changed, plainly(model.module, x))


EVERYTHING = Interventions(
    (
        ShufflePatches(1),
        HidePatches((2,), "mean"),
        HidePatches((3,), "removed"),
        ChangePositions("shuffle", 5),
        SwitchOffHeads(((0, 1),)),
        SwitchOffLayers((1,)),
        CutTokens((4,), (0,)),
    )
)


def traces_of(module) -> list[tuple[int, int, bool]]:
    return [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in module.modules()]


@pytest.mark.parametrize("family", [PLAIN, AVERAGING], ids=str)
def test_the_model_is_as_it_was(family):
    model, x = made(family)
    before, state, marks = plainly(model.module, x), copy.deepcopy(model.module.state_dict()), traces_of(model.module)
    assert far(answer(model, x, EVERYTHING), before)
    with pytest.raises(ZeroDivisionError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x).sum() * (1 / 0)
    with pytest.raises(RuntimeError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x[:, :1])  # the model itself raises, inside its own forward pass
    broken = model.module.blocks[0].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x)  # inside a block whose attention is changed
    broken.remove()
    with pytest.raises(ValueError, match="layer 5 does not exist"):
        answer(model, x, HidePatches((1,)), SwitchOffLayers((0, 5)))
    assert torch.equal(plainly(model.module, x), before)
    assert traces_of(model.module) == marks
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())
    assert torch._C._len_torch_function_stack() == 0


def test_interventions_compose_like_nested_blocks():
    model, x = made(PLAIN)
    one, two = SwitchOffHeads(((0, 1),)), CutTokens((5,))
    with intervene(model, one), intervene(model, two):
        nested = plainly(model.module, x)
    torch.testing.assert_close(answer(model, x, one, two), nested)
    expected = columns_removed(without_columns(model.module, ((0, 1),)), x, [5], (0, 1))
    torch.testing.assert_close(nested, expected)


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (HidePatches((24,)), "patch 24 does not exist: there are 24"),
        (CutTokens((25,)), "token 25 does not exist: there are 25"),
        (CutTokens((1,), (2,)), "layer 2 does not exist: there are 2"),
        (SwitchOffHeads(((1, 3),)), "head 3 does not exist: there are 3"),
        (SwitchOffHeads(((2, 0),)), "layer 2 does not exist"),
        (SwitchOffHeads(((0, 0),), "mean"), "no means were given"),
        (CutTokens(tuple(range(25))), "at least one token"),
        (HidePatches(tuple(range(24)), "removed"), "at least one token"),
    ],
)
def test_what_does_not_exist_is_refused(intervention, words):
    model, x = made(PLAIN)
    with pytest.raises(ValueError, match=words):
        answer(model, x, intervention)


def test_means_of_another_model_are_refused():
    model, x = made(PLAIN)
    other, image = made(REGISTERS)
    means = head_means(other, [image[0]])
    with pytest.raises(ValueError, match="another model"):
        answer(model, x, SwitchOffHeads(((0, 0),), "mean"), head_means=means)
    with pytest.raises(ValueError, match="no image"):
        head_means(model, [])


def test_the_effect_sets_before_and_after_side_by_side():
    model, x = made(PLAIN)
    question = Question(model, x[0], ClassLogit(2))
    found = effect(question, CutTokens((4,)), SwitchOffHeads(((1, 1),)))
    before, after = plainly(model.module, x), answer(model, x, CutTokens((4,)), SwitchOffHeads(((1, 1),)))
    torch.testing.assert_close(found.before.logits, before)
    torch.testing.assert_close(found.after.logits, after)
    assert found.change == pytest.approx(float(after.softmax(-1)[0, 2] - before.softmax(-1)[0, 2]), abs=1e-6)
    assert effect(question).similarity.values.min() == pytest.approx(1)
    one, other = found.before.tokens[0, 9], found.after.tokens[0, 9]
    cosine = float(one @ other / one.norm() / other.norm())
    assert found.similarity.values[model.layout.cell_of(9)] == pytest.approx(cosine, abs=1e-6)
    averaging, y = made(AVERAGING)
    assert effect(Question(averaging, y[0], ClassLogit(2)), HidePatches((3,), "removed")).similarity is None


def test_the_public_name():
    assert vitviz.intervene is intervene


indices = st.lists(st.integers(0, 300), min_size=1, max_size=30).map(tuple)
interventions = st.one_of(
    st.builds(HidePatches, indices, st.sampled_from(["mean", "blur", "removed"])),
    st.builds(ShufflePatches, st.integers(0, 999)),
    st.builds(ChangePositions, st.just("shuffle"), st.integers(0, 999)),
    st.just(ChangePositions("zero")),
    st.builds(
        SwitchOffHeads,
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1).map(tuple),
        st.sampled_from(["zero", "mean"]),
    ),
    st.builds(SwitchOffLayers, indices),
    st.builds(CutTokens, indices, st.none() | indices),
)


@given(st.lists(interventions, max_size=5))
def test_text_comes_back_as_it_was(items):
    written = Interventions(tuple(items))
    text = written.encode()
    assert Interventions.decode(text) == written
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._~"), "may stand in a URL as it is"


def test_text_in_full():
    text = "hide_mean_3-7.12~shuffle_5~positions_zero~heads_zero_0x3.11x2~layers_4.7~cut_0.5_all~cut_9.10_2-4"
    assert Interventions.decode(text).encode() == text
    assert Interventions.decode("").items == ()


@pytest.mark.parametrize(
    "text",
    [
        *("hide", "hide_mean_x", "hide_paint_1", "heads_zero_1", "heads_zero_1x2x3", "cut_1", "layers_-1", "nothing_1"),
        *("shuffle_1e9", "shuffle_99999999", "layers_0-1000000.0-1000000", "layers_٣", "layers_1~" * 9000),
        # reversed runs, which would cancel long ones in a sum of lengths; runs that only together are too long; many items
        *("hide_mean_0-99999~hide_mean_99999-0", "layers_5-4", "cut_0_9-0", "cut_0-60000_0-60000"),
        *("hide_mean_0-60000~cut_0-60000_all", "layers_0-99999.0", "shuffle_1~" * 65, "heads_zero_0x99999999"),
    ],
)
def test_a_text_from_anybody_is_refused_in_words_and_before_it_is_unrolled(text):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"is not an intervention|too long"):
            Interventions.decode(text)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < 20_000_000, "100,000 numbers take about 5 MB as a tuple and a set"


pieces = st.sampled_from(
    ["hide_mean_", "hide_blur_", "layers_", "cut_", "heads_zero_", "shuffle_", "positions_shuffle_", "_all", "~"]
)
numbers = st.sampled_from(
    ["0", "1", "21904", "40000", "99999", "100000", "999999", "999999999", "9" * 30, "٣", "-1", "1.5", "nan"]
)


@given(st.lists(pieces | numbers | st.sampled_from(["-", ".", "x", "_"]), max_size=40).map("".join))
def test_no_text_asks_for_more_than_the_bounds(text):
    try:
        decoded = Interventions.decode(text)
    except ValueError:
        return
    kept = sum(len(value) for item in decoded for value in vars(item).values() if isinstance(value, tuple))
    assert kept <= 100_000 and len(decoded) <= 64
    assert Interventions.decode(decoded.encode()) == decoded


def test_positions_left_out_have_no_seed():
    assert ChangePositions("zero", 7) == ChangePositions("zero")


def test_the_text_of_a_ragged_choice_comes_back():
    """Every other patch of the largest grid that the app offers, and as many tokens: no run to fold."""
    ragged = tuple(range(0, 148 * 148, 2))
    written = Interventions((HidePatches(ragged), CutTokens(ragged)))
    assert Interventions.decode(written.encode()) == written


@pytest.mark.parametrize(
    "make",
    [
        lambda: HidePatches((-1,)),
        lambda: HidePatches((1,), "red"),
        lambda: ChangePositions("up"),
        lambda: SwitchOffHeads(((0, 1.5),)),
        lambda: ShufflePatches(-2),
    ],
)
def test_descriptions_are_checked(make):
    with pytest.raises(ValueError, match=r"counted from 0|one of"):
        make()


def test_the_python_of_a_description_needs_no_numpy():
    for made, words in (
        (ShufflePatches(np.int64(3)), "ShufflePatches(seed=3)"),
        (ChangePositions("shuffle", np.int64(2)), "ChangePositions(how='shuffle', seed=2)"),
        (HidePatches(np.arange(2)), "HidePatches(patches=(0, 1), fill='mean')"),
        (SwitchOffHeads(np.array([[1, 2]])), "SwitchOffHeads(heads=((1, 2),), fill='zero')"),
    ):
        assert repr(made) == words


def test_equal_descriptions_are_equal():
    assert HidePatches((3, 1, 3)) == HidePatches((1, 3))
    assert SwitchOffHeads(((1, 2), (0, 5))) == SwitchOffHeads(((0, 5), (1, 2), (1, 2)))
    assert np.array_equal(permutation(made(PLAIN)[0].layout, 4), permutation(made(PLAIN)[0].layout, 4))


ONE_FILE = """
from dataclasses import dataclass
from typing import ClassVar

from vitviz.analysis.interventions.base import Intervention


@dataclass(frozen=True)
class Mirror(Intervention):
    code: ClassVar[str] = "mirror"
    order: ClassVar[int] = 25

    times: int = 1

    def encode(self):
        return str(self.times)

    @classmethod
    def decode(cls, fields, numbers):
        return cls(numbers.seed(fields[0])) if len(fields) == 1 else None

    def change_pixels(self, x, layout):
        return x.flip(-1) if self.times % 2 else x

    def apply(self, application):
        application.pixels(lambda x: self.change_pixels(x, application.layout))
"""


def test_an_intervention_is_added_by_one_file_and_its_sentence(monkeypatch, tmp_path):
    (tmp_path / "mirror.py").write_text(ONE_FILE)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(base, "KINDS", known := dict(base.KINDS))
    monkeypatch.setattr(text, "KINDS", known)
    package.find_kinds()
    monkeypatch.delitem(sys.modules, "vitviz.analysis.interventions.mirror")
    changes = Interventions.decode("hide_mean_0~mirror_1")
    assert changes.encode() == "hide_mean_0~mirror_1" and changes.items[1].times == 1
    model, x = made(PLAIN)
    hidden = HidePatches((0,)).change_pixels(x, model.layout)
    assert torch.equal(answer(model, x, changes), plainly(model.module, hidden.flip(-1)))
    sentence.register(type(changes.items[1]), lambda item, layout: f"mirrored {item.times} times")
    assert sentence(changes.items[1], model.layout) == "mirrored 1 times"
    with pytest.raises(ValueError, match="begins with none of hide, shuffle, mirror, positions, heads, layers, cut"):
        Interventions.decode("turn_1")


def test_two_interventions_of_one_code_are_refused():
    with pytest.raises(ValueError, match="HidePatches and Again have one code, 'hide'"):

        class Again(package.Intervention):
            code = "hide"
