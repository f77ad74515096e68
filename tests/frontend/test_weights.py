"""The microscope's own modules under Node.js, against the Python they follow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.microscope_cases import CASES
from vitviz.tokens import TokenLayout

from .conftest import Run

WEIGHTS = (
    'import { LayerWeights, meanOfHeads } from "./core/weights.js";\nimport { decode } from "./core/encoding.js";\n'
)


@pytest.mark.parametrize("name", ["small", "oblong", "tall", "registers", "bias", "hidden", "mixed", "pooled"])
def test_rows_and_columns_are_those_of_attention(run: Run, name: str) -> None:
    case = CASES[name]
    attention = case.layer(1)
    body = (
        "const weights = new LayerWeights(decode(buffers[0]));"
        "return [given.queries.map((q) => Array.from(weights.row(q))), given.keys.map((k) => Array.from(weights.column(k)))];"
    )
    queries, keys = [0, 1, attention.num_queries - 1], [0, 2, attention.num_keys - 1]
    rows, columns = run(WEIGHTS, body, case.payload(1), queries=queries, keys=keys)
    expected = attention.weights().numpy()  # (heads, queries, keys)
    for query, row in zip(queries, rows, strict=True):
        np.testing.assert_allclose(np.reshape(row, (case.heads, -1)), expected[:, query], atol=2e-5)
    for key, column in zip(keys, columns, strict=True):
        np.testing.assert_allclose(np.reshape(column, (case.heads, -1)), expected[:, :, key], atol=2e-5)


def test_value_weighted_rows_and_columns_and_the_mean(run: Run) -> None:
    case = CASES["registers"]
    body = (
        "const weights = new LayerWeights(decode(buffers[0])); const row = weights.row(7, true);"
        "return [Array.from(row), Array.from(weights.column(9, true)), Array.from(meanOfHeads(row, weights.heads))];"
    )
    row, column, mean = run(WEIGHTS, body, case.payload(0))
    norm = case.value_norm(0)
    assert norm is not None
    expected = (case.layer(0).weights() * norm[:, None, :]).numpy()
    np.testing.assert_allclose(np.reshape(row, (case.heads, -1)), expected[:, 7], atol=5e-5)
    np.testing.assert_allclose(np.reshape(column, (case.heads, -1)), expected[:, :, 9], atol=5e-5)
    np.testing.assert_allclose(mean, expected[:, 7].mean(0), atol=5e-5)


@pytest.mark.parametrize("wrong", [b"", b"VVZ", b"<!doctype html><html></html>"])
def test_what_is_no_payload_is_refused(run: Run, wrong: bytes) -> None:
    body = "try { decode(buffers[0]); } catch (error) { return error.message; } return 'taken';"
    assert run('import { decode } from "./core/encoding.js";\n', body, wrong) == "not a payload"


def test_tokens_are_counted_and_named_as_in_python(run: Run) -> None:
    layout = TokenLayout(("cls", "reg0"), (3, 5), (14, 14))
    body = (
        "const all = [...Array(given.layout.prefix.length + 15).keys()];"
        "return [all.map((t) => nameOf(given.layout, t)), all.map((t) => tokenNamed(given.layout, nameOf(given.layout, t))),"
        "['r3c0', 'r0c5', 'reg1', 'x', '', null, 'r-1c0'].map((name) => tokenNamed(given.layout, name))];"
    )
    names, back, absent = run(
        'import { nameOf, tokenNamed } from "./core/layout.js";\n',
        body,
        layout={"prefix": layout.prefix, "grid": layout.grid},
    )
    assert names == [layout.name_of(token) for token in range(layout.num_tokens)]
    assert back == list(range(layout.num_tokens))
    assert absent == [-1] * 7


def test_arrows_walk_the_grid_and_reach_the_prefix_tokens(run: Run) -> None:
    walk = [
        ("r1c1", [0, 1], "r1c2"), ("r1c1", [-1, 0], "r0c1"), ("r2c4", [1, 0], "r2c4"), ("r1c0", [0, -1], "r1c0"),
        ("r0c0", [-1, 0], "cls"), ("r0c4", [-1, 0], "reg0"), ("cls", [0, 1], "reg0"), ("reg0", [0, 1], "reg0"),
        ("cls", [-1, 0], "cls"), ("reg0", [1, 0], "r0c3"),
    ]  # fmt: skip
    body = (
        "const { layout, walk } = given;"
        "return walk.map(([from, by]) => nameOf(layout, step(layout, tokenNamed(layout, from), ...by)));"
    )
    layout = {"prefix": ["cls", "reg0"], "grid": [3, 5]}
    reached = run('import { nameOf, step, tokenNamed } from "./core/layout.js";\n', body, layout=layout, walk=walk)
    assert reached == [to for _, _, to in walk]


def test_scales_ranks_and_numbers(run: Run) -> None:
    values = np.random.default_rng(3).gamma(0.3, size=256).astype(np.float32)
    body = (
        "const values = Float32Array.from(given.values); const robust = extent(values, true, false);"
        "return { robust: robust.high, raw: extent(values, false, false).high, beyond: countBeyond(values, robust),"
        "top: strongest(values, 4), rank: rankOf(values, 17),"
        "lone: extent(Float32Array.of(0, 0, 5, ...Array(400).fill(0)), true, false).high,"
        "signed: extent(Float32Array.of(-3, 1), false, true), ties: rankOf([1, 2, 2], 2),"
        "quantiles: [0, 0.5, 0.9, 0.99, 1].map((q) => quantile(values, q)), one: quantile(Float32Array.of(7), 0.99),"
        "numbers: [0, 0.04123, 0.000123456, 12.3456, 1, 1e-9, -0.5].map((v) => number(v)) };"
    )
    found = run(
        'import { countBeyond, extent, number, quantile, rankOf, strongest } from "./core/scale.js";\n',
        body,
        values=values.tolist(),
    )
    assert found["robust"] == pytest.approx(float(np.percentile(values, 99)), rel=1e-6)
    assert found["raw"] == pytest.approx(float(values.max()))
    assert found["quantiles"] == pytest.approx(np.percentile(values, [0, 50, 90, 99, 100]).tolist(), rel=1e-6)
    assert found["one"] == 7
    assert found["beyond"] == int((values > np.percentile(values, 99)).sum()) == 3
    assert found["top"] == np.argsort(-values)[:4].tolist()
    assert found["rank"] == 1 + int((values > values[17]).sum())
    assert found["lone"] == 5, "a map with one lit patch is not painted black"
    assert found["signed"] == {"low": -3, "high": 3, "signed": True}
    assert found["ties"] == 1
    assert found["numbers"] == ["0", "0.0412", "0.000123", "12.3", "1.00", "1.0e-9", "-0.500"]


def test_keys_and_two_digit_heads(run: Run) -> None:
    body = (
        "const keys = new Keys();"
        "const press = (key, timeStamp, more = {}) => keys.read({ key, timeStamp, ...more }, 12, more.inControl);"
        "return [press('1', 0), press('1', 300), press('4', 600), press('9', 2000), press('2', 2100), press('[', 3000),"
        "press('ArrowUp', 3000), press('ArrowUp', 3000, { shiftKey: true }), press('ArrowUp', 3000, { inControl: true }),"
        "press('r', 3000),"
        "press('1', 5000, { ctrlKey: true }), press('Escape', 6000, { inControl: true })];"
    )
    read = run('import { Keys } from "./parts/input.js";\n', body)
    assert [r and r.get("head") for r in read[:5]] == [1, 11, 4, 9, 2]
    assert read[5:] == [
        {"act": "layer", "by": -1}, {"act": "move", "step": [-1, 0]}, {"act": "read", "step": [-1, 0]}, None, None, None,
        {"act": "release"},
    ]  # fmt: skip
