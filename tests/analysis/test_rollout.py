"""Rollout against cases worked out by hand, against plain matrix products, and per head."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests.analysis.traces import random_trace, random_weights, trace_of
from vitviz.analysis.head_rollout import METHODS, head_rollout, head_rollouts
from vitviz.analysis.rollout import FUSIONS, RolloutOptions, rollout, rollout_matrix, rollout_row
from vitviz.capture.attention import Attention
from vitviz.errors import Cancelled, UnsupportedError
from vitviz.tokens import TokenLayout


def fused_by_loops(weights: np.ndarray, num_prefix: int, fusion: str, discard: float) -> np.ndarray:
    """Fusion, discard and normalisation one row at a time, in double precision: slow and plain."""
    heads, queries, keys = weights.shape
    out = np.zeros((queries, keys))
    for q in range(queries):
        for k in range(keys):
            column = [float(weights[h, q, k]) for h in range(heads)]
            out[q, k] = {"mean": sum(column) / heads, "max": max(column), "min": min(column)}[fusion]
        for k in sorted(range(num_prefix, keys), key=lambda k: out[q, k])[: int(discard * (keys - num_prefix))]:
            out[q, k] = 0.0
        out[q] /= out[q].sum()
    return out


def matrix_by_products(trace, alpha=0.5, fusion="mean", discard=0.0, first=0, last=None) -> np.ndarray:
    chosen = trace.layers[first : (trace.num_layers if last is None else last + 1)]
    product = np.eye(chosen[0].num_queries)
    for layer in chosen:
        fused = fused_by_loops(layer.weights().numpy(), layer.key_layout.num_prefix, fusion, discard)
        product = (alpha * np.eye(len(fused)) + (1 - alpha) * fused) @ product
    return product


def test_two_tokens_two_layers_by_hand():
    first = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    second = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    # halves with the identity: first [[1, 0], [1/4, 3/4]], second [[1/2, 1/2], [0, 1]]
    expected = torch.tensor([[5 / 8, 3 / 8], [1 / 4, 3 / 4]])
    torch.testing.assert_close(rollout_matrix(trace_of(first, second)), expected)
    torch.testing.assert_close(rollout_row(trace_of(first, second), 0), expected[0])


def test_three_tokens_two_heads_by_hand():
    heads = torch.tensor([[[0.0, 1, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 1], [0, 1, 0], [0, 0, 1]]])
    trace = trace_of(heads, prefix=("cls",))
    assert rollout(trace).values.tolist() == [[0.25, 0.25]]  # half stays with the class token
    assert rollout(trace, "cls", RolloutOptions(alpha=0)).values.tolist() == [[0.5, 0.5]]
    assert head_rollout(trace, 0, 1, "last_hop").values.tolist() == [[0.0, 1.0]]
    assert head_rollout(trace, 0, 1, "leave_one_in").values.tolist() == [[0.0, 0.5]]


def test_max_fusion_with_discard_by_hand():
    heads = torch.tensor([[[0.4, 0.3, 0.2, 0.1]] * 4, [[0.1, 0.2, 0.6, 0.1]] * 4])
    trace = trace_of(heads, prefix=("cls",))
    # maximum (0.4, 0.3, 0.6, 0.1); a third of three patches is one, the smallest; the row is divided by 1.3
    row = rollout_row(trace, "cls", RolloutOptions(alpha=0, fusion="max", discard=0.34))
    torch.testing.assert_close(row, torch.tensor([0.4, 0.3, 0.6, 0.0]) / 1.3)


def test_of_equal_entries_none_is_picked_out():
    row = torch.tensor([[0.1, 0.2, 0.2, 0.2, 0.3]]).expand(1, 5, 5)  # (heads, tokens, tokens)
    trace = trace_of(row, prefix=("cls",), grid=(2, 2))
    options = RolloutOptions(alpha=0, discard=0.5)  # two of four patches, and three are alike
    torch.testing.assert_close(rollout_row(trace, "cls", options), row[0, 0])


def test_the_prefix_is_never_discarded():
    heads = torch.tensor([[[0.01, 0.29, 0.3, 0.4]] * 4])
    row = rollout_row(trace_of(heads, prefix=("cls",)), "cls", RolloutOptions(alpha=0, discard=0.67))
    torch.testing.assert_close(row, torch.tensor([0.01, 0.0, 0.0, 0.4]) / 0.41)


KNOBS = list(itertools.product((0.0, 0.5, 0.9), FUSIONS, (0.0, 0.4), ((0, None), (1, 2))))


@pytest.mark.parametrize(("alpha", "fusion", "discard", "span"), KNOBS)
def test_every_knob_against_plain_products(alpha, fusion, discard, span):
    trace = random_trace()
    options = RolloutOptions(alpha, fusion, discard, *span)
    expected = matrix_by_products(trace, alpha, fusion, discard, *span)
    np.testing.assert_allclose(rollout_matrix(trace, options).numpy(), expected, atol=1e-6)
    for token in range(trace.layout.num_tokens):
        np.testing.assert_allclose(rollout_row(trace, token, options).numpy(), expected[token], atol=1e-6)


def test_rows_sum_to_one_whatever_the_knobs():
    for alpha, fusion, discard, span in KNOBS:
        matrix = rollout_matrix(random_trace(), RolloutOptions(alpha, fusion, discard, *span))
        torch.testing.assert_close(matrix.sum(-1), torch.ones(len(matrix)))


def test_chunks_do_not_show(monkeypatch):
    trace = random_trace()
    options = RolloutOptions(fusion="max", discard=0.4)
    whole, row = rollout_matrix(trace, options), rollout_row(trace)
    monkeypatch.setattr("vitviz.capture.attention.CHUNK_ENTRIES", 1)
    torch.testing.assert_close(rollout_matrix(trace, options), whole)
    torch.testing.assert_close(rollout_row(trace), row)


def test_without_a_class_token_the_mean_over_patches_answers():
    trace = random_trace(prefix=(), grid=(2, 2))
    np.testing.assert_allclose(rollout(trace).values.ravel(), matrix_by_products(trace).mean(0), atol=1e-6)


def test_a_pooling_query_starts_from_what_it_reads():
    layout, pool = TokenLayout((), (2, 2), (10, 10)), TokenLayout(("pool0",), (0, 0), (10, 10))
    weights = random_weights(2, 4, 9)[:, :1]  # (heads, 1 query, keys)
    pooling = (Attention("attn_pool", pool, layout, explicit=weights),)
    base = random_trace(prefix=(), grid=(2, 2))
    trace = trace_of(*(layer.explicit for layer in base.layers), grid=(2, 2), pooling=pooling)
    expected = weights.mean((0, 1)).numpy() @ matrix_by_products(base)
    np.testing.assert_allclose(rollout(trace).values.ravel(), expected, atol=1e-6)


def product_with_one_head(trace, layer, head, method, alpha=0.5) -> np.ndarray:
    product = np.eye(trace.layout.num_tokens)
    for index, attention in enumerate(trace.layers):
        weights = attention.weights().double().numpy()
        if method == "last_hop" and index == layer:
            return weights[head] @ product
        used = weights[head] if index == layer else weights.mean(0)
        product = (alpha * np.eye(len(used)) + (1 - alpha) * used) @ product
    return product


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("query", ["cls", "reg0", "r1c2"])
def test_per_head_rollout_against_explicit_products(method, query):
    trace = random_trace()
    token = trace.layout.token_named(query)
    everything = head_rollouts(trace, method, query)
    assert everything.shape == (3, 2, 2, 3)
    for layer, head in itertools.product(range(3), range(2)):
        expected = trace.layout.patches(product_with_one_head(trace, layer, head, method)[token])
        np.testing.assert_allclose(everything[layer, head], expected, atol=1e-6)
        np.testing.assert_allclose(head_rollout(trace, layer, head, method, query).values, expected, atol=1e-6)


def test_leaving_every_head_in_averages_to_the_rollout():
    trace = random_trace()
    mean = head_rollouts(trace, "leave_one_in").mean(1)  # (layers, rows, cols)
    for layer in mean:
        np.testing.assert_allclose(layer, rollout(trace).values, atol=1e-6)


def test_progress_counts_layers_and_can_stop_the_work():
    seen = []
    rollout_row(random_trace(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    def stop(_done, _total):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        rollout_matrix(random_trace(), progress=stop)


@pytest.mark.parametrize(
    "knobs", [{"alpha": 1.0}, {"alpha": -0.1}, {"fusion": "median"}, {"discard": 1.0}, {"discard": -0.1}], ids=str
)
def test_a_knob_out_of_range_is_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs)) if "fusion" not in knobs else "mean, max, min"):
        RolloutOptions(**knobs)


def test_layers_outside_the_model_are_refused():
    for span in ({"first_layer": 2, "last_layer": 1}, {"last_layer": 3}, {"first_layer": -1}):
        with pytest.raises(ValueError, match="3 layers"):
            rollout(random_trace(), options=RolloutOptions(**span))


def test_rollout_is_refused_where_rows_do_not_sum_to_one():
    layout = TokenLayout((), (1, 3), (10, 10))
    mixed = Attention("blocks.0", layout, layout, explicit=torch.rand(2, 3, 3), rows_sum_to_one=False)
    trace = random_trace(prefix=(), grid=(1, 3))
    broken = trace_of(*(layer.explicit for layer in trace.layers))
    object.__setattr__(broken, "layers", (mixed, *broken.layers))
    with pytest.raises(UnsupportedError, match="sum to 1"):
        rollout(broken)


def test_unknown_queries_heads_and_methods_are_refused():
    trace = random_trace()
    with pytest.raises(UnsupportedError, match="no token is called|No token"):
        rollout(trace, "nose")
    with pytest.raises(UnsupportedError, match="outside the grid|Patch"):
        rollout(trace, "r7c0")
    with pytest.raises(UnsupportedError, match="does not exist"):
        rollout(trace, 99)
    with pytest.raises(IndexError, match="2 heads"):
        head_rollout(trace, 0, 2)
    with pytest.raises(IndexError, match="layer 3"):
        head_rollout(trace, 3, 0)
    with pytest.raises(ValueError, match="last_hop"):
        head_rollout(trace, 0, 0, "chained")


@pytest.mark.parametrize("count", [100, 196, 256, 1369])
@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_the_share_discarded_is_exact(count, kind):
    """Hundredths of a count in whole numbers; a product of floats makes 28 of 0.29 times 100."""
    for hundredths in range(100):
        assert RolloutOptions(discard=kind(hundredths / 100)).discarded(count) == hundredths * count // 100


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.5])
def test_double_precision_stays_double(fusion, discard):
    options = RolloutOptions(fusion=fusion, discard=discard)
    double = trace_of(*(random_weights(2, 7, seed).double() for seed in range(2)), prefix=("cls",), grid=(2, 3))
    single = trace_of(*(random_weights(2, 7, seed) for seed in range(2)), prefix=("cls",), grid=(2, 3))
    matrix = rollout_matrix(double, options)
    assert matrix.dtype == rollout_row(double, "cls", options).dtype == torch.float64
    torch.testing.assert_close(matrix.float(), rollout_matrix(single, options), atol=1e-6, rtol=0)
    torch.testing.assert_close(rollout_row(double, "r1c2", options), matrix[6], atol=1e-12, rtol=0)
    np.testing.assert_allclose(
        head_rollouts(double, "leave_one_in", "cls", options),
        head_rollouts(single, "leave_one_in", "cls", options),
        atol=1e-6,
    )
