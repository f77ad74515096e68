"""Models of windows and stages leave the same kind of trace as others, each layer on its own grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vitviz
from tests.analysis.staged import SMALL, built, traced
from vitviz.analysis.attention import entropy, head_statistics, sink_tokens
from vitviz.analysis.head_rollout import head_rollout, head_rollouts
from vitviz.analysis.methods import explain
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.rollout import head_fused_nbytes, head_fused_traces, rollout, rollout_matrix
from vitviz.analysis.sinks import attention_mass
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.samples import load_sample, samples
from vitviz.tracing import trace_input


@pytest.mark.parametrize("name", SMALL)
def test_queries_and_keys_keep_nothing_else_alive(name):
    layers = traced(name).all_layers
    kept = [t for layer in layers for t in (layer.q, layer.k) if t is not None]
    assert kept or all(layer.explicit is not None for layer in layers)
    for tensor in kept:
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


@pytest.mark.parametrize("name", SMALL)
def test_one_recording_puts_each_layer_on_its_own_grid_and_says_that_they_are_no_sequence(name):
    trace, module = traced(name), built(name)
    found = record(module, trace.input[None], trace.layout)
    assert [layer.name for layer in found.layers] == [layer.name for layer in trace.layers]
    for one, other in zip(found.layers, trace.layers, strict=True):
        assert (one.query_layout, one.key_layout) == (other.query_layout, other.key_layout)
        assert torch.equal(one.row(0), other.row(0))
    assert found.not_sequential and found.not_sequential == trace.not_sequential


@pytest.mark.parametrize(
    "multiply",
    [
        rollout,
        rollout_matrix,
        head_rollouts,
        head_fused_traces,
        head_fused_nbytes,
        lambda t: head_rollout(t, 0, 0),
        attention_mass,
    ],
)
def test_what_multiplies_layers_refuses_those_that_are_no_sequence(multiply):
    with pytest.raises(UnsupportedError, match="consecutive layers over one grid.*inside windows"):
        multiply(traced("swin_tiny_patch4_window7_224"))


def test_a_question_about_one_grid_is_refused_for_windows():
    trace = traced("swin_tiny_patch4_window7_224")
    model = BareModel(built(trace.model_name), trace.layout, trace.model_name)
    for method in ("attention", "rollout", "relevance", "legrad"):
        with pytest.raises(UnsupportedError):
            explain(Question(model, trace.input, ClassLogit(0)), method)


@pytest.mark.parametrize("measure", [head_statistics, entropy, sink_tokens])
def test_numbers_over_all_keys_are_refused_for_windows(measure):
    with pytest.raises(UnsupportedError, match="inside windows"):
        measure(traced("swin_tiny_patch4_window7_224").layers[0])


def test_a_trace_carries_the_image_that_it_is_of():
    model = vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=(32, 48))
    image = load_sample(samples()[0].id)
    trace = vitviz.trace(model, image, framing="squash")
    prepared = vitviz.prepare(model, image, "squash")
    assert (trace.image_hash, trace.framing) == (vitviz.image_hash(image), "squash")
    assert np.array_equal(trace.shown, np.asarray(prepared.shown)) and trace.shown.shape == (32, 48, 3)
    assert trace.not_sequential == "" and len(trace.sequence("Anything")) == trace.num_layers
    assert trace_input(model, prepared.input).image_hash == ""
