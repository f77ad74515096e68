"""What the outputs of transformers' models are computed from."""

from __future__ import annotations

import pytest
import torch

import vitviz
from tests.models.hugging_face.tiny import CASES, TINIES, picture
from vitviz.analysis.queries import default_query
from vitviz.tracing import trace_input

ANSWERS = {
    "Dinov2ForImageClassification": ("cls", "mean"),
    "Dinov2WithRegistersForImageClassification": ("cls", "mean"),
    "CLIPForImageClassification": ("mean",),
    "SiglipForImageClassification": ("mean",),
    "SiglipVisionModel": ("pool",),
    "SiglipModel": ("pool",),
}


@pytest.mark.parametrize("tiny", CASES)
def test_what_the_output_is_computed_from(tiny, written):
    model = written(tiny).sized
    pixels = picture(tiny)[0]
    asked = default_query(trace_input(model, pixels))
    averages = tiny.arguments.get("vision_use_head") is False
    assert asked.names == (("mean",) if averages else ANSWERS.get(tiny.made, ("cls",)))


@pytest.mark.parametrize("tiny", [t for t in TINIES if ANSWERS.get(t.made) == ("cls", "mean")], ids=str)
def test_class_token_and_mean_have_the_shares_of_their_weights(tiny, written):
    weight = written(tiny).eager.classifier.weight  # of the class token, then of the mean: the output is linear in them
    width = weight.shape[1] // 2
    one, two = float(weight[:, :width].norm()), float(weight[:, width:].norm())
    trace = trace_input(written(tiny).sized, picture(tiny)[0])
    assert dict(default_query(trace).shares)["cls"] == pytest.approx(one / (one + two), abs=5e-3)
    matrix = vitviz.rollout_matrix(trace)
    first = trace.layout.num_prefix
    share = dict(default_query(trace).shares)["cls"]
    expected = share * matrix[0] + (1 - share) * matrix[first:].mean(0)
    torch.testing.assert_close(vitviz.rollout_row(trace), expected)
