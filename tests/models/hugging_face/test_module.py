"""`problem_type` of a configuration, read as transformers' own pipeline for image classification reads it."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import vitviz
from tests.models.hugging_face.tiny import CASES, TINIES, Tiny, picture, transformers, write
from vitviz.analysis.queries import default_query
from vitviz.errors import NotFiniteError
from vitviz.models import load_model
from vitviz.outputs import OutputKind
from vitviz.tracing import trace_input


def folder_with(tmp_path, logits: list[float], **fields):
    """A tiny ViT whose head gives these logits whatever the picture is."""
    tiny = Tiny("ViTForImageClassification", "ViTConfig", ("cls",), "ViTImageProcessor", {"num_labels": len(logits)})
    write(tiny, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["classifier.weight"].zero_()
    weights["classifier.bias"] = torch.tensor(logits)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    return tmp_path


@pytest.mark.parametrize(
    ("logits", "fields", "kind", "values"),
    [
        ([2.44, 1.9, -3.0], {"problem_type": "multi_label_classification"}, OutputKind.LABELS, (0.92, 0.87, 0.047)),
        ([-4.54], {}, OutputKind.LABELS, (0.011,)),
        ([3.25], {"problem_type": "regression"}, OutputKind.NUMBERS, (3.25,)),
        ([1.0, 0.0], {"problem_type": "single_label_classification"}, OutputKind.CLASSES, (0.731, 0.269)),
        ([1.0, 0.0], {}, OutputKind.CLASSES, (0.731, 0.269)),
    ],
)
def test_the_problem_type_is_followed(tmp_path, logits, fields, kind, values):
    folder = folder_with(tmp_path, logits, **fields)
    model = load_model(f"hf:{folder}")
    assert model.output_kind is kind
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    found = vitviz.top_predictions(trace.logits, model)
    assert [one.value for one in found] == pytest.approx(values, abs=1e-3)

    pipeline = transformers.pipeline("image-classification", model=str(folder))
    # Some versions take the sigmoid of a single number.
    plain = {"function_to_apply": "none"} if kind is OutputKind.NUMBERS else {}
    theirs = pipeline(vitviz.load_sample("cat"), **plain)
    assert [one["score"] for one in theirs] == pytest.approx([one.value for one in found], abs=1e-4)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    folder = folder_with(tmp_path, [0.0, float("nan"), 1.0])
    with pytest.raises(NotFiniteError, match=r"classifier.bias \(1 of 3"):
        load_model(f"hf:{folder}")


# What the outputs of transformers' models are computed from.


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
