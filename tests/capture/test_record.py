"""What is captured is what the model computed: over every kind of model that attends globally, to the last digit."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.capture.families import FAMILIES, build, explicit_weights
from vitviz.capture.attention import Attention, BiasTable
from vitviz.capture.record import record


def test_weights_equal_the_models_own_unfused_path(recorded):
    _, module, x, _, recording = recorded
    expected = explicit_weights(module, x)
    assert len(recording.layers) == len(expected) == 2
    for layer, weights in zip(recording.layers, expected, strict=True):
        assert layer.weights().shape == weights.shape
        torch.testing.assert_close(layer.weights(), weights, atol=1e-5, rtol=0)  # two ways to round single precision


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_weights_are_exact_where_rounding_is_out_of_the_way(family):
    """The same in double precision, where the fused and the unfused path can only differ if they mean different things."""
    module, x, layout = build(family)
    module, x = module.double(), x.double()
    recording = record(module, x, layout)
    for layer, weights in zip(recording.layers, explicit_weights(module, x), strict=True):
        torch.testing.assert_close(layer.weights(), weights, atol=1e-9, rtol=0)
        torch.testing.assert_close(layer.column(2), weights[:, :, 2], atol=1e-9, rtol=0)


def test_attention_is_far_from_uniform_and_rows_sum_to_one(recorded):
    _, _, _, layout, recording = recorded
    for layer in recording.layers:
        weights = layer.weights()
        assert weights.max() > 10 / max(layout.num_tokens, 11)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]), atol=1e-5, rtol=0)
        assert layer.rows_sum_to_one


def test_logits_are_bit_identical(recorded):
    _, module, x, _, recording = recorded
    with torch.inference_mode():
        assert torch.equal(module(x)[0], recording.logits)


def test_layout_names_every_token(recorded):
    family, _, _, layout, recording = recorded
    assert (layout.prefix, layout.grid) == (family.prefix, family.grid)
    assert all(layer.query_layout == layer.key_layout == layout for layer in recording.layers)


def _changed(layer: Attention, **changes) -> float:
    """How far weights move when a part is left out; log-sum-exp is left out too, so that rows still sum to 1."""
    return (dataclasses.replace(layer, lse=None, **changes).weights() - layer.weights()).abs().max().item()


def test_leaving_out_bias_or_scale_would_be_noticed(recorded):
    family, *_, recording = recorded
    for layer in recording.layers:
        assert _changed(layer, scale=1.0) > 1e-2
        assert (layer.bias is not None) == family.bias
        if family.bias:
            assert _changed(layer, bias=None) > 1e-2


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.rotary or f.normed], ids=str)
def test_leaving_out_rotation_or_norm_would_be_noticed(family):
    """The queries of the recording are those after rotation and norm: the packed projection alone gives other weights."""
    module, x, layout = build(family)
    recording = record(module, x, layout)
    inputs = []
    block = module.blocks[0]
    handle = block.attn.register_forward_hook(lambda _m, args, _out: inputs.append(args[0]))
    with torch.inference_mode():
        module(x)
    handle.remove()
    layer = recording.layers[0]
    width = layer.num_heads * layer.q.shape[-1]
    if getattr(block.attn, "qkv", None) is not None:
        packed = block.attn.qkv(inputs[0])[0]  # (tokens, 3 * width)
    else:
        packed = torch.cat([block.attn.q_proj(inputs[0]), block.attn.k_proj(inputs[0])], -1)[0]
    q, k = (part.unflatten(-1, (layer.num_heads, -1)).transpose(0, 1) for part in packed.split(width, -1)[:2])
    assert _changed(layer, q=q, k=k) > 1e-2


def test_relative_bias_is_kept_as_a_table_where_the_model_has_one():
    family = next(f for f in FAMILIES if f.architecture == "beit_base_patch16_224")
    module, x, layout = build(family)
    for layer in record(module, x, layout).layers:
        assert isinstance(layer.bias, BiasTable)
        assert layer.bias.table.shape == ((2 * 4 - 1) * (2 * 6 - 1) + 3, 3)
