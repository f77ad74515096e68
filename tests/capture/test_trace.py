"""A trace carries the image that it is of, and says where its layers are no sequence."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from tests.analysis.staged import traced
from vitviz.analysis.head_rollout import head_rollout, head_rollouts
from vitviz.analysis.rollout import head_fused_nbytes, head_fused_traces, rollout, rollout_matrix
from vitviz.analysis.sinks import attention_mass
from vitviz.errors import UnsupportedError
from vitviz.samples import load_sample, samples
from vitviz.tracing import trace_input


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


def test_a_trace_carries_the_image_that_it_is_of():
    model = vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=(32, 48))
    image = load_sample(samples()[0].id)
    trace = vitviz.trace(model, image, framing="squash")
    prepared = vitviz.prepare(model, image, "squash")
    assert (trace.image_hash, trace.framing) == (vitviz.image_hash(image), "squash")
    assert np.array_equal(trace.shown, np.asarray(prepared.shown)) and trace.shown.shape == (32, 48, 3)
    assert trace.not_sequential == "" and len(trace.sequence("Anything")) == trace.num_layers
    assert trace_input(model, prepared.input).image_hash == ""
