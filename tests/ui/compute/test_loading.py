"""A model that does not come from the hub: one sentence, a next step, and a page that goes on."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import timm
from huggingface_hub import constants
from safetensors.torch import save, save_file

from tests.models.hub_server import Hub, serving
from vitviz import assets, samples
from vitviz.errors import ImageError, ModelError
from vitviz.models import embedded, load_cnn, load_model
from vitviz.models import hub as hub_module
from vitviz.models.registry import build
from vitviz.ui.compute import loading, services
from vitviz.ui.pages.patches import text as patches
from vitviz.ui.selection import Selection
from vitviz.ui.shell import startup
from vitviz.ui.text import common

NAME = "test_vit.r160_in1k"
NOTHING_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with serving(Hub(save(build("test_vit", seed=5).state_dict()))) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
    services.models().results.clear()


def test_a_model_that_arrives_is_shown(app, hub):
    shown = app("patches", model=NAME)
    assert not shown.wrong
    assert patches.SEQUENCE_TEXT.format(prefix=1, patches=100, tokens=101) in shown.text


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("nothing listens", "out of reach"),
        ("silent", "did not answer in time"),
        ("cut off", "repeatedly"),
        ("refused", "error 503"),
        ("not there", "does not have it"),
        ("another page", "not that of a model hub"),
        ("damaged", "did not send the weights"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_next_step(app, hub, monkeypatch, trouble, words):
    match trouble:
        case "nothing listens":
            monkeypatch.setenv("HF_ENDPOINT", NOTHING_LISTENS)
        case "silent":
            monkeypatch.setattr(hub_module, "ANSWER_SECONDS", 0.2)
            hub.silent = True
        case "cut off":
            hub.cut_after, hub.ignores_range = len(hub.content) // 2, True
        case "refused":
            hub.status = 503
        case "not there":
            hub.status, hub.error_code = 404, "RepoNotFound"
        case "another page":
            hub.as_page = True
        case "damaged":
            hub.content = b"no weights at all" * 1000
    shown = app("patches", model=NAME)
    assert len(shown.wrong) == 1 and not shown.at.exception
    assert words in shown.wrong[0] and "need no network" in shown.wrong[0]
    assert [header.value for header in shown.at.header] == [patches.PAGE.question]
    shown.at.button(key="back view").click().run()
    assert not shown.wrong and shown.parameters == {}


# What a link may ask for: nothing in it becomes a path of the server, and what cannot be had is one sentence.


@pytest.fixture
def full_folder(tmp_path, monkeypatch):
    """A working directory with private files, and opening any of them is noticed."""
    monkeypatch.chdir(tmp_path)
    state = timm.create_model("test_vit", num_classes=2).state_dict()
    for name in ("private", "credentials", "test_vit", "embedded"):
        save_file(state, f"{name}.safetensors")
        Path(f"{name}.json").write_text(json.dumps({"secret_field": 1, "architecture": "test_vit"}))
    for folder in ("folder", "owner/name"):
        Path(folder).mkdir(parents=True)
        Path(folder, "config.json").write_text(json.dumps({"architecture": "test_vit"}))
        save_file(state, f"{folder}/model.safetensors")
    Path("link.safetensors").symlink_to("private.safetensors")
    opened = []
    real = Path.open

    def noticed(self, *args, **kwargs):
        if tmp_path in (tmp_path / self).resolve().parents:
            opened.append(str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", noticed)
    return opened


NAMES = [
    *(
        "private.safetensors",
        "credentials.safetensors",
        "test_vit.safetensors",
        "embedded.safetensors",
        "link.safetensors",
    ),
    *(
        "private",
        "folder",
        "private.pth",
        "hf:folder.",
        "hf-hub:a--b",
        "file:private",
        "file:private.safetensors",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_never_leads_to_a_file(full_folder, app, name):
    opened = app(model=name)
    assert len(opened.wrong) == 1 and not opened.at.exception
    assert "secret_field" not in opened.wrong[0] and opened.wrong != [common.UNEXPECTED]
    assert full_folder == []


def test_a_name_that_no_checkpoint_can_have_is_passed_over(full_folder, app):
    opened = app(model="file:..x")
    assert not opened.wrong and "model" in opened.at.warning[0].value
    assert "model" not in opened.parameters and full_folder == []


@pytest.mark.parametrize("name", ["./folder", "hf:./folder", "hf:/etc", "local-dir:folder", "../x", "C:\\x", "a/b"])
@pytest.mark.parametrize("weights", ["trained", "random"])
def test_nor_does_anything_that_reaches_the_loader(full_folder, name, weights):
    """The way behind the link's own pattern: a search field, or another side's model."""
    from vitviz.errors import ModelError

    with pytest.raises(ModelError):
        loading.load(Selection(model=name, weights=weights), None)
    assert full_folder == []


@pytest.mark.parametrize("stem", ["../private", "../folder/model", "link", "nothing"])
def test_a_checkpoint_is_one_that_the_servers_folder_lists(full_folder, monkeypatch, tmp_path, stem):
    """Behind the link's own pattern, too: a path is made of no other name."""
    (tmp_path / "own").mkdir()
    monkeypatch.setenv(loading.CHECKPOINTS, str(tmp_path / "own"))
    with pytest.raises(ModelError, match="There is no checkpoint of that name in the server's folder"):
        loading.load(Selection(model=f"file:{stem}"), None)
    assert full_folder == []


def test_a_repository_name_that_cannot_be_is_one_sentence(app):
    opened = app(model="hf:a--b/c")
    assert len(opened.wrong) == 1 and not opened.at.exception
    assert "No repository of the hub can be called" in opened.wrong[0]


# A copy of vitviz with missing or damaged files: the server starts, and every page says which file it is.


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the assets in their place, and nothing remembered of the whole ones."""
    for folder in ("models", "samples"):
        shutil.copytree(assets.asset_path(folder), tmp_path / folder)
    monkeypatch.setattr(assets, "ROOTS", (tmp_path,))
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
        described = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in described.items() if name != field}))
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
