"""Every method starts from the query that it is asked about, and by default from what the model's output is computed from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.analysis.traces import random_trace, random_weights, trace_of
from tests.capture.test_readout import SIZE, made, traced
from vitviz.analysis.attention import attention_map, head_maps, query_weights
from vitviz.analysis.head_rollout import head_rollouts
from vitviz.analysis.methods import explain
from vitviz.analysis.queries import default_query
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.rollout import rollout, rollout_matrix, rollout_row
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.attention import Attention
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.tokens import Query, TokenLayout

MIXED = Query.parse("0.2*cls+0.3*reg0+0.5*mean")


def test_a_mixture_is_the_weighted_sum_of_rows():
    trace = random_trace()
    matrix = rollout_matrix(trace)
    expected = 0.2 * matrix[0] + 0.3 * matrix[1] + 0.5 * matrix[2:].mean(0)
    torch.testing.assert_close(rollout_row(trace, MIXED), expected)
    torch.testing.assert_close(rollout_row(trace, str(MIXED)), expected)
    layer = trace.layers[1]
    rows = layer.explicit
    expected = 0.2 * rows[:, 0] + 0.3 * rows[:, 1] + 0.5 * rows[:, 2:].mean(1)
    torch.testing.assert_close(query_weights(layer, MIXED), expected)
    np.testing.assert_allclose(head_maps(trace, MIXED)[1], expected[:, 2:].reshape(2, 2, 3).numpy(), atol=1e-6)
    expected = sum(share * head_rollouts(trace, query=name) for name, share in MIXED.shares)
    np.testing.assert_allclose(head_rollouts(trace, query=MIXED), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array])
def test_a_token_may_be_named_by_any_whole_number(kind):
    trace = random_trace()
    for ask in (rollout, head_maps, head_rollouts):
        one, two = ask(trace, query=kind(3)), ask(trace, query="r0c1")
        np.testing.assert_array_equal(getattr(one, "values", one), getattr(two, "values", two))
    np.testing.assert_array_equal(
        attention_map(trace.layers[0], kind(3)).values, attention_map(trace.layers[0], 3).values
    )


@pytest.mark.parametrize(
    "query", ["r9c9", "reg7", "dist", "pool", "cls+dist", 8, -1, np.int64(99), "", "a b", "cls+cls"]
)
def test_a_query_that_does_not_exist_is_refused(query):
    trace = random_trace()
    for ask in (rollout, head_maps, head_rollouts):
        with pytest.raises(UnsupportedError):
            ask(trace, query=query)


def test_a_trace_knows_what_its_output_is_computed_from():
    trace = random_trace(output_query=Query.parse("mean"))
    assert default_query(trace) == "mean"
    torch.testing.assert_close(rollout_row(trace), rollout_matrix(trace)[2:].mean(0))
    assert default_query(random_trace()) == "cls"  # by its name, where nobody has found out


def pooled_trace(keys: tuple[str, ...]):
    """A trace with four prefix tokens, and a pooling query over patches and the prefix tokens named."""
    prefix = ("cls", "reg0", "reg1", "reg2")
    layout = TokenLayout(prefix, (2, 3), (10, 10))
    key_layout = TokenLayout(keys, (2, 3), (10, 10))
    weights = random_weights(2, key_layout.num_tokens, 9)[:, :1]
    pooling = Attention("attn_pool", TokenLayout(("pool0",), (0, 0), (10, 10)), key_layout, explicit=weights)
    layers = [random_weights(2, layout.num_tokens, seed) for seed in range(2)]
    return trace_of(*layers, prefix=prefix, grid=(2, 3), pooling=(pooling,), output_query=Query.parse("pool")), weights


@pytest.mark.parametrize("keys", [(), ("cls",), ("cls", "reg0", "reg1", "reg2")])
def test_a_pooling_query_that_leaves_prefix_tokens_out_reads_zero_of_them(keys):
    trace, weights = pooled_trace(keys)
    row = torch.zeros(10)
    row[: len(keys)] = weights.mean((0, 1))[: len(keys)]
    row[4:] = weights.mean((0, 1))[len(keys) :]
    torch.testing.assert_close(rollout_row(trace), row @ rollout_matrix(trace))
    np.testing.assert_allclose(head_maps(trace)[0], weights[:, 0, len(keys) :].reshape(2, 2, 3).numpy())
    np.testing.assert_allclose(attention_map(trace.pooling[0], "pool", 1).values.ravel(), weights[1, 0, len(keys) :])
    with pytest.raises(UnsupportedError, match="none of the queries"):
        attention_map(trace.layers[0], "pool")


POOLINGS = [
    ("vit_tiny_patch16_224", {"global_pool": "avg", "class_token": True, "reg_tokens": 2}),
    ("vit_tiny_patch16_224", {"global_pool": "map", "class_token": True, "reg_tokens": 4}),
    ("vit_pe_core_tiny_patch16_384", {}),
    ("vit_so150m_patch16_reg4_map_256", {}),
    ("deit_tiny_distilled_patch16_224", {}),
]


@pytest.mark.parametrize(("name", "arguments"), POOLINGS)
def test_every_method_asks_the_same_query(name, arguments):
    """Relevance is compared with the matrices of the formula, from autograd on weights that the module makes itself."""
    module = made(name, depth=2, **arguments)
    trace = traced(module)
    question = Question(BareModel(module, layout_of(module, name, SIZE)), trace.input, ClassLogit(1))
    assert question.query == question.trace.output_query == default_query(trace)
    seen = question.attention_gradients
    relevance = torch.eye(trace.layout.num_tokens)
    rolled = torch.eye(trace.layout.num_tokens)
    for layer in seen.layers:
        support = (layer.attention.weights() * layer.rows()).clamp_min(0).mean(0)  # (queries, keys)
        relevance = relevance + support @ relevance
        total = support.sum(-1, keepdim=True)
        rows = torch.where(total > 0, support / total.clamp_min(1e-30), torch.eye(len(support)))
        rolled = (0.5 * torch.eye(len(support)) + 0.5 * rows) @ rolled
    if question.query.pools:
        pool = seen.pooling[-1]
        start = torch.zeros(trace.layout.num_tokens)
        support = (pool.attention.weights() * pool.rows()).clamp_min(0).mean(0)[0]  # (keys,)
        start[trace.layout.num_tokens - len(support) :] = support
    else:
        start = torch.from_numpy(question.query.weights(trace.layout)).float()
    for key, matrix in (("relevance", relevance), ("gradient_rollout", rolled)):
        expected = trace.layout.patches(start @ matrix)
        np.testing.assert_allclose(explain(question, key).values, expected.numpy(), atol=1e-6, rtol=1e-4)
    np.testing.assert_allclose(explain(question, "rollout").values, rollout(trace).values, atol=1e-7)
    last = head_maps(trace)[-1].mean(0)
    np.testing.assert_allclose(explain(question, "attention").values, last, atol=1e-7)
    assert np.isfinite(explain(question, "legrad").values).all()


def test_a_distilled_deit_asks_both_tokens_half_each():
    trace = traced(made("deit_tiny_distilled_patch16_224", depth=2))
    matrix = rollout_matrix(trace)
    expected = (matrix[0] + matrix[1]) / 2
    np.testing.assert_allclose(rollout(trace).values.ravel(), expected[2:].numpy(), atol=1e-6)


def test_no_single_pooling_attention_is_refused_by_rollout_and_relevance_alike():
    module = made("vit_tiny_patch16_224", depth=2, global_pool="map", class_token=False)
    pool = module.attn_pool

    class Twice(torch.nn.Module):
        def forward(self, x, *_args, **_kwargs):
            return pool(x) + pool(x.flip(1))

    module.attn_pool = Twice()
    trace = traced(module)
    assert len(trace.pooling) == 2
    question = Question(BareModel(module, trace.layout), trace.input, ClassLogit(1))
    assert question.query == "pool"
    for key in ("rollout", "relevance", "gradient_rollout"):
        with pytest.raises(UnsupportedError, match="in 2 layers"):
            explain(question, key)
