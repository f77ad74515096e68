"""What ends another choice in the start page's figure: a later photograph, play after the brush, focus that goes elsewhere."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from .test_journey import END, caption, journey, scrub, stands_at

# The first file that the browser reads waits until `window.read()` is called.
SLOW_FIRST = """() => {
const own = window.createImageBitmap;
let waits = true;
window.createImageBitmap = async (...given) => {
  if (waits && given[0] instanceof File) {
    waits = false;
    await new Promise((go) => (window.read = go));
  }
  return own.apply(window, given);
};
}"""


def file(name: str, colour: int) -> dict[str, object]:
    buffer = io.BytesIO()
    Image.fromarray(np.full((90, 120, 3), colour, np.uint8)).save(buffer, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}


@pytest.mark.long
def test_a_photograph_that_is_read_late_does_not_replace_a_later_choice(tab):
    shown = tab("", reduced_motion="reduce")
    figure = journey(shown)
    shown.page.evaluate(SLOW_FIRST)
    figure.locator("input[type=file]").first.set_input_files([file("mine.png", 90)])
    shown.until(lambda: shown.page.evaluate("typeof window.read === 'function'"))
    figure.locator(".thumb[data-image=cat]").click()
    shown.wait_for_parameter("image", "cat")
    shown.page.evaluate("window.read()")
    shown.page.wait_for_timeout(1000)  # in which the file would be sent
    shown.settled()
    assert shown.parameters().get("image") == "cat"
    shown.expect(figure.locator(".thumb[aria-pressed=true]")).to_have_attribute("data-image", "cat")
    assert "is being read" not in caption(shown)
    assert shown.errors() == []


@pytest.mark.long
def test_play_and_another_photograph_end_the_brush(tab):
    shown = tab("")
    figure = journey(shown)
    brush = figure.get_by_role("button", name="with a brush")
    for ends in (lambda: figure.locator(".play").click(), lambda: scrub(shown, 6)):
        brush.click()
        stands_at(shown, END)
        shown.expect(figure.locator(".caption")).to_have_text(re.compile("^Draw over"))
        ends()
        shown.expect(brush).to_have_attribute("aria-pressed", "false")
        shown.expect(figure.locator(".caption")).not_to_have_text(re.compile("^Draw over"))
    scrub(shown, END)
    figure.locator(".bar .text").first.click()  # one class after each layer
    shown.expect(figure.locator(".curve")).to_be_visible()
    brush.click()
    figure.locator(".thumb[data-image=cat]").click()
    shown.expect(figure.locator(".curve")).to_be_hidden()
    shown.expect(brush).to_have_attribute("aria-pressed", "false")
    assert shown.errors() == []


def test_the_keyboard_alone_chooses_holds_and_comes_back_to_the_answer(tab):
    shown = tab("", reduced_motion="reduce")
    figure = journey(shown)
    scrub(shown, END)
    answer = re.compile("the answer is motorbike")
    shown.expect(figure.locator(".caption")).to_have_text(answer)
    figure.get_by_role("button", name="pixels", exact=True).focus()
    for _ in range(2):  # past the link to the page of patches
        shown.page.keyboard.press("Tab")
    photo = figure.locator("canvas.photo")
    shown.expect(photo).to_be_focused()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        shown.page.keyboard.press(key)
    pointed = figure.get_attribute("data-query")
    assert re.fullmatch(r"r\d+c\d+", pointed)
    shown.expect(figure.locator(".caption")).not_to_have_text(answer)
    shown.page.keyboard.press("Tab")
    shown.expect(figure.locator(".caption")).to_have_text(answer)
    shown.page.keyboard.press("Shift+Tab")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        shown.page.keyboard.press(key)
    shown.page.wait_for_url(re.compile(r"query=r\d+c\d+"))
    held = re.search(r"query=r(\d+)c(\d+)", shown.page.url)
    assert held
    shown.expect(photo).to_have_attribute("aria-label", re.compile(f"row {held[1]}, column {held[2]}"))
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_url(re.compile(r"^((?!query=).)*$"))
    assert shown.errors() == []


@pytest.mark.long
def test_heads_open_by_a_link_and_close_by_it(tab):
    shown = tab("?query=r8c3", reduced_motion="reduce")
    figure = journey(shown)
    heads = figure.get_by_role("button", name="heads", exact=True)
    scrub(shown, 5)
    heads.click()
    shown.expect(figure.locator(".heads button")).to_have_count(6)
    shown.expect(figure.get_by_text("Layer 2, head by head")).to_be_visible()
    assert heads.get_attribute("aria-pressed") == "true"
    heads.click()
    shown.expect(figure.locator("canvas.sequence")).to_be_visible()
    assert heads.get_attribute("aria-pressed") == "false" and shown.errors() == []


@pytest.mark.long
def test_a_class_that_closes_gives_the_focus_back_to_its_own_bar(tab):
    shown = tab("", reduced_motion="reduce")
    figure = journey(shown)
    scrub(shown, END)
    second = figure.locator(".bar .text").nth(1)
    name = second.locator(".name").inner_text()
    second.click()
    figure.get_by_role("button", name="all classes").click()
    shown.expect(figure.locator(".bar .text:focus .name")).to_have_text(name)
