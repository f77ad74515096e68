"""What a link may ask for: nothing in it becomes a path of the server, and what cannot be had is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from vitviz.ui.compute import loading
from vitviz.ui.selection import Selection


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
    assert "secret_field" not in opened.wrong[0] and "something went wrong" not in opened.wrong[0].lower()
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
        loading._load(Selection(model=name, weights=weights), None)
    assert full_folder == []


def test_a_repository_name_that_cannot_be_is_one_sentence(app):
    opened = app(model="hf:a--b/c")
    assert len(opened.wrong) == 1 and not opened.at.exception
    assert "No repository of the hub can be called" in opened.wrong[0]
