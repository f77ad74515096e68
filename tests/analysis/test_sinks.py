"""Value-weighted attention against the projection done by hand, and the sink inspector."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from tests.analysis.traces import trace_of
from tests.capture.families import FAMILIES, SMALL, build
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.rollout import RolloutOptions, rollout
from vitviz.analysis.sinks import (
    MASS_TIMES,
    NORM_TIMES,
    attention_mass,
    exclude_tokens,
    outlying,
    rollout_sinks,
    token_norms,
    token_outliers,
    value_norms,
    value_weighted,
)
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout

PLAIN = FAMILIES[0]


@pytest.fixture(scope="module")
def recorded():
    module, x, layout = build(PLAIN)
    return module, layout, record(module, x, layout, keep_values=True).layers[1]


def test_norms_of_what_each_key_adds(recorded):
    module, layout, layer = recorded
    weight = module.blocks[1].attn.proj.weight
    row = layer.row(3)
    for head in range(3):
        for key in range(layout.num_tokens):
            written = torch.zeros(48)
            written[head * 16 : (head + 1) * 16] = row[head, key] * layer.v[head, key]
            added = weight @ written
            assert value_weighted(layer, module, 3)[head, key] == pytest.approx(float(added.norm()), rel=1e-4, abs=1e-6)


def test_a_module_in_double_precision_has_the_same_norms(recorded):
    module, x, layout = build(PLAIN)
    layer = record(module.double(), x.double(), layout, keep_values=True).layers[1]
    expected = value_weighted(recorded[2], recorded[0], 3)
    torch.testing.assert_close(value_weighted(layer, module, 3).float(), expected, atol=1e-5, rtol=1e-4)


def test_norms_of_a_pass_that_keeps_no_values_are_the_same(monkeypatch):
    module, x, layout = build(PLAIN)
    monkeypatch.setattr("vitviz.analysis.sinks.KEYS_AT_ONCE", 5)
    seen: list[tuple[int, int]] = []
    found = value_norms(BareModel(module, layout), x[0], lambda *done: seen.append(done))
    layers = record(module, x, layout, keep_values=True).layers
    assert seen == [(done, len(layers)) for done in range(1, len(layers) + 1)]
    for norms, layer in zip(found, layers, strict=True):
        slices = module.get_submodule(layer.name).proj.weight.unflatten(
            1, (layer.v.shape[0], -1)
        )  # (width, heads, dim)
        expected = torch.einsum("hkd,whd->hkw", layer.v, slices).norm(dim=-1)  # no LayerScale in this model
        torch.testing.assert_close(norms, expected, atol=1e-5, rtol=1e-4)


def test_what_has_no_length_is_refused(recorded):
    module, layout, layer = recorded
    _, x, _ = build(PLAIN)
    with pytest.raises(ValueError, match="keep_values"):
        value_weighted(record(module, x, layout).layers[0], module, 0)
    other = build(PLAIN)[0]
    other.blocks[1].attn.proj = torch.nn.Identity()
    with pytest.raises(UnsupportedError, match="straight into one linear projection"):
        value_weighted(layer, other, 0)


def test_attention_mass_and_its_outliers():
    weights = torch.full((2, 6, 6), 0.02)
    weights[..., 2] = 0.9
    trace = trace_of(weights, prefix=("cls",), grid=(1, 5))
    mass = attention_mass(trace)
    np.testing.assert_allclose(mass, [[0.02, 0.02, 0.9, 0.02, 0.02, 0.02]], atol=1e-6)
    assert outlying(mass, 1, 10).tolist() == [[False, False, True, False, False, False]]


@pytest.mark.parametrize(("times", "above", "below"), [(NORM_TIMES, 3.1, 2.9), (MASS_TIMES, 10.1, 9.9)])
def test_what_stands_out_where_no_threshold_is_given(times, above, below):
    """A norm of 3 times the median patch's, a mass of 10 times."""
    values = np.array([[1, 1, 1, 1, 1, above, below]])
    assert outlying(values, 0, times).tolist() == [[False] * 5 + [True, False]]


def test_norms_are_relative_to_the_images_median_patch():
    module, x, layout = build(FAMILIES[3])
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))
    norms = token_norms(question)
    assert norms.shape == (3, layout.num_tokens)
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(norms[-1]), question.hidden_states.states[-1][0].norm(dim=-1))
    found = token_outliers(question, norm_times=1.2, mass_times=1.5)
    for layer in range(3):
        median = sorted(norms[layer, layout.num_prefix :])[11:13]
        expected = norms[layer] > 1.2 * sum(median) / 2
        assert (found.by_norm[layer] == expected).all()
    assert found.tokens == tuple(np.flatnonzero(found.by_norm.any(0) | found.by_mass.any(0)))
    doubled = outlying(norms * 2, layout.num_prefix, 1.2)
    assert (doubled == found.by_norm).all()


