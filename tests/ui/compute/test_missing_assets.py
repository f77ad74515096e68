"""A copy of vitviz with missing or damaged files: the server starts, and every page says which file it is."""

from __future__ import annotations

import json
import logging
import shutil

import pytest

from vitviz import assets, samples
from vitviz.errors import ImageError, ModelError
from vitviz.models import embedded, load_cnn, load_model
from vitviz.ui.compute import loading, services
from vitviz.ui.shell import startup


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the assets in their place, and nothing remembered of the whole ones."""
    for folder in ("models", "samples"):
        shutil.copytree(assets.asset_path(folder), tmp_path / folder)
    monkeypatch.setattr(assets, "_ROOTS", (tmp_path,))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget():
    embedded.checked_hash.cache_clear()
    samples.samples.cache_clear()
    loading.embedded.cache_clear()
    for queue in (services.queue(), services.models(), services.copies()):
        queue.results.clear()


def test_a_missing_description_is_not_called_damage(copy):
    (copy / "models" / f"{embedded.VIT}.json").unlink()
    with pytest.raises(ModelError, match=rf"description {embedded.VIT}\.json is missing") as caught:
        load_model("embedded")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("field", ["architecture", "sha256", "input_size"])
@pytest.mark.parametrize("load", [lambda: load_model("embedded"), load_cnn])
def test_a_description_without_a_field_names_it(copy, field, load):
    for stem in (embedded.VIT, embedded.CNN):
        path = copy / "models" / f"{stem}.json"
        told = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in told.items() if name != field}))
    with pytest.raises(ModelError, match=rf"damaged: it has no {field}"):
        load()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '[{"id": "a"}]', "\udcff"])
def test_a_damaged_list_of_samples_is_named(copy, content):
    (copy / "samples" / "samples.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ImageError, match=r"samples\.json"):
        samples.samples()


def test_missing_samples_are_named(copy):
    (copy / "samples" / "cat.jpg").unlink()
    with pytest.raises(ImageError, match=r"assets/samples/cat\.jpg is missing"):
        samples.load_sample("cat")
    samples.samples.cache_clear()
    (copy / "samples" / "samples.json").unlink()
    with pytest.raises(ImageError, match=r"assets/samples/samples\.json is missing"):
        samples.samples()


def harm(path, kind):
    if kind == "missing":
        path.unlink()
    elif kind == "damaged":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("file", "kind", "words"),
    [
        (f"models/{embedded.VIT}.safetensors", "damaged", "is damaged"),
        (f"models/{embedded.VIT}.safetensors", "cut", "is damaged"),
        (f"models/{embedded.VIT}.safetensors", "missing", "is missing"),
        (f"models/{embedded.VIT}.json", "missing", "is missing"),
        ("samples/samples.json", "missing", "is missing"),
        ("samples/samples.json", "cut", "is damaged"),
    ],
)
def test_the_server_starts_and_pages_say_what_is_missing(copy, app, caplog, file, kind, words):
    harm(copy / file, kind)
    with caplog.at_level(logging.ERROR):
        startup.read_embedded(loading.embedded)  # as app.py does, before the first visitor
    assert ("without the embedded model" in caplog.text) == file.startswith("models")
    opened = app()
    assert opened.wrong and not opened.at.exception
    assert all("wrong" not in said.lower() for said in opened.wrong)
    assert any(words in said and file.split("/")[-1] in said for said in opened.wrong)
