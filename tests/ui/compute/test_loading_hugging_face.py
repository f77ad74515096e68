"""A model of transformers in the app: asked for by its name on the hub, in a link or in the sidebar."""

from __future__ import annotations

import json
import re

import pytest
from huggingface_hub import constants

from tests.models.hub_server import Hub, serving
from tests.models.hugging_face.tiny import NAMES, TINIES, write
from tests.ui.integration.test_pages import prediction_of
from vitviz.models.names import transformers_location
from vitviz.ui.selection import MODEL_NAME

REPOSITORY = "somebody/tiny-vit"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    write(TINIES[0], tmp_path / "model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with serving(Hub(files.pop("model.safetensors"), REPOSITORY, beside=files)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.mark.parametrize("page", ["patches", "rollout", "positions", "microscope"])
def test_a_link_opens_it(hub, app, page):
    opened = app(page, model=f"hf:{REPOSITORY}", answer="shown")
    assert opened.wrong == []
    assert all(name in prediction_of(opened) for name in NAMES.values())
    assert opened.parameters["model"] == f"hf:{REPOSITORY}"


def test_the_start_page_has_its_answer_in_the_figure(hub, app):
    opened = app("start", model=f"hf:{REPOSITORY}")
    assert opened.wrong == []
    (figure,) = (json.loads(each.proto.json) for each in opened.at.get("bidi_component"))
    assert {bar["name"] for bar in figure["answer"]["bars"][-1]} == set(NAMES.values())


def test_the_sidebar_offers_a_name_of_the_hub_and_no_path(hub, app):
    opened = app(model="vit_tiny_patch16_224", weights="random")
    (search,) = [box for box in opened.at.text_input if box.label == "Search"]
    search.set_value(f"hf:{REPOSITORY}").run()
    (names,) = [box for box in opened.at.selectbox if "timm" in box.label]
    assert names.options == ["vit_tiny_patch16_224", f"hf:{REPOSITORY}"]
    names.set_value(f"hf:{REPOSITORY}").run()
    assert opened.wrong == []
    assert opened.parameters["model"] == f"hf:{REPOSITORY}"
    (search,) = [box for box in opened.at.text_input if box.label == "Search"]
    search.set_value("hf:../../etc").run()
    (names,) = [box for box in opened.at.selectbox if "timm" in box.label]
    assert names.options == [f"hf:{REPOSITORY}"]


def test_a_hub_out_of_reach_is_said(hub, app, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    opened = app(model="hf:somebody/else")
    assert any(re.search(r"out of reach.*embedded model", said) for said in opened.wrong)


@pytest.mark.parametrize("name", ["hf:/etc", "hf:./model", "hf:../model", "hf:a/../b", "hf:a/b/c", "hf:~/model", "hf:"])
def test_no_link_leads_to_a_folder_of_the_server(name):
    assert not MODEL_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["hf:google/vit-base-patch16-224", "hf:gpt2", "hf:owner/na.me@v1.0"])
def test_names_of_the_hub_are_taken(name):
    assert MODEL_NAME.fullmatch(name)
    assert transformers_location(name).folder is None
