"""Models of windows and stages: each layer on its own grid, and what is refused for windows."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.staged import SMALL, built, traced
from vitviz.analysis.attention import entropy, head_statistics, sink_tokens
from vitviz.analysis.methods import explain
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError


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
