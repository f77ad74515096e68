"""A model that does not come from the hub: one sentence, a next step, and a page that goes on."""

from __future__ import annotations

import pytest
from huggingface_hub import constants
from safetensors.torch import save

from tests.models.hub_server import Hub, serving
from vitviz.models import hub as hub_module
from vitviz.models.registry import build
from vitviz.ui.compute import services
from vitviz.ui.pages.patches import text as patches

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
        ("cut off", "again and again"),
        ("refused", "error 503"),
        ("not there", "does not have it"),
        ("another page", "not that of a model hub"),
        ("damaged", "something else than the weights"),
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
    shown.at.button(key="back stage").click().run()
    assert not shown.wrong and shown.parameters == {}
