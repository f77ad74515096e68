"""Stages, windows, pooled keys and class attention: the model's own weights, in their places on the image, to the
last digit.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from timm.models import model_entrypoint

from tests.capture.families import FAMILIES
from tests.capture.variants import LONG, VARIANTS, Variant, WithoutMixing, build, explicit_weights
from vitviz.capture.attention import Attention
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.layers import attention_at
from vitviz.capture.observe import observe
from vitviz.capture.record import record
from vitviz.capture.windows import WindowedAttention

PAGE = Path(__file__).parents[2] / "docs" / "supported-models.md"
CASES = [pytest.param(v, marks=pytest.mark.long if v.architecture in LONG else (), id=str(v)) for v in VARIANTS]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    variant: Variant = request.param
    module, x = build(variant)
    return variant, module, x, placements_of(module, variant.size)


def captured(module, x, placements):
    """[(placement, attention)] of every call that has a place."""
    made, calls = [], iter(placements)

    def receive(call):
        placement = next(calls)
        assert placement.module == call.module and placement.shape == call.shape
        if placement.placed:
            made.append((placement, attention_at(call, placement, module)))

    with torch.inference_mode(), observe(module, receive):
        module(x)
    assert next(calls, None) is None
    return made


def test_every_kind_of_attention_is_found(case):
    variant, _, _, placements = case
    assert {p.kind for p in placements} == variant.kinds


def test_weights_equal_the_models_own_unfused_path(case):
    _, module, x, placements = case
    own = [w for w, p in zip(explicit_weights(module, x, placements), placements, strict=True) if p.placed]
    made = captured(module, x, placements)
    assert len(own) == len(made)
    for (placement, attention), weights in zip(made, own, strict=True):
        weights = weights.reshape(-1, *weights.shape[-2:])[placement.members]  # (windows, heads, queries, keys)
        assert weights.max() > min(10 / weights.shape[-1], 0.6)
        for window in range(0, len(weights), max(1, len(weights) // 5)):
            queries, keys = placement.query_tokens[window], placement.key_tokens[window]
            queries_in, keys_in = queries >= 0, keys >= 0
            expected = torch.zeros(weights.shape[1], int(queries_in.sum()), attention.num_keys, dtype=torch.float64)
            expected[:, :, keys[keys_in]] = weights[window][:, queries_in][:, :, keys_in]
            rows = attention.rows(queries[queries_in])
            torch.testing.assert_close(rows, expected, atol=1e-9, rtol=0)
            token = int(keys[keys_in][0])
            held = [p for p in (placement.key_tokens == token).nonzero()[:, 0].tolist() if p == window]
            assert held
            column = attention.column(token)
            torch.testing.assert_close(column[:, queries[queries_in]], rows[:, :, token], atol=1e-9, rtol=0)


def test_logits_are_bit_identical_and_nothing_is_left_behind(case):
    _, module, x, placements = case
    if not any(p.placed for p in placements):
        return
    with torch.inference_mode():
        plain = module(x)
    recording = record(module, x, None)
    assert torch.equal(recording.logits, plain[0].float())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert len(recording.left_out) == sum(not p.placed for p in placements)


def test_rows_sum_to_one_wherever_a_layer_says_so(case):
    _, module, x, placements = case
    for _, attention in captured(module, x, placements):
        rows = attention.rows(slice(0, 5)).sum(-1)
        if attention.rows_sum_to_one:
            torch.testing.assert_close(rows, torch.ones_like(rows), atol=1e-6, rtol=0)


def test_tokens_are_where_a_touched_pixel_says(case):
    """With all mixing switched off, touching one spot of the picture changes the queries and keys at that spot the most."""
    variant, module, x, placements = case
    if variant.architecture.startswith("cait"):
        pytest.skip("its heads are mixed with a bias, which mixes tokens even where weights are zero")
    untouched, checked = without_mixing(module, x), 0
    for down, right in [(0.1, 0.8), (0.45, 0.3), (0.9, 0.55)]:
        row, col = int(down * variant.size[0]), int(right * variant.size[1])
        touched = x.clone()
        touched[:, :, row - 3 : row + 4, col - 3 : col + 4] += 1
        for placement, before, after in zip(placements, untouched, without_mixing(module, touched), strict=True):
            if not placement.placed:
                continue
            pairs = [(before.k, after.k) if before.fused else (before.v, after.v)]
            sides = [(*pairs[0], placement.key_tokens, placement.key_layout)]
            if before.fused:
                sides.append((before.q, after.q, placement.query_tokens, placement.query_layout))
            for old, new, tokens, layout in sides:
                change = (old - new).abs().sum(-1).reshape(-1, old.shape[-2])[placement.members[:, 0]]
                if change.max() < 1e-9 * old.abs().max():  # nothing of the picture comes this far without attention
                    continue
                found = tokens[
                    (change == change.max()) & (tokens >= layout.num_prefix)
                ]  # gates over the whole map reach further, weakly
                rows, cols = layout.grid
                for token in found.tolist():
                    cell = layout.cell_of(token)
                    away = (
                        abs((cell[0] + 0.5) / rows * variant.size[0] - row),
                        abs((cell[1] + 0.5) / cols * variant.size[1] - col),
                    )
                    reach = 2 * variant.size[0] / rows + 8, 2 * variant.size[1] / cols + 8
                    assert away[0] <= reach[0] and away[1] <= reach[1], f"{placement.module}: {cell} of {layout.grid}"
                    checked += 1
    assert checked


def without_mixing(module, x):
    calls = []
    with torch.inference_mode(), WithoutMixing(), observe(module, calls.append):
        module(x)
    return calls


def test_windows_hold_each_query_once(case):
    *_, placements = case
    assert any(placement.placed for placement in placements)
    for placement in placements:
        if placement.placed:
            tokens = placement.query_tokens[placement.query_tokens >= 0]
            assert sorted(tokens.tolist()) == list(range(placement.query_layout.num_tokens))


def test_kinds_of_attention_come_in_their_own_types(case):
    _, module, x, placements = case
    for placement, attention in captured(module, x, placements):
        assert isinstance(
            attention, WindowedAttention if placement.kind == "windowed" else Attention | WindowedAttention
        )


def family_of(architecture: str) -> str:
    return model_entrypoint(architecture).__module__


def test_every_family_that_is_shown_is_held_against_its_own_weights():
    shown = re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").split("## Global")[1].split("## Refused")[0])
    assert len(shown) > 600
    held = {family_of(small.architecture) for small in (*FAMILIES, *VARIANTS)}
    assert {family_of(name) for name in shown} - held == set()
