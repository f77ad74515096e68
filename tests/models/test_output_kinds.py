"""What a loaded model's outputs are: from a checkpoint's JSON, a configuration of transformers, or the registry."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import vitviz
from vitviz.errors import ModelError, NotFiniteError, UnsupportedError
from vitviz.models import load_model
from vitviz.models.registry import build
from vitviz.outputs import OutputKind


def checkpoint(folder, outputs: int, change=None, **fields):
    module = build("test_vit", seed=2, num_classes=outputs)
    with torch.no_grad():
        if change is not None:
            change(module)
    path = folder / "own.safetensors"
    save_file(module.state_dict(), path)
    path.with_suffix(".json").write_text(json.dumps({"architecture": "test_vit", **fields}), encoding="utf-8")
    return str(path)


def answering(*logits: float):
    """The head gives these logits whatever the picture is."""

    def change(module) -> None:
        module.head.weight.zero_()
        module.head.bias.copy_(torch.tensor(logits))

    return change


@pytest.mark.parametrize(
    ("outputs", "fields", "kind"),
    [
        (1, {"num_classes": 1}, OutputKind.LABELS),
        (1, {"labels": ["defect"]}, OutputKind.LABELS),
        (1, {"num_classes": 1, "problem_type": "regression"}, OutputKind.NUMBERS),
        (1, {"num_classes": 1, "problem_type": "single_label_classification"}, OutputKind.LABELS),
        (3, {"num_classes": 3}, OutputKind.CLASSES),
        (3, {"labels": ["a", "b", "c"], "problem_type": "multi_label_classification"}, OutputKind.LABELS),
        (3, {"num_classes": 3, "problem_type": "features"}, OutputKind.FEATURES),
        (0, {"num_classes": 0}, OutputKind.FEATURES),
        (0, {"num_classes": 0, "labels": []}, OutputKind.FEATURES),
    ],
)
def test_a_checkpoint_says_what_its_outputs_are(tmp_path, outputs, fields, kind):
    model = load_model(checkpoint(tmp_path, outputs, **fields))
    assert model.output_kind is kind
    assert (model.labels is None) == (not fields.get("labels"))
    assert vitviz.models.resized(model, (96, 96)).output_kind is kind


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_classes": 3, "problem_type": "softmax"}, "problem_type has to be one of single_label_classification"),
        ({"num_classes": 3, "problem_type": 1}, "problem_type has to be one of"),
        ({"num_classes": 0, "problem_type": "regression"}, "num_classes is 0"),
        ({"labels": ["a", "b", "c"], "problem_type": "features"}, "there are labels"),
        ({"labels": []}, "labels is empty"),
        ({"labels": [], "num_classes": 3}, "0 labels for 3 classes"),
        ({"labels": "a\0b"}, "not a file beside the checkpoint"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path, fields, words):
    with pytest.raises(ModelError, match=words):
        load_model(checkpoint(tmp_path, 3, **fields))


def test_labels_that_are_not_utf8_are_refused_and_a_byte_order_mark_is_none(tmp_path):
    path = checkpoint(tmp_path, 2, labels="names.txt")
    (tmp_path / "names.txt").write_bytes("café\nthé\n".encode("latin-1"))
    with pytest.raises(ModelError, match=r"names.txt is not text in UTF-8"):
        load_model(path)
    (tmp_path / "names.txt").write_text("café\nthé\n", encoding="utf-8-sig")
    assert load_model(path).labels == ("café", "thé")


def test_labels_are_one_printable_line(tmp_path):
    given = ["two\nlines\tof  text", "a\u202ereversed\ud800 half", "x" * 4000, "\N{WOMAN}\u200d\N{ROCKET}"]
    labels = load_model(checkpoint(tmp_path, 4, labels=given)).labels
    assert labels[:2] == ("two lines of text", "areversed half")
    assert len(labels[2]) == 300 and labels[3] == "\N{WOMAN}\u200d\N{ROCKET}"


def test_one_output_is_a_sigmoid(tmp_path):
    model = load_model(checkpoint(tmp_path, 1, answering(-4.54), labels=["defect"]))
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    for best in (vitviz.top_predictions(trace.logits, model)[0], vitviz.top_predictions(trace.logits)[0]):
        assert best.probability == pytest.approx(0.011, abs=5e-4)  # 1 / (1 + e^4.54)
        assert best.text == "1.1%"


def test_plain_numbers_are_no_probabilities(tmp_path):
    path = checkpoint(tmp_path, 2, answering(3.25, -7.0), num_classes=2, problem_type="regression")
    model = load_model(path)
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    found = vitviz.top_predictions(trace.logits, model)
    assert [(one.label, one.probability, one.text) for one in found] == [
        ("output 0", None, "3.25"),
        ("output 1", None, "-7"),
    ]


def test_features_name_nothing(tmp_path):
    model = load_model("vit_pe_core_tiny_patch16_384", weights="random", input_size=64)
    assert model.output_kind is OutputKind.FEATURES and model.labels is None
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    with pytest.raises(UnsupportedError, match="no classifier"):
        vitviz.top_predictions(trace.logits, model)
    with pytest.raises(UnsupportedError, match="no classifier"):
        vitviz.Question(model, trace.input, vitviz.ClassLogit(42))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, value):
    def spoil(module) -> None:
        module.blocks[1].mlp.fc1.weight[3, 4] = value
        module.norm.bias[:2] = value

    path = checkpoint(tmp_path, 3, spoil, num_classes=3)
    with pytest.raises(NotFiniteError, match=r"in 2 of \d+ tensors: .*fc1.weight \(1 of .*norm.bias \(2 of 64"):
        load_model(path)


def test_an_infinite_bound_in_a_buffer_is_no_fault():
    from vitviz.models.weights import refuse_not_finite

    module = torch.nn.BatchNorm1d(2)
    module.register_buffer("input_min", torch.tensor(float("-inf")))
    refuse_not_finite(module, "The weights")
    module.running_var[1] = float("inf")
    with pytest.raises(NotFiniteError, match=r"running_var \(1 of 2"):
        refuse_not_finite(module, "The weights")
