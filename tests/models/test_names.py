"""Which names lead where: to timm's registry, to the hub, to files; and that nothing from outside leads to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from vitviz.errors import ModelError
from vitviz.models import load_model
from vitviz.models.names import ModelLocation, is_file_name, require_published, timm_location


@pytest.fixture
def full_folder(tmp_path, monkeypatch):
    """A working directory in which every name that a link could try exists."""
    monkeypatch.chdir(tmp_path)
    state = timm.create_model("test_vit", num_classes=2).state_dict()
    for name in ("private.safetensors", "test_vit.safetensors", "embedded.safetensors"):
        save_file(state, name)
        Path(name).with_suffix(".json").write_text(json.dumps({"architecture": "test_vit", "num_classes": 2}))
    Path("credentials.json").write_text(json.dumps({"password": "secret"}))
    save_file(state, "credentials.safetensors")
    for folder in ("folder", "owner/name", "hf:owner/name", "vit_tiny_patch16_224"):
        Path(folder).mkdir(parents=True)
        Path(folder, "config.json").write_text(json.dumps({"architecture": "test_vit", "model_type": "vit"}))
    os.symlink(tmp_path / "private.safetensors", "link.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("private.safetensors", "credentials.safetensors", "private", "link.safetensors", "test_vit.safetensors"),
        *("embedded.safetensors", "test_vit.r160_in1k.safetensors", "private.pth", "folder", "./folder", "owner/name"),
        *(
            "hf:./folder",
            "hf:folder/",
            "hf:/etc",
            "hf:~/folder",
            "hf:..",
            "hf:../folder",
            "hf:owner\\name",
            "hf:",
            "hf:a/b/c",
        ),
        *("hf-hub:./folder", "hf-hub:/etc", "hf-hub:", "hf_hub:owner/name", "HF:owner/name", "local-dir:folder"),
        *("local-dir:./folder", "local-dir:/etc", "LOCAL-DIR:folder", "file:private", "file:../private", "file:///etc"),
        *(
            "/etc/passwd",
            "..",
            ".",
            "",
            "C:\\weights.safetensors",
            "\\\\server\\share",
            "..\\private",
            "a\0b",
            "hf:a--b/c",
        ),
        *("https://example.org/x.safetensors", "hf:a/b@../../etc", "hf:a/b@refs/pr/1"),
    ],
)
def test_nothing_that_leads_to_a_file_is_published(full_folder, name):
    with pytest.raises(ModelError) as caught:
        require_published(name)
    assert "secret" not in str(caught.value) and "password" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "embedded",
        "test_vit",
        "test_vit.r160_in1k",
        "vit_tiny_patch16_224",
        "hf:owner/name",
        "hf:gpt2",
        "hf-hub:owner/name@v1.0",
    ],
)
def test_published_names_pass_and_are_no_files(full_folder, name):
    require_published(name)
    if not name.startswith("hf"):
        assert timm_location(name) is None


def test_every_registered_name_passes():
    for name in (*timm.list_models(), *timm.list_models(pretrained=True)):
        require_published(name)
        assert not is_file_name(name), name


def test_a_registered_name_is_never_the_folder_of_that_name(full_folder):
    assert load_model("vit_tiny_patch16_224", weights="random").architecture == "vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("hf-hub:timm/test_vit.r160_in1k", ModelLocation("timm/test_vit.r160_in1k")),
        ("hf_hub:owner/name@v2", ModelLocation("owner/name", "v2")),
        ("local-dir:folder", ModelLocation(folder=Path("folder"))),
        ("local-dir:~/models/a", ModelLocation(folder=Path.home() / "models/a")),
        ("./folder", ModelLocation(folder=Path("folder"))),
        ("folder", None),
        ("./nothing", None),
        ("test_vit", None),
        ("hf:owner/name", None),
    ],
)
def test_locations_of_models_that_timm_wrote(full_folder, name, location):
    assert timm_location(name) == location


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:./folder", "hf-hub:/etc", "local-dir:"])
def test_places_that_cannot_be(name):
    with pytest.raises(ModelError):
        timm_location(name)


@pytest.mark.parametrize("name", ["hf:a--b/c", "hf:a..b/c", "hf:owner/name.git", "hf-hub:a--b/c", "hf:owner/name-"])
def test_names_that_the_hub_does_not_allow(name):
    with pytest.raises(ModelError, match="No repository of the hub can be called"):
        load_model(name)
