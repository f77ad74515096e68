"""Statistics of rows and heads against closed forms and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.analysis.traces import random_trace, random_weights, trace_of
from vitviz.analysis.attention import (
    attention_distance,
    attention_map,
    entropy,
    head_maps,
    head_statistics,
    prefix_mass,
    query_weights,
    sink_tokens,
)
from vitviz.capture.attention import Attention, DenseBias
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


def uniform(tokens: int) -> torch.Tensor:
    return torch.full((1, tokens, tokens), 1 / tokens)


def test_entropy_of_uniform_is_one_and_of_one_hot_is_zero():
    layer = trace_of(torch.cat([uniform(6), torch.eye(6)[None]]), prefix=("cls",)).layers[0]
    torch.testing.assert_close(entropy(layer), torch.tensor([[1.0] * 6, [0.0] * 6]))
    statistics = head_statistics(layer)
    torch.testing.assert_close(statistics.entropy, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(statistics.largest, torch.tensor([1 / 6, 1.0]))


def test_entropy_of_two_equal_keys():
    half = torch.zeros(1, 8, 8)
    half[..., :2] = 0.5
    torch.testing.assert_close(entropy(trace_of(half).layers[0]), torch.full((1, 8), math.log(2) / math.log(8)))


def test_distance_closed_forms():
    to_left = torch.zeros(1, 4, 4)
    to_left[0, :, 0] = 1  # four patches in a row, 10 pixels wide: distances 0, 10, 20, 30
    torch.testing.assert_close(attention_distance(trace_of(to_left).layers[0]), torch.tensor([15.0]))
    torch.testing.assert_close(attention_distance(trace_of(torch.eye(4)[None]).layers[0]), torch.tensor([0.0]))
    pairs = [abs(a - b) * 10 for a in range(4) for b in range(4)]
    torch.testing.assert_close(attention_distance(trace_of(uniform(4)).layers[0]), torch.tensor([sum(pairs) / 16]))


def test_distance_drops_prefix_keys_and_renormalises():
    weights = torch.zeros(1, 3, 3)
    weights[0] = torch.tensor([[1.0, 0, 0], [0.8, 0.1, 0.1], [0.8, 0.1, 0.1]])  # a class token that takes most
    layer = trace_of(weights, prefix=("cls",)).layers[0]
    torch.testing.assert_close(
        attention_distance(layer), torch.tensor([5.0])
    )  # half of each row's rest is 10 pixels away
    torch.testing.assert_close(prefix_mass(layer), torch.tensor([[1.0, 0.8, 0.8]]))
    torch.testing.assert_close(head_statistics(layer).prefix_mass, torch.tensor([0.8]))


def test_statistics_against_loops_on_a_non_square_grid_with_registers(monkeypatch):
    monkeypatch.setattr("vitviz.capture.attention.CHUNK_ENTRIES", 40)  # several chunks, one of them across the prefix
    trace = random_trace(prefix=("cls", "reg0", "reg1"), grid=(2, 4))
    layer, layout = trace.layers[0], trace.layout
    weights = layer.weights().double().numpy()
    distance, spread, mass = np.zeros(2), np.zeros(2), np.zeros(2)
    for head in range(2):
        for q in range(8):
            row = weights[head, 3 + q]
            spread[head] -= sum(w * math.log(w) for w in row if w > 0) / math.log(11)
            mass[head] += sum(row[:3])
            for k in range(8):
                away = math.dist(divmod(q, 4), divmod(k, 4)) * 10
                distance[head] += row[3 + k] / sum(row[3:]) * away
    statistics = head_statistics(layer)
    np.testing.assert_allclose(statistics.distance.numpy(), distance / 8, rtol=1e-5)
    np.testing.assert_allclose(statistics.entropy.numpy(), spread / 8, rtol=1e-5)
    np.testing.assert_allclose(statistics.prefix_mass.numpy(), mass / 8, rtol=1e-5)
    np.testing.assert_allclose(statistics.largest.numpy(), weights[:, 3:].max((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(entropy(layer).numpy()[:, 3:].mean(1), spread / 8, rtol=1e-5)
    assert layout.num_prefix == 3


def test_maps_cut_the_prefix_off_and_fold_by_rows():
    trace = random_trace()
    maps = head_maps(trace)
    assert maps.shape == (3, 2, 2, 3)
    assert maps[1, 1, 1, 2] == trace.layers[1].explicit[1, 0, 2 + 5]
    assert head_maps(trace, "r1c0")[0, 0, 0, 1] == trace.layers[0].explicit[0, 2 + 3, 2 + 1]
    mean = head_maps(trace, "mean")[2, 0]
    np.testing.assert_allclose(mean, trace.layers[2].explicit[0, 2:, 2:].mean(0).reshape(2, 3), rtol=1e-5)


def test_one_map_of_a_head_and_of_the_mean():
    layer = random_trace().layers[0]
    one = attention_map(layer, "cls", head=1)
    np.testing.assert_array_equal(one.values, layer.explicit[1, 0, 2:].reshape(2, 3))
    np.testing.assert_allclose(attention_map(layer, "cls").values, layer.explicit[:, 0, 2:].mean(0).reshape(2, 3))
    assert "head 1" in one.label


def test_maps_of_layers_that_differ_are_refused():
    trace = trace_of(random_weights(2, 4, 0), random_weights(3, 4, 1))
    with pytest.raises(UnsupportedError, match="one layer at a time"):
        head_maps(trace, 0)
    with pytest.raises(UnsupportedError, match="pooling"):
        head_maps(trace, "pool")


def test_a_sink_is_found_relative_to_the_median_patch():
    weights = torch.full((1, 20, 20), 0.5 / 19)
    weights[:, :, 7] = 0.5
    sinks = sink_tokens(trace_of(weights, prefix=("cls",)).layers[0])
    assert [(sink.token, sink.name) for sink in sinks] == [(7, "r0c6")]
    assert sinks[0].share == pytest.approx(0.5)
    assert sinks[0].times_median == pytest.approx(19.0)
    assert sink_tokens(trace_of(weights).layers[0], times=20) == []
    assert sink_tokens(trace_of(uniform(20)).layers[0]) == []


def test_prefix_tokens_can_be_sinks_too():
    weights = torch.full((1, 20, 20), 0.5 / 19)
    weights[:, :, 0] = 0.5
    assert [sink.name for sink in sink_tokens(trace_of(weights, prefix=("cls",)).layers[0])] == ["cls"]


def test_statistics_are_refused_where_they_mean_nothing():
    layout = TokenLayout((), (1, 4), (10, 10))
    mixed = Attention("blocks.0", layout, layout, explicit=torch.rand(2, 4, 4), rows_sum_to_one=False)
    for question in (entropy, head_statistics):
        with pytest.raises(UnsupportedError, match="sum to 1"):
            question(mixed)
    pooled = Attention("blocks.0", layout, TokenLayout((), (1, 2), (10, 20)), explicit=torch.full((1, 4, 2), 0.5))
    with pytest.raises(UnsupportedError, match="different grids"):
        attention_distance(pooled)


def test_the_mean_query_leaves_prefix_queries_out():
    layer = random_trace().layers[0]
    torch.testing.assert_close(query_weights(layer, "mean"), layer.explicit[:, 2:].mean(1))


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("kernel", [False, True])
def test_statistics_from_queries_and_keys_are_those_of_the_weights(hides, kernel):
    layout = TokenLayout(("cls",), (3, 4), (10, 10))
    drawn = torch.Generator().manual_seed(3)
    q, k = (9 * torch.randn(2, 13, 4, generator=drawn) for _ in range(2))  # far apart: some weights are 0 in float32
    scores = (q.double() @ k.double().transpose(1, 2)) / 2
    bias = None
    if hides:
        bias = DenseBias(torch.zeros(1, 13, 13))
        bias.values[..., 5] = -torch.inf
        scores = scores + bias.values
    weights = scores.softmax(-1)
    assert (weights.float() == 0).any()
    lse = scores.logsumexp(-1).float() if kernel else None
    found = head_statistics(Attention("attn", layout, layout, q=q, k=k, bias=bias, scale=0.5, lse=lse))
    asking = weights[:, 1:]
    entropies = -(asking * asking.clamp_min(1e-300).log()).sum(-1).mean(-1) / math.log(13)
    torch.testing.assert_close(found.entropy, entropies.float(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.largest, asking.amax((1, 2)).float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.prefix_mass, asking[..., 0].mean(-1).float(), atol=1e-6, rtol=1e-4)


def test_sinks_come_largest_first_and_the_rest_is_left_out():
    weights = torch.full((1, 40, 40), 0.2 / 37)
    weights[..., 3], weights[..., 17], weights[..., 30] = 0.2, 0.35, 0.25
    found = sink_tokens(trace_of(weights).layers[0])
    assert [sink.token for sink in found] == [17, 30, 3]
    assert found[0].share == pytest.approx(0.35) and found[0].times_median == pytest.approx(0.35 * 37 / 0.2)


def test_the_mean_over_patch_queries_needs_patch_queries():
    """Of a layer whose one query is learned, the mean over no patches would be a division by zero."""
    pooling = Attention(
        "pool",
        TokenLayout(("pool",), (0, 0), (10, 10)),
        TokenLayout((), (2, 3), (10, 10)),
        explicit=torch.ones(2, 1, 6) / 6,
    )
    with pytest.raises(UnsupportedError, match="no mean over patch queries"):
        query_weights(pooling, "mean")


@pytest.mark.parametrize("head", [2, -1, 99])
def test_a_head_that_is_not_there_is_refused(head):
    """A slice beyond the last head would be empty, and a negative one another head."""
    layer = random_trace().layers[0]
    from_keys = Attention("qk", layer.query_layout, layer.key_layout, q=torch.randn(2, 8, 4), k=torch.randn(2, 8, 4))
    asked = [
        lambda: attention_map(layer, "cls", head),
        lambda: layer.rows(slice(0, 2), head),
        lambda: layer.weights(head),
        lambda: from_keys.rows(slice(0, 2), head),
        lambda: from_keys.scores(slice(0, 2), head),
    ]
    for ask in asked:
        with pytest.raises(IndexError, match=f"head {head} does not exist"):
            ask()
