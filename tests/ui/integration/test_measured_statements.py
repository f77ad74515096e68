"""What the texts say of the embedded model, measured again by means of torch alone: hooks on timm's own modules."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from vitviz import load_model, load_sample, prepare, trace
from vitviz.analysis.attention import head_statistics, sink_tokens
from vitviz.analysis.positions import position_similarity, similarity_by_step
from vitviz.analysis.sinks import value_norms

HEADS, SIZE, GRID, PATCH = 6, 64, 16, 14


@cache
def embedded():
    return load_model("embedded")


@cache
def photograph(name: str) -> Tensor:
    """(1, 3, 224, 224)."""
    return prepare(embedded(), load_sample(name)).input[None]


@cache
def inside(name: str, layer: int = 0) -> tuple[Tensor, Tensor]:
    """(weights (heads, tokens, tokens), values (heads, tokens, size)) of one layer, from what its qkv gives."""
    attention = embedded().module.blocks[layer].attn
    made: list[Tensor] = []
    handle = attention.qkv.register_forward_hook(lambda _module, _inputs, out: made.append(out[0]))
    with torch.inference_mode():
        embedded().module(photograph(name))
    handle.remove()
    q, k, v = (
        made[0].reshape(-1, 3, HEADS, SIZE).permute(1, 2, 0, 3)
    )  # (tokens, 3, heads, size) -> 3 x (heads, tokens, size)
    return (q @ k.transpose(-1, -2) / SIZE**0.5).softmax(-1), v


def probability(name: str, pixels: Tensor | None = None) -> tuple[str, float, Tensor]:
    """(name and probability of the likeliest class, all probabilities)."""
    with torch.inference_mode():
        shares = embedded().module(photograph(name) if pixels is None else pixels).softmax(-1)[0]
    return embedded().labels[int(shares.argmax())], float(shares.max()), shares


def distances() -> np.ndarray:
    """(patches, patches) in pixels."""
    places = np.stack(np.mgrid[:GRID, :GRID], -1).reshape(-1, 2) * PATCH
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


@pytest.mark.long
def test_heads_of_the_first_layer_look_near_and_far():
    on_patches = inside("motorcycle")[0][:, 1:, 1:].numpy()
    rows = on_patches / on_patches.sum(-1, keepdims=True)
    reach = (rows * distances()).sum(-1).mean(-1)  # (heads,)
    found = head_statistics(trace(embedded(), load_sample("motorcycle")).layers[0]).distance.numpy()
    np.testing.assert_allclose(found, reach, rtol=1e-3)
    assert reach.min() < 60 and reach.max() > 100
    assert distances().mean() == pytest.approx(116.6, abs=0.1)  # an even spread


@pytest.mark.parametrize("name", ["motorcycle", "coffee", "cat"])
def test_every_patch_of_the_last_layer_reads_as_the_answer_wherever_it_lies(name):
    module = embedded().module
    with torch.inference_mode():
        tokens = module.norm(_last_state(name))[0, 1:]  # (patches, width)
        answers = module.head(tokens).argmax(-1)
    assert {embedded().labels[int(index)] for index in answers} == {probability(name)[0]}


def _last_state(name: str) -> Tensor:
    states: list[Tensor] = []
    handle = embedded().module.norm.register_forward_pre_hook(lambda _module, inputs: states.append(inputs[0]))
    with torch.inference_mode():
        embedded().module(photograph(name))
    handle.remove()
    return states[0]


def falls_without_heads(name: str) -> np.ndarray:
    """(heads,): how many points the most probable class loses when one head of the last layer gives zero."""
    module, states = embedded().module, []
    handle = module.blocks[-1].register_forward_pre_hook(lambda _module, inputs: states.append(inputs[0]))
    _, before, shares = probability(name)
    handle.remove()
    falls = []
    for head in range(HEADS):

        def silenced(_module, inputs, head=head):
            given = inputs[0].clone()
            given[..., head * SIZE : (head + 1) * SIZE] = 0
            return (given,)

        handle = module.blocks[-1].attn.proj.register_forward_pre_hook(silenced)
        with torch.inference_mode():
            after = module.forward_head(module.norm(module.blocks[-1](states[-1]))).softmax(-1)[0]
        handle.remove()
        falls.append(100 * (before - float(after[int(shares.argmax())])))
    return np.array(falls)


def test_often_one_head_changes_little_and_sometimes_one_changes_much():
    coffee, motorcycle = falls_without_heads("coffee"), falls_without_heads("motorcycle")
    assert coffee.argmax() == 2 and coffee.max() == pytest.approx(18.5, abs=0.5)
    assert np.abs(motorcycle).max() < 10 and (np.abs(coffee) < 10).sum() >= 4


def shuffled(name: str) -> Tensor:
    order = np.random.default_rng(3).permutation(GRID * GRID)
    pieces = photograph(name).unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # (1, 3, rows, cols, height, width)
    mixed = pieces.flatten(2, 3)[:, :, order].unflatten(2, (GRID, GRID))
    return mixed.permute(0, 1, 2, 4, 3, 5).reshape(1, 3, GRID * PATCH, GRID * PATCH)


@pytest.mark.long
def test_a_shuffle_takes_one_answer_away_and_leaves_another():
    _, before, shares = probability("coffee")
    assert before > 0.9 and float(probability("coffee", shuffled("coffee"))[2][int(shares.argmax())]) < 0.01
    _, before, shares = probability("motorcycle")
    assert before > 0.9 and float(probability("motorcycle", shuffled("motorcycle"))[2][int(shares.argmax())]) > 0.9


@pytest.mark.parametrize("name", ["motorcycle", "coffee", "cat"])
@pytest.mark.long
def test_sinks_of_the_first_layer_give_as_much_as_others_give(name):
    """LayerScale included: from a little less than the median patch to more than it, and never next to nothing."""
    weights, values = inside(name)
    share = weights.mean((0, 1))  # (tokens,)
    sinks = (share > 10 * share[1:].median()).nonzero()[:, 0].tolist()
    block = embedded().module.blocks[0]
    slices = block.attn.proj.weight.reshape(-1, HEADS, SIZE)  # (width, heads, size)
    given = torch.einsum("htd,whd->htw", values, slices) * block.ls1.gamma  # (heads, tokens, width)
    lengths = given.norm(dim=-1).mean(0)  # (tokens,)
    traced = trace(embedded(), load_sample(name))
    assert [sink.token for sink in sink_tokens(traced.layers[0])] == sorted(sinks, key=lambda token: -share[token])
    found = value_norms(embedded(), traced.input)[0].mean(0)
    torch.testing.assert_close(found, lengths.detach(), rtol=1e-3, atol=1e-5)
    ratios = (lengths[sinks] / lengths[1:].median()).tolist()
    assert 0.5 < min(ratios) and max(ratios) > 1.2 and len(sinks) > 1


def test_rows_and_columns_are_more_alike_than_diagonals():
    module, given = embedded().module, []
    handle = module.blocks[0].register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0][0, 1:]))
    with torch.inference_mode():
        module(photograph("cat"))
        table = given[0] - module.patch_embed(photograph("cat"))[0].flatten(0, -2)  # (patches, width)
    handle.remove()
    unit = torch.nn.functional.normalize(table, dim=-1).reshape(GRID, GRID, -1)
    row = float((unit[:, 8:] * unit[:, :-8]).sum(-1).mean())
    column = float((unit[8:] * unit[:-8]).sum(-1).mean())
    falling, rising = unit[8:, 8:] * unit[:-8, :-8], unit[8:, :-8] * unit[:-8, 8:]
    diagonal = float((falling.sum(-1).mean() + rising.sum(-1).mean()) / 2)
    found = similarity_by_step(position_similarity(embedded(), embedded().layout), embedded().layout, 8)
    assert (found.row, found.column, found.diagonal) == pytest.approx((row, column, diagonal), abs=1e-4)
    assert (row, column, diagonal) == pytest.approx((0.43, 0.49, -0.06), abs=0.01)


def test_no_two_classes_of_the_embedded_model_share_a_name():
    assert len(set(embedded().labels)) == len(embedded().labels)
