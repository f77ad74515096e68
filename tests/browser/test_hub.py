"""A model that comes from the hub, slowly, while somebody watches: a hub on this machine, with a tiny model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save

from tests.models.hub_server import Hub, serving
from vitviz.models.registry import build
from vitviz.ui.shell import text as sidebar
from vitviz.ui.text import common

from .serving import served

pytestmark = pytest.mark.long  # half a minute of a slow hub; its errors and its progress have tests without a browser

NAME = "test_vit.r160_in1k"
LOADING = common.LOADING_MODEL.format(model=NAME)
SLOW = 0.02  # seconds before each kilobyte: half a minute in all


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving(Hub(save(build("test_vit", seed=5).state_dict()))) as running:
        yield running


@pytest.fixture(scope="module")
def server(hub: Hub, cache: Path) -> Iterator[str]:
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    with served(Path(__file__).with_name("watched_app.py"), environment) as address:
        yield address


# In this order: what was once loaded stays loaded.


def test_cut_off_for_good_is_a_sentence_and_a_way_back(tab, hub):
    hub.cut_after, hub.ignores_range = len(hub.content) // 2, True
    shown = tab(f"patches?model={NAME}")
    error = shown.page.locator("[data-testid=stAlertContentError]")
    shown.expect(error).to_have_count(1)
    shown.expect(error).to_contain_text("cut off")
    shown.expect(error).to_contain_text("need no network")
    assert shown.failed == []
    shown.screenshot("hub-cut-off")
    shown.page.get_by_role("button", name=common.BACK_TO_START).click()
    shown.expect(error).to_have_count(0)
    shown.settled()
    shown.expect(shown.page.get_by_label(sidebar.MODEL_KIND)).to_be_visible()
    assert shown.parameters() == {} and shown.errors() == []


def test_progress_stop_again_and_there(tab, hub, cache):
    hub.cut_after, hub.ignores_range, hub.pause = None, False, SLOW
    shown = tab("patches")
    shown.page.goto(f"{shown.server}/patches?model={NAME}")
    bar = shown.page.locator("[data-testid=stProgress]")
    shown.expect(bar).to_contain_text(LOADING)
    so_far = "+(document.querySelector('[data-testid=stProgress] [role=progressbar]')?.ariaValueNow ?? 0)"
    shown.page.wait_for_function(f"() => {so_far} > 2 && {so_far} < 90")
    shown.screenshot("hub-loading")

    # Stopped: said on the page, nothing comes in any more, and no half file stays.
    shown.page.get_by_role("button", name=common.CANCEL).click()
    shown.expect(shown.page.get_by_text(common.CALLED_OFF)).to_be_visible()
    while shown.page.request.get(f"{shown.server}/computing").json()["under way"]:
        shown.page.wait_for_timeout(100)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1024]
    shown.screenshot("hub-stopped")

    # The page goes on with another model, and this one can still be had.
    shown.page.get_by_role("button", name=common.ASK_AGAIN).click()
    shown.expect(bar).to_contain_text(LOADING)
    hub.pause = 0.0001
    shown.expect(bar).to_have_count(0)
    shown.settled()
    assert shown.errors() == []
    text = shown.page.inner_text("[data-testid=stMain]")
    assert "of 101 ·" in text  # a class token and the patches of 160 pixels in squares of 16
    assert any(path.stat().st_size == len(hub.content) for path in cache.rglob("*") if path.is_file())
