"""What a model's outputs are, found from its module, its configuration or the registry, and how numbers are read."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import get_pretrained_cfg, split_model_name_tag

import vitviz
from vitviz.errors import ModelError, NotFiniteError, UnsupportedError
from vitviz.models import load_model
from vitviz.models.registry import build
from vitviz.outputs import OutputKind, has_classifier, output_kind, output_name


def test_values_by_hand():
    logits = torch.tensor([2.0, 0.5, -4.54])
    whole = math.exp(2.0) + math.exp(0.5) + math.exp(-4.54)
    assert OutputKind.CLASSES.read(logits).tolist() == pytest.approx([math.exp(v) / whole for v in (2.0, 0.5, -4.54)])
    assert OutputKind.LABELS.read(logits).tolist() == pytest.approx([1 / (1 + math.exp(-v)) for v in (2.0, 0.5, -4.54)])
    assert OutputKind.LABELS.read(logits)[2] == pytest.approx(0.011, abs=5e-4)
    assert OutputKind.NUMBERS.read(logits).tolist() == pytest.approx([2.0, 0.5, -4.54])
    assert (OutputKind.LABELS.text(0.9234), OutputKind.NUMBERS.text(3.25)) == ("92.3%", "3.25")


def test_every_tower_of_images_and_texts_in_the_registry_has_no_classifier():
    """Told by the rule from the number of outputs alone, compared with what the names say that the weights are."""
    embeds, classifies = set(), set()
    for name in timm.list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        module = SimpleNamespace(num_classes=cfg.num_classes, pretrained_cfg=cfg)
        (classifies if has_classifier(module) else embeds).add(name)

    def is_tower(name: str) -> bool:
        architecture, tag = split_model_name_tag(name)
        tower = any(word in architecture for word in ("clip", "_mci", "pe_core")) or "clip" in tag
        tuned = "ft_in1k" in tag or "in12k" in tag  # trained on as a classifier of ImageNet
        return tower and not tuned

    no_head = {name for name in embeds | classifies if get_pretrained_cfg(name).num_classes == 0}
    assert no_head <= embeds
    assert {name for name in embeds - no_head if not is_tower(name)} == set()
    assert {name for name in classifies if is_tower(name)} == set()
    assert len(embeds - no_head) > 100


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("vit_base_patch32_clip_224", {}, OutputKind.CLASSES),  # timm's own default is fine-tuned on ImageNet
        ("vit_base_patch32_clip_224.openai", {}, OutputKind.FEATURES),
        ("vit_pe_core_tiny_patch16_384", {}, OutputKind.FEATURES),
        ("vit_pe_core_tiny_patch16_384", {"num_classes": 10}, OutputKind.CLASSES),
        ("vit_base_patch16_siglip_224", {}, OutputKind.FEATURES),
        ("test_vit", {}, OutputKind.CLASSES),
        ("test_vit", {"num_classes": 512}, OutputKind.CLASSES),  # as many as CLIP has, and a classifier all the same
        ("test_vit", {"num_classes": 1}, OutputKind.LABELS),
        ("test_vit", {"num_classes": 0}, OutputKind.FEATURES),
    ],
)
def test_a_module_of_timm_tells_what_its_outputs_are(name, arguments, kind):
    with torch.device("meta"):
        module = timm.create_model(name, **arguments)
    assert output_kind(module) is kind


def test_what_is_stated_comes_first():
    assert output_kind(SimpleNamespace(output_kind="regression", num_classes=3)) is OutputKind.NUMBERS
    model = SimpleNamespace(output_kind=None, module=SimpleNamespace(output_kind=OutputKind.LABELS, num_classes=3))
    assert output_kind(model) is OutputKind.LABELS
    assert output_kind(torch.nn.Linear(2, 2)) is OutputKind.FEATURES


def test_an_output_without_a_name_has_its_number():
    assert output_name(("cat", ""), 0) == "cat"
    assert output_name(("cat", ""), 1, OutputKind.LABELS) == "label 1"
    assert output_name(None, 7, OutputKind.NUMBERS) == "output 7"


def test_a_label_that_several_outputs_have_is_told_apart_by_its_number():
    labels = ("crane", "maillot", "crane", "")
    assert [output_name(labels, index) for index in range(4)] == [
        "crane (class 0)",
        "maillot",
        "crane (class 2)",
        "class 3",
    ]


# What a loaded model's outputs are: from a checkpoint's JSON, a configuration of transformers, or the registry.


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
