"""What timm's `save_for_hf` writes, in a folder and on a hub on loopback, against timm's own loading of the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from timm.models import save_for_hf

import vitviz
from tests.models.hub_server import Hub, serving
from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models import load_model, prepare
from vitviz.support import support_of

LABELS = ["tabby", "sparrow", "teapot"]
REPOSITORY = "somebody/tiny-timm"
CASES = {
    "plain": {},
    "grey": {"in_chans": 1},
    "registers": {"reg_tokens": 2, "img_size": 96},
    "averaged": {"global_pool": "avg", "class_token": False},
    "dynamic": {"dynamic_img_size": True, "img_size": (96, 64)},
    "unnamed": {"drop_path_rate": 0.1},
}


@pytest.fixture(scope="module", params=CASES)
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(3)
    made = timm.create_model("test_vit", num_classes=3, **CASES[request.param]).eval()
    config = {} if request.param == "unnamed" else {"label_names": LABELS}
    save_for_hf(made, folder, model_config=config, safe_serialization=True)
    return folder


@pytest.mark.parametrize("prefix", ["local-dir:", ""])
def test_a_folder_gives_what_timm_gives(written, prefix):
    model = load_model(f"{prefix}{written}")
    theirs = timm.create_model(f"local-dir:{written}", pretrained=True).eval()
    assert model.labels == (None if "unnamed" in written.name else tuple(LABELS))
    assert (model.name, model.weights, len(model.weights_hash)) == (f"{prefix}{written}", "pretrained", 64)
    image = vitviz.load_sample("cat")
    x = prepare(model, image).input[None]
    with torch.no_grad():
        assert torch.equal(model.module(x), theirs(x))
    assert vitviz.trace(model, image).num_layers == len(theirs.blocks)


def test_its_preprocessing_is_that_of_the_file(written):
    model = load_model(f"local-dir:{written}")
    cfg = json.loads((written / "config.json").read_text())["pretrained_cfg"]
    assert list(model.preprocessing.mean) == cfg["mean"] and list(model.preprocessing.std) == cfg["std"]
    assert (model.preprocessing.crop_fraction, model.preprocessing.interpolation) == (
        cfg["crop_pct"],
        cfg["interpolation"],
    )


@pytest.fixture
def folder(tmp_path):
    save_for_hf(
        timm.create_model("test_vit", num_classes=3), tmp_path / "m", {"label_names": LABELS}, safe_serialization=True
    )
    return tmp_path / "m"


def change(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def test_descriptions_of_labels(folder):
    change(folder, label_names={"0": "n1", "1": "n2", "2": "n3"}, label_descriptions={"n1": "a cat", "n3": "a dog"})
    assert load_model(f"local-dir:{folder}").labels == ("a cat", "n2", "a dog")


def test_random_weights_and_the_verdict(folder):
    assert load_model(f"local-dir:{folder}", weights="random:3").weights_hash == "random:3"
    assert support_of(f"local-dir:{folder}").verdict == "global"


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"architecture": "resnet18", "model_args": {}}, UnsupportedError, "no attention"),
        ({"architecture": "nothing_like_it"}, ModelError, "No model is called"),
        ({"architecture": "local-dir:/etc"}, ModelError, "No model is called"),
        ({"architecture": 7}, ModelError, "architecture has to be"),
        ({"num_classes": "many", "model_args": {}}, ModelError, "num_classes"),
        ({"model_args": {"num_classes": 10**9}}, ModelError, "num_classes"),
        ({"model_args": {"checkpoint_path": "/etc/passwd"}}, UnsupportedError, "checkpoint_path"),
        ({"model_args": {"depth": 10**9}}, UnsupportedError, "depth"),
        ({"model_args": [1]}, ModelError, "model_args"),
        ({"pretrained_cfg": "x"}, ModelError, "pretrained_cfg"),
        ({"pretrained_cfg": {"mean": "x"}}, ModelError, "mean"),
        ({"pretrained_cfg": {"std": [0, 0, 0]}}, ModelError, "std"),
        ({"pretrained_cfg": {"crop_pct": 0}}, ModelError, "crop_fraction"),
        ({"pretrained_cfg": {"interpolation": "best"}}, ModelError, "interpolation"),
    ],
)
def test_descriptions_that_cannot_be(folder, fields, error, words):
    change(folder, **fields)
    with pytest.raises(error, match=words):
        load_model(f"local-dir:{folder}")


def test_a_description_leads_to_no_other_file(folder, tmp_path):
    """timm itself would follow these fields to files and addresses."""
    config = json.loads((folder / "config.json").read_text())
    cfg = {
        **config["pretrained_cfg"],
        "file": str(tmp_path / "evil.pth"),
        "url": "http://127.0.0.1:9/x",
        "custom_load": True,
    }
    change(folder, pretrained_cfg={**cfg, "hf_hub_id": "evil/x", "state_dict": {"a": 1}, "source": "file"})
    assert load_model(f"local-dir:{folder}").labels == tuple(LABELS)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(ModelError, match="no folder with a config.json"):
        load_model(f"local-dir:{tmp_path}/nowhere")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no model.safetensors.*torch\.load"):
        load_model(f"local-dir:{folder}")


def test_weights_that_do_not_fit_are_named(folder):
    change(folder, num_classes=4, label_names=None, model_args={"num_classes": 4})
    with pytest.raises(ModelError, match="head.weight has 3 x 64 where 4 x 64 is wanted"):
        load_model(f"local-dir:{folder}")


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    beside = {"config.json": (folder / "config.json").read_bytes()}
    with serving(Hub((folder / "model.safetensors").read_bytes(), REPOSITORY, beside=beside)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def test_from_the_hub(hub, folder, monkeypatch):
    model = load_model(f"hf-hub:{REPOSITORY}")
    assert torch.equal(model.module.head.weight, load_model(f"local-dir:{folder}").module.head.weight)
    assert model.labels == tuple(LABELS)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_model(f"hf-hub:{REPOSITORY}").weights_hash == model.weights_hash


def test_a_model_of_transformers_is_told_from_one_of_timm(hub):
    hub.beside["config.json"] = b'{"model_type": "vit"}'
    with pytest.raises(UnsupportedError, match=f"hf:{REPOSITORY}"):
        load_model(f"hf-hub:{REPOSITORY}")


def test_asked_for_as_one_of_transformers(hub):
    with pytest.raises(UnsupportedError, match=f"hf-hub:{REPOSITORY}"):
        load_model(f"hf:{REPOSITORY}")


def test_weights_of_the_hub_that_do_not_fit(hub):
    config = json.loads(hub.beside["config.json"])
    hub.beside["config.json"] = json.dumps({**config, "model_args": {"depth": 5, "num_classes": 3}}).encode()
    with pytest.raises(HubError, match="do not fit test_vit"):
        load_model(f"hf-hub:{REPOSITORY}")


def test_a_copy_keeps_no_place(folder, tmp_path):
    """The folder may be moved: nothing in it is an absolute path."""
    moved = shutil.move(folder, tmp_path / "moved")
    assert load_model(f"local-dir:{moved}").labels == tuple(LABELS)
