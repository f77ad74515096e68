"""The models that come with the package: their files, classes and hashes, and damage to them."""

from __future__ import annotations

import shutil

import pytest
import torch

import vitviz
from vitviz import assets
from vitviz.errors import ModelError
from vitviz.models import embedded, load_model
from vitviz.models.weights import sha256_of


def test_the_embedded_model_is_ready(model):
    assert (model.name, model.architecture, model.weights) == ("embedded", "vit_small_patch14_dinov2", "embedded")
    assert model.weights_hash == "16edc081b96f571be5fe31f8722aff56365110b7b3d6f97ca254ab394a2ff99f"
    assert (model.layout.prefix, model.layout.grid, model.input_size) == (("cls",), (16, 16), (224, 224))
    assert len(model.labels) == len(model.groups) == 293
    assert not model.module.training
    assert all(
        parameter.dtype == torch.float32 and not parameter.requires_grad for parameter in model.module.parameters()
    )
    assert model.module.pos_embed.shape == (1, 1 + 37 * 37, 384)


def test_the_untrained_twin_of_the_embedded_model(model):
    twin = load_model("embedded", weights="random")
    assert (twin.layout, twin.preprocessing, twin.trained) == (model.layout, model.preprocessing, False)
    assert twin.module.head.weight.shape == model.module.head.weight.shape
    assert not torch.equal(twin.module.head.weight, model.module.head.weight)


def test_a_copy_without_the_embedded_models_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "ROOTS", (tmp_path,))
    embedded.checked_hash.cache_clear()
    with pytest.raises(ModelError, match="cannot be read: assets/models is missing"):
        load_model("embedded")


def test_a_damaged_embedded_file_is_noticed(tmp_path, monkeypatch):
    for path in embedded.folder().iterdir():
        shutil.copy(path, tmp_path)
    with (tmp_path / f"{embedded.VIT}.safetensors").open("r+b") as file:
        file.seek(10_000_000)
        file.write(b"\0\1\2\3")
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    embedded.checked_hash.cache_clear()
    with pytest.raises(ModelError, match="is damaged"):
        load_model("embedded")
    (tmp_path / f"{embedded.VIT}.safetensors").unlink()
    with pytest.raises(ModelError, match="is missing"):
        load_model("embedded")
    embedded.checked_hash.cache_clear()


def test_the_model_card_names_the_very_files():
    card = (embedded.folder() / "README.md").read_text(encoding="utf-8")
    for stem in (embedded.VIT, embedded.CNN):
        assert sha256_of(embedded.folder() / f"{stem}.safetensors") == embedded.embedded_config(stem).sha256
        assert embedded.embedded_config(stem).sha256 in card


def test_the_embedded_cnn():
    cnn = vitviz.load_cnn()
    assert (cnn.architecture, cnn.input_size, len(cnn.labels)) == ("tf_efficientnet_lite0", (224, 224), 293)
    assert cnn.weights_hash.startswith("dca53ee8c46f84cc")


def test_every_output_has_one_name_and_one_group(model):
    rows = (embedded.folder() / "everyday_labels.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in rows] == [list(pair) for pair in zip(model.labels, model.groups, strict=True)]
    assert len(set(model.labels)) == len(rows) == model.module.head.out_features
    assert model.labels == vitviz.load_cnn().labels
    assert not any("_" in label or label != label.strip() for label in model.labels)
    assert list(model.labels) == sorted(model.labels, key=str.lower)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("\t", " ", 1),
        lambda text: text + text.splitlines()[0] + "\n",
        lambda text: "",
        lambda text: text.replace("abacus", " ", 1),
    ],
)
def test_a_damaged_list_of_classes_is_one_sentence(tmp_path, monkeypatch, damage):
    text = (embedded.folder() / "everyday_labels.tsv").read_text(encoding="utf-8")
    shutil.copytree(embedded.folder(), tmp_path, dirs_exist_ok=True)
    (tmp_path / "everyday_labels.tsv").write_text(damage(text), encoding="utf-8")
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"list of classes everyday_labels\.tsv is damaged"):
        load_model("embedded")
