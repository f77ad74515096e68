"""Local checkpoints: safetensors and a JSON beside them, or a clear word about what is wrong."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from vitviz.errors import ModelError
from vitviz.figures.traced_image import TracedImage
from vitviz.models import load_model, prepare
from vitviz.models.registry import build
from vitviz.models.weights import sha256_of
from vitviz.tracing import trace_input


@pytest.fixture
def checkpoint(tmp_path):
    """test_vit with 3 classes, saved with what is known about it."""
    module = build("test_vit", seed=2, num_classes=3)
    path = tmp_path / "pets.safetensors"
    save_file(module.state_dict(), path)
    describe(path, architecture="test_vit", labels=["cat", "dog", "goldfish"])
    return path


def describe(path, **fields):
    path.with_suffix(".json").write_text(json.dumps(fields), encoding="utf-8")


def test_architecture_labels_and_preprocessing_come_from_the_json(checkpoint):
    describe(
        checkpoint,
        architecture="test_vit",
        labels=["cat", "dog", "goldfish"],
        input_size=[96, 64],
        preprocessing={
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bilinear",
            "crop_fraction": 0.9,
        },
        sha256=sha256_of(checkpoint),
    )
    model = load_model(str(checkpoint))
    assert (model.name, model.architecture, model.weights) == ("pets", "test_vit", "file")
    assert model.labels == ("cat", "dog", "goldfish")
    assert (model.input_size, model.layout.grid) == ((96, 64), (6, 4))
    assert (model.preprocessing.mean, model.preprocessing.interpolation) == ((0.5, 0.5, 0.5), "bilinear")
    assert model.weights_hash == sha256_of(checkpoint)
    expected = build("test_vit", seed=2, num_classes=3)
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(model.module(image), expected(image))


def test_labels_may_lie_in_a_file_beside_it(checkpoint):
    (checkpoint.parent / "words.txt").write_text("n01\ta cat\nn02\ta dog\nn03\tfish\n", encoding="utf-8")
    describe(checkpoint, architecture="test_vit", labels="words.txt")
    assert load_model(str(checkpoint)).labels == ("a cat", "a dog", "fish")


def test_the_description_may_be_given_instead(checkpoint):
    checkpoint.with_suffix(".json").unlink()
    given = {"architecture": "test_vit", "num_classes": 3}
    assert load_model("pets", weights=checkpoint, checkpoint_config=given).labels is None
    assert load_model("test_vit", weights=checkpoint, checkpoint_config={"num_classes": 3}).architecture == "test_vit"


def test_half_precision_is_loaded_as_single(checkpoint):
    save_file(
        {name: tensor.half() for name, tensor in build("test_vit", seed=2, num_classes=3).state_dict().items()},
        checkpoint,
    )
    assert {parameter.dtype for parameter in load_model(str(checkpoint)).module.parameters()} == {torch.float32}


def test_model_args_reach_the_builder(checkpoint):
    save_file(build("test_vit", num_classes=3, reg_tokens=2).state_dict(), checkpoint)
    describe(checkpoint, architecture="test_vit", num_classes=3, model_args={"reg_tokens": 2})
    assert load_model(str(checkpoint)).layout.prefix == ("cls", "reg0", "reg1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": ["cat", "dog", "fish"]}, "does not say which architecture"),
        ({"architecture": "test_vitt", "num_classes": 3}, "Did you mean .*test_vit"),
        ({"architecture": 7}, "architecture has to be a name"),
        ({"architecture": "test_vit", "num_classes": 3, "labels": ["cat"]}, "1 labels for 3 classes"),
        ({"architecture": "test_vit", "num_classes": "3"}, "num_classes has to be a whole number"),
        ({"architecture": "test_vit", "labels": "../../secret.txt"}, "not a file beside"),
        ({"architecture": "test_vit", "labels": "nothing.txt"}, "not a file beside"),
        ({"architecture": "test_vit", "labels": {"0": "cat"}}, "list of strings"),
        ({"architecture": "test_vit", "input_size": 224}, r"\[height, width\]"),
        ({"architecture": "test_vit", "input_size": [0, 224]}, r"\[height, width\]"),
        ({"architecture": "test_vit", "preprocessing": {"means": [0, 0, 0]}}, "preprocessing may hold"),
        ({"architecture": "test_vit", "preprocessing": {"mean": [0, 0]}}, "mean has to be three numbers"),
        ({"architecture": "test_vit", "preprocessing": {"std": [0, 1, 1]}}, "three numbers above 0"),
        ({"architecture": "test_vit", "preprocessing": {"interpolation": "best"}}, "one of bicubic"),
        ({"architecture": "test_vit", "preprocessing": {"crop_fraction": 1.5}}, "crop_fraction"),
        ({"architecture": "test_vit", "model_args": {"checkpoint_path": "evil.pth"}}, "model_args may hold"),
        ({"architecture": "test_vit", "colour": "red"}, "'colour' is not a known field"),
        (
            {"architecture": "test_vit", "num_classes": 3, "sha256": "0" * 64},
            "not the file that its description names",
        ),
        ({"architecture": "test_vit", "sha256": "12"}, "64 hexadecimal digits"),
        ([1, 2], "has to be an object"),
    ],
)
def test_a_wrong_description_is_named(checkpoint, fields, words):
    checkpoint.with_suffix(".json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        load_model(str(checkpoint))


def test_a_description_that_is_no_json(checkpoint):
    checkpoint.with_suffix(".json").write_text("{architecture:", encoding="utf-8")
    with pytest.raises(ModelError, match="is not JSON"):
        load_model(str(checkpoint))


def test_another_architecture_than_was_asked_for(checkpoint):
    with pytest.raises(ModelError, match="holds a test_vit, and a vit_tiny_patch16_224 was asked for"):
        load_model("vit_tiny_patch16_224", weights=checkpoint)


def test_disagreements_are_named_and_counted(checkpoint):
    state = build("test_vit", seed=2, num_classes=3).state_dict()
    state["head.weight"] = torch.zeros(5, 64)
    del state["norm.bias"]
    for index in range(5):
        state[f"spare.{index}"] = torch.zeros(1)
    save_file(state, checkpoint)
    with pytest.raises(ModelError) as caught:
        load_model(str(checkpoint))
    message = str(caught.value)
    assert "missing are norm.bias" in message
    assert "unexpected are spare.0, spare.1, spare.2 and 2 more" in message
    assert "head.weight has 5 x 64 where 3 x 64 is wanted" in message


class Dangerous:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize("writing", ["pickle", "torch"])
def test_a_pickle_under_another_name_is_not_opened(checkpoint, writing):
    if writing == "pickle":
        checkpoint.write_bytes(pickle.dumps(Dangerous()))
    else:
        torch.save({"head": Dangerous()}, checkpoint)
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(str(checkpoint))


def test_a_truncated_file(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(str(checkpoint))


def test_other_kinds_of_file_and_none(checkpoint):
    with pytest.raises(ModelError, match=r"path of a \.safetensors file"):
        load_model("test_vit", weights=checkpoint.with_suffix(".pth"))
    with pytest.raises(ModelError, match="There is no weights file"):
        load_model("test_vit", weights=checkpoint.with_name("absent.safetensors"))


FILES = [("pets.safetensors", "test_vit"), ("my pets (2).safetensors", None)]
OTHERS = [
    (name, described)
    for name in ("pets.safetensors", "my pets (2).safetensors", "test_vit.safetensors")
    for described in ("test_vit", "test_vit.r160_in1k", None)
    if (name, described) not in FILES
]


@pytest.mark.parametrize(
    ("name", "described"), [*FILES, *(pytest.param(*other, marks=pytest.mark.long) for other in OTHERS)]
)
def test_the_snippet_of_a_model_from_a_file_runs_where_the_file_lies(tmp_path, monkeypatch, name, described):
    monkeypatch.chdir(tmp_path)
    module = build("test_vit", seed=2)
    save_file(module.state_dict(), name)
    if described:
        describe(tmp_path / name, architecture=described)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8))
    image.save("photo.png")
    model = load_model(name) if described else load_model("test_vit", weights=name)
    prepared = prepare(model, image)
    found: dict = {}
    exec(TracedImage(model, prepared, trace_input(model, prepared.input), "", "photo.png").snippet(), found)
    assert found["model"].weights_hash == model.weights_hash
    with torch.no_grad():
        torch.testing.assert_close(found["trace"].logits, module.eval()(prepared.input[None])[0])


def test_the_untrained_control_of_a_checkpoint_is_its_architecture_without_its_weights(checkpoint, monkeypatch):
    trained, untrained = load_model(str(checkpoint)), load_model(str(checkpoint), weights="random")
    assert (untrained.architecture, untrained.weights, untrained.labels) == ("test_vit", "random", None)
    expected = build("test_vit", seed=0, num_classes=3)
    image = torch.randn(1, 3, *untrained.input_size)
    with torch.no_grad():
        assert torch.equal(untrained.module(image), expected(image))
        assert not torch.allclose(untrained.module(image), trained.module(image))
    monkeypatch.chdir(checkpoint.parent)
    assert load_model(untrained.name, weights=untrained.weights_hash).weights_hash == "random:0", "as a snippet asks"
