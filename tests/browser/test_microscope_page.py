"""The microscope on its page in the app: the embedded model, a real photograph, and links that open the same view."""

from __future__ import annotations

import re

import numpy as np
import pytest

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.pages.microscope import text as microscope

SETTLED = ".microscope[aria-busy=false][data-source]"


@pytest.fixture(scope="module")
def traced():
    return vitviz.trace(vitviz.load_model("embedded"), load_sample("motorcycle"), keep_values=True)


def click_patch(shown, row: int, col: int, side: int = 16) -> None:
    picture = shown.page.locator("canvas.picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    shown.page.mouse.click(box["x"] + (col + 0.5) * box["width"] / side, box["y"] + (row + 0.5) * box["height"] / side)


def values(shown, head: int) -> np.ndarray:
    return np.array(shown.page.locator(SETTLED).evaluate("(root, head) => root.vitvizMicroscope.values(head)", head))


@pytest.mark.long
def test_pin_walk_share_and_reload(tab, traced):
    shown = tab("microscope?image=motorcycle&layer=8")
    shown.page.wait_for_selector(SETTLED)
    click_patch(shown, 10, 3)
    # Quicker than the server can answer: the address comes late, and nothing is taken back.
    for key in ("ArrowRight", "]", "4", "l"):
        shown.page.keyboard.press(key)
    shown.page.wait_for_selector(f"{SETTLED}[data-source=r10c4][data-layer='9'][data-head='4'][data-pinned=true]")
    for name, value in {"query": "r10c4", "layer": "9", "head": "4", "heads": "chosen", "links": "hidden"}.items():
        shown.page.wait_for_url(re.compile(rf"[?&]{name}={value}(&|$)"))
    shown.settled()
    row = traced.layers[9].row(traced.layout.token_named("r10c4")).numpy()
    np.testing.assert_allclose(values(shown, 4), row[4], atol=1e-4)
    shown.screenshot("microscope-page")

    for again in (tab(shown.page.url.removeprefix(f"{shown.server}/")), shown):
        if again is shown:
            shown.page.reload()
        again.page.wait_for_selector(f"{SETTLED}[data-source=r10c4][data-layer='9'][data-head='4'][data-pinned=true]")
        np.testing.assert_allclose(values(again, 4), row[4], atol=1e-4)
        assert not again.errors()


@pytest.mark.long
def test_weights_times_values_are_those_of_the_engine(tab, traced):
    model = vitviz.load_model("embedded")
    shown = tab("microscope?image=motorcycle&layer=11&query=cls&measure=value")
    shown.page.wait_for_selector(f"{SETTLED}[data-layer='11']")
    from vitviz.analysis.sinks import value_weighted

    expected = value_weighted(traced.layers[11], model.module, "cls").numpy()
    for head in (0, 5):
        np.testing.assert_allclose(values(shown, head), expected[head], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "look"),
    [pytest.param("dark", {"scheme": "dark"}, marks=pytest.mark.long), ("phone", {"width": 390, "height": 844})],
)
@pytest.mark.long
def test_the_page_in_another_light_and_on_a_phone(tab, name, look):
    shown = tab("microscope?image=motorcycle&layer=8&query=r10c4", **look)
    shown.page.wait_for_selector(f"{SETTLED}[data-source=r10c4]")
    shown.page.locator("canvas.picture").scroll_into_view_if_needed()
    shown.screenshot(f"microscope-page-{name}")
    assert shown.page.evaluate("() => document.documentElement.scrollWidth") <= look.get("width", 1024)
    assert not shown.errors()


@pytest.mark.long
def test_the_picture_takes_the_room_there_is_and_all_is_on_the_first_screen(tab):
    shown = tab("microscope?image=motorcycle&query=r10c4")
    shown.page.wait_for_selector(SETTLED)
    for width, height, least in ((1024, 768, 370), (1280, 800, 440), (1920, 1080, 640)):
        shown.page.set_viewport_size({"width": width, "height": height})

        def check(height: int = height, least: int = least) -> None:
            picture, words, tiles = (
                shown.page.locator(each).bounding_box() for each in ("canvas.picture", ".asked-of", ".tiles")
            )
            assert picture["width"] >= least
            assert max(each["y"] + each["height"] for each in (picture, words, tiles)) <= height

        shown.eventually(check)
    # The patch itself stands for the patch, and its strongest targets stand beside it.
    assert shown.page.locator(".asked-of canvas:visible").count() == 4
    assert shown.errors() == []


@pytest.mark.long
def test_layers_play_and_stand_still_where_motion_is_unwanted(tab):
    shown = tab("microscope?image=motorcycle&layer=9")
    shown.page.wait_for_selector(f"{SETTLED}[data-layer='9']")
    shown.page.get_by_role("button", name=microscope.MICROSCOPE["play"]).click()
    shown.page.wait_for_selector(f"{SETTLED}[data-layer='11']")
    shown.page.get_by_role("button", name=microscope.MICROSCOPE["play"]).wait_for()  # at the end it stops
    still = tab("microscope?image=motorcycle", reduced_motion="reduce")
    still.page.wait_for_selector(SETTLED)
    assert still.page.get_by_role("button", name=microscope.MICROSCOPE["play"]).count() == 0
    assert shown.errors() == still.errors() == []