def test_rows_without_their_sinks_sum_to_one():
    layout = TokenLayout(("cls",), (1, 3), (2, 2))
    rows = torch.tensor([[0.1, 0.6, 0.2, 0.1]])
    torch.testing.assert_close(exclude_tokens(rows, (1,), layout), torch.tensor([[0.25, 0.0, 0.5, 0.25]]))
    assert rows[0, 1] == pytest.approx(0.6)
    with pytest.raises(IndexError):
        exclude_tokens(rows, (4,), layout)


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[3], FAMILIES[4], FAMILIES[11]], ids=str)
def test_a_share_is_what_the_token_loses_when_that_value_is_zero(family):
    """LayerScale included: the model itself is run with one value of one head at zero, and the token's change is measured."""
    module, x, layout = build(family)
    query, key, head, size = layout.num_prefix + 2, layout.num_prefix + 7, 1, 16
    block, states = module.blocks[1], []

    def without(_module, _inputs, made):  # (1, tokens, 3 * heads * size), values last
        made = made.clone()
        made[:, key, 2 * 48 + head * size : 2 * 48 + (head + 1) * size] = 0
        return made

    handle = block.norm2.register_forward_pre_hook(lambda _module, inputs: states.append(inputs[0][0, query]))
    with torch.inference_mode():
        module(x)
        zeroing = block.attn.qkv.register_forward_hook(without)
        module(x)
        zeroing.remove()
    handle.remove()
    lost = float((states[0] - states[1]).norm())
    layer = record(module, x, layout).layers[1]
    share = layer.row(query)[head, key] * value_norms(BareModel(module, layout), x[0])[1][head, key]
    assert float(share) == pytest.approx(lost, rel=1e-3, abs=1e-6)
    kept = record(module, x, layout, keep_values=True).layers[1]
    assert float(value_weighted(kept, module, query)[head, key]) == pytest.approx(lost, rel=1e-3, abs=1e-6)


def test_what_is_normalised_before_it_is_added_has_no_length():
    module = timm.create_model("vit_relpos_small_patch16_rpn_224", img_size=64, num_classes=7, **SMALL).eval()
    layout = layout_of(module, "vit_relpos_small_patch16_rpn_224", (64, 64))
    with pytest.raises(UnsupportedError, match="normalises what its attention gives"):
        value_norms(BareModel(module, layout), torch.randn(3, 64, 64))


def _looks(grid: int, sinks: dict[int, float], blob: dict[int, float]) -> torch.Tensor:
    """(1, tokens, tokens) weights in which every query looks at the `sinks`, and only the first token at `blob`."""
    tokens = 1 + grid * grid
    rows = torch.full((1, tokens, tokens), 0.01)
    for key, weight in sinks.items():
        rows[..., key] = weight
    for key, weight in blob.items():
        rows[:, 0, key] = weight
    return rows / rows.sum(-1, keepdim=True)


def test_a_planted_sink_is_the_peak_of_a_rollout_and_left_out_of_the_other_map():
    # An object of nine patches around (5, 5) for the class token; a sink at (1, 2) for every token.
    blob = {1 + 8 * row + col: 0.3 for row in (4, 5, 6) for col in (4, 5, 6)}
    sink = 1 + 8 * 1 + 2
    layers = [_looks(8, {sink: 3.0}, blob), _looks(8, {}, blob)]
    traced = trace_of(*layers, prefix=("cls",), grid=(8, 8))
    heatmap = rollout(traced, "cls")
    found = rollout_sinks(traced, heatmap)
    assert found.cells == ((1, 2),) and found.peak_is_sink
    by_hand = (torch.eye(65) / 2 + layers[1][0] / 2) @ (torch.eye(65) / 2 + layers[0][0] / 2)
    on_patches = by_hand[0, 1:]
    assert found.share == pytest.approx(float(on_patches[sink - 1] / on_patches.sum()), rel=1e-5)
    expected = heatmap.values.copy()
    expected[1, 2] = 0
    np.testing.assert_array_equal(found.without_sinks.values, expected)
    assert found.without_sinks.peak[:2] in {(row, col) for row in (4, 5, 6) for col in (4, 5, 6)}
    # A layer that was not multiplied has no say.
    late = RolloutOptions(first_layer=1)
    assert rollout_sinks(traced, rollout(traced, "cls", late), late).cells == ()


def test_an_object_that_every_query_looks_at_is_no_sink():
    blob = {1 + 8 * row + col: 3.0 for row in (4, 5, 6) for col in (4, 5, 6)}
    traced = trace_of(_looks(8, blob, {}), prefix=("cls",), grid=(8, 8))
    assert outlying(attention_mass(traced), 1, 10.0).sum() == 9  # by mass alone each of its patches would be one
    found = rollout_sinks(traced, rollout(traced, "cls"))
    assert found.cells == () and not found.peak_is_sink and found.share == 0


def test_a_sink_beside_a_stronger_object_is_marked_and_not_the_peak():
    blob = {1 + 8 * row + col: 9.0 for row in (4, 5, 6) for col in (4, 5, 6)}
    traced = trace_of(_looks(8, {11: 1.0}, blob), prefix=("cls",), grid=(8, 8))
    found = rollout_sinks(traced, rollout(traced, "cls"))
    assert found.cells == ((1, 2),) and not found.peak_is_sink and 0 < found.share < 0.1


def test_two_sinks_side_by_side_are_both_found_and_three_are_a_thing():
    traced = trace_of(_looks(8, {10: 3.0, 11: 3.0}, {}), prefix=("cls",), grid=(8, 8))
    found = rollout_sinks(traced, rollout(traced, "cls"))
    assert set(found.cells) == {(1, 1), (1, 2)} and found.peak_is_sink
    traced = trace_of(_looks(8, {10: 3.0, 11: 3.0, 18: 3.0}, {}), prefix=("cls",), grid=(8, 8))
    assert rollout_sinks(traced, rollout(traced, "cls")).cells == ()
