"""The microscope's own modules under Node.js, against the Python they follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.browser.microscope_cases import CASES
from tests.frontend.conftest import Run
from vitviz.analysis.features import PatchFeatures, correspondences, patch_similarity
from vitviz.capture.attention import Attention
from vitviz.tokens import TokenLayout
from vitviz.ui.components.microscope import layer_arrays
from vitviz.ui.server.payloads import pack

WEIGHTS = 'import { LayerWeights, meanOfHeads } from "./core/weights.js";\nimport { decode } from "./data/source.js";\n'


LONG = ("tall", "oblong", "bias", "mixed")
NAMES = [
    *("small", "registers", "hidden", "pooled"),
    *(pytest.param(name, marks=pytest.mark.long) for name in LONG),
]


@pytest.mark.parametrize("name", NAMES)
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


def test_weights_that_models_mix_are_read_from_their_codes(run: Run) -> None:
    """As many queries as keys would hide an exchange of both."""
    queries, keys = TokenLayout((), (1, 3), (8, 8)), TokenLayout(("cls",), (2, 2), (8, 8))
    weights = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(4)) - 0.2
    attention = Attention("attn", queries, keys, explicit=weights, rows_sum_to_one=False)
    body = """
    const weights = new LayerWeights(decode(buffers[0]));
    return [[0, 1, 2].map((q) => [...weights.row(q)]), [0, 1, 2, 3, 4].map((k) => [...weights.column(k)])];"""
    rows, columns = run(WEIGHTS, body, pack(*layer_arrays(attention)))
    step = float(weights.max() - weights.min()) / 65535
    np.testing.assert_allclose(np.reshape(rows, (3, 2, 5)), weights.transpose(0, 1), atol=step)
    np.testing.assert_allclose(np.reshape(columns, (5, 2, 3)), weights.permute(2, 0, 1), atol=step)


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
    assert run('import { decode } from "./data/source.js";\n', body, wrong) == "not a payload"


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
        ("r1c1", [0, 1], "r1c2"),
        ("r1c1", [-1, 0], "r0c1"),
        ("r2c4", [1, 0], "r2c4"),
        ("r1c0", [0, -1], "r1c0"),
        ("r0c0", [-1, 0], "cls"),
        ("r0c4", [-1, 0], "reg0"),
        ("cls", [0, 1], "reg0"),
        ("reg0", [0, 1], "reg0"),
        ("cls", [-1, 0], "cls"),
        ("reg0", [1, 0], "r0c3"),
    ]
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
        {"act": "layer", "by": -1},
        {"act": "move", "step": [-1, 0]},
        {"act": "read", "step": [-1, 0]},
        None,
        None,
        None,
        {"act": "release"},
    ]


def test_similar_patches_are_those_of_python(run: Run) -> None:
    """Half precision on the way: a similarity is within 0.001 or so of its value."""
    layout = TokenLayout(("cls",), (5, 7), (4, 4))
    random = np.random.default_rng(2)
    a, b = (PatchFeatures(random.normal(size=(35, 48)).astype(np.float32), layout, 0, "key") for _ in range(2))
    body = """
    const [a, b] = buffers.map((buffer) => new PatchVectors(decode(buffer)));
    const [own, other] = [a.similarities(9), b.similarities(9, a)];
    return [Array.from(own), Array.from(other), nearest(own), nearest(own, 9), nearest(other), nearest(new Float32Array())];"""
    imports = WEIGHTS.replace("LayerWeights, meanOfHeads", "nearest, PatchVectors")
    sent = [pack({"features": each.packed()}) for each in (a, b)]
    own, other, first, beside, there, none = run(imports, body, *sent)
    here, beyond = patch_similarity(a)[9], patch_similarity(a, b)[9]
    np.testing.assert_allclose(own, here, atol=1e-3)
    np.testing.assert_allclose(other, beyond, atol=1e-3)
    assert (first, beside, there, none) == (9, int(np.argsort(here)[-2]), int(beyond.argmax()), -1)


def test_each_patch_of_a_flipped_and_a_shifted_copy_is_found_again(run: Run) -> None:
    """Vectors of patches that are moved, not changed: every correspondence is known."""
    grid = (4, 6)
    values = np.random.default_rng(3).normal(size=(*grid, 32)).astype(np.float32)
    body = """
    const [here, there] = buffers.map((buffer) => new PatchVectors(decode(buffer)));
    return [...Array(here.count).keys()].map((patch) => nearest(there.similarities(patch, here)));"""
    place = np.arange(24).reshape(grid)
    for moved, expected in (
        (values[:, ::-1], place[:, ::-1]),
        (np.roll(values, (1, 2), (0, 1)), np.roll(place, (-1, -2), (0, 1))),
    ):
        both = [
            PatchFeatures(each.reshape(24, 32), TokenLayout((), grid, (4, 4)), 0, "key") for each in (values, moved)
        ]
        imports = WEIGHTS.replace("LayerWeights, meanOfHeads", "nearest, PatchVectors")
        found = run(imports, body, *(pack({"features": each.packed()}) for each in both))
        assert (
            found
            == expected.ravel().tolist()
            == correspondences(*both).target[np.argsort(correspondences(*both).source)].tolist()
        )


def test_panels_fill_the_width_and_stay_on_the_screen(run: Run) -> None:
    body = "return given.asked.map((each) => panelsFor(...each));"
    asked = [
        ("alike", [1, 1], 944, 800),
        ("alike", [1.5, 0.75], 688, 768),
        ("alike", [1, 1], 358, 844),
        ("painted", [1], 944, 800),
        ("painted", [1, 1, 1.4], 688, 768),
    ]
    for (mode, ratios, width, window), panels in zip(
        asked, run('import { panelsFor } from "./core/layout.js";\n', body, asked=asked), strict=True
    ):
        boxes = panels["boxes"]
        assert len(boxes) == len(ratios) * (1 if mode == "alike" else 2)
        assert all(box["left"] >= 0 and box["left"] + box["width"] <= width + 1 for box in boxes)
        assert panels["height"] <= window - 200
        assert min(box["height"] for box in boxes) > 100
        for box, ratio in zip(boxes, ratios if mode == "alike" else np.repeat(ratios, 2), strict=True):
            assert box["width"] / box["height"] == pytest.approx(ratio, abs=0.02)


def test_a_bias_over_displacements_is_laid_around_each_patch(run: Run) -> None:
    bias = np.random.default_rng(3).normal(size=(5, 3)).astype(np.float32)  # down -4..4 every 2 patches, across -1..1
    payload = pack({"bias": bias}, {"step": [2, 1]})
    body = "return Array.from(biasFrom(decode(buffers[0]), [1, 2], [6, 4]), (x) => (Number.isNaN(x) ? null : x));"
    code = 'import { biasFrom } from "./core/weights.js";\nimport { decode } from "./data/source.js";\n'
    found = np.reshape(run(code, body, payload), (6, 4))
    for row in range(6):
        for col in range(4):
            reached = (row - 1) % 2 == 0 and abs(row - 1) <= 4 and abs(col - 2) <= 1
            expected = pytest.approx(bias[(row - 1) // 2 + 2, col - 2 + 1], abs=1e-6) if reached else None
            assert found[row, col] == expected, (row, col)


def test_rows_are_computed_once_for_all_heads_and_kept_within_their_bytes(run: Run) -> None:
    imports = 'import { RowCache } from "./core/weights.js";\n'
    body = """
    const asked = [];
    const row = (token) => { asked.push(token); return Float32Array.from([token, 1, 2, token + 2, 3, 6]); };
    const rows = new RowCache({ heads: 2, keys: 3, row }, 2 * 4 * 9);  // two rows: two heads and their mean, of three keys
    const first = [rows.of(5), rows.of(5, 0), rows.of(5, 1)].map((values) => [...values]);
    for (const token of [7, 5, 8, 7, 5]) rows.of(token);
    return [first, asked];"""
    first, asked = run(imports, body)
    assert first == [[6, 2, 4], [5, 1, 2], [7, 3, 6]]
    assert asked == [5, 7, 8, 5]  # 8 took the place of the oldest, 5
    body = "return [...new RowCache({ heads: 1, keys: 2, row: () => Float32Array.of(3, 4) }, 0).of(0)];"
    assert run(imports, body) == [3, 4]  # the row that is asked about, however large it is
    body = """
    const asked = [];
    const row = (token) => { asked.push(token); return Float32Array.from([token, 1, 2, token + 2, 3, 6]); };
    const weights = { heads: 2, queries: 3, keys: 3, row };
    const [rows, large] = [new RowCache(weights, 36), new RowCache(weights, 35)];  // three means of three keys
    const before = [rows.complete, large.complete];
    rows.prepare();
    rows.prepare();
    const means = [0, 1, 2, 0].map((token) => [...rows.of(token)]), head = [...rows.of(0, 1)];
    rows.prepare();
    return [before, means, head, rows.complete, asked];"""
    before, means, head, complete, asked = run(imports, body)
    assert before == [False, True] and complete  # what would take more bytes is never computed in advance
    assert means == [[1, 2, 4], [2, 2, 4], [3, 2, 4], [1, 2, 4]] and head == [2, 3, 6]
    assert asked == [0, 1, 2, 0, 2]
