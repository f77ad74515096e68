"""One head by hand in a real browser: what is read adds up, a click follows another patch, and the slider is a what-if."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any

import pytest

from vitviz.ui.pages.by_hand import text as words

from .tabs import PATIENCE

PAUSE = 200  # milliseconds between two looks
TABLES = """() => [...document.querySelectorAll('table')].filter((table) => table.checkVisibility()).map(
  (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()).filter(Boolean)))"""


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def soon(shown, holds):
    """What `holds` gives, once it is something: a page is written from the top down, and what stands below may be older."""
    for _ in range(PATIENCE // PAUSE):
        if found := holds():
            return found
        shown.page.wait_for_timeout(PAUSE)
    raise AssertionError("it never held")


def rows_of(shown, columns, **blanks) -> list[list[str]]:
    """The rows of the table on the screen whose heading begins with these columns, as soon as it is there."""
    wanted = [name.format(**blanks) for name in columns]

    def found() -> list[list[list[str]]]:
        return [rows[1:] for rows in shown.page.evaluate(TABLES) if rows and rows[0][: len(wanted)] == wanted]

    return soon(shown, found)[0]


def softmax_rows(shown) -> tuple[list[list[str]], float]:
    """Keys with their score, less the largest, exponential and weight; and the sum of all exponentials."""
    *keys, _, total = rows_of(shown, words.SOFTMAX_COLUMNS)
    return keys, number(total[1])


def at_step(shown, step: str) -> None:
    """Waits until the canvas shows `step` and nothing on it moves."""
    shown.page.wait_for_selector(f".by-hand[data-shown={step}][data-moving=false]")


@pytest.mark.parametrize(("width", "scheme"), [pytest.param(1024, "light", marks=pytest.mark.long), (390, "dark")])
@pytest.mark.long
def test_a_head_is_followed_with_a_calculator(tab, width, scheme):
    shown = tab("by_hand?image=motorcycle&query=r9c9&head=2&step=softmax", width=width, scheme=scheme)
    at_step(shown, "softmax")
    shown.page.get_by_text("Details", exact=True).click()
    shown.settled()  # its figures are drawn when it is open
    keys, total = softmax_rows(shown)
    assert len(keys) >= 6
    largest = max(number(score) for _, score, *_ in keys)
    for _, score, less, power, weight in keys:
        assert number(less) == pytest.approx(number(score) - largest, abs=0.02)
        assert number(power) == pytest.approx(math.exp(number(less)), rel=0.01, abs=0.002)
        assert number(weight) == pytest.approx(number(power) / total, rel=0.01, abs=2e-4)

    # The what-if divides the scores; the model's own weights stay as they are.
    slider = shown.page.get_by_role("slider", name=words.TEMPERATURE)
    slider.scroll_into_view_if_needed()
    for temperature in ("1.1", "1.2"):
        slider.focus()
        shown.page.keyboard.press("ArrowRight")
        shown.wait_for_parameter("temperature", temperature)
    softened = rows_of(shown, words.WHAT_IF_COLUMNS, temperature="1.2")
    assert softmax_rows(shown) == (keys, total)
    for (key, score, weight, own), (name, plain, *_, before) in zip(softened, keys, strict=True):
        assert (key, own) == (name, before)
        assert number(score) == pytest.approx(number(plain) / 1.2, abs=0.01)
        lead = number(score) - number(softened[0][1])  # over the first key, in the exponent
        assert number(weight) == pytest.approx(number(softened[0][2]) * math.exp(lead), rel=0.02, abs=3e-4)
    assert "step=softmax" in shown.page.url  # a slider keeps its arrow keys

    # A click follows another patch, whose numbers are other ones; its link brings the same numbers to somebody else.
    photograph = shown.page.locator(".by-hand canvas.photo")
    photograph.scroll_into_view_if_needed()
    box = photograph.bounding_box()
    photograph.click(position={"x": 3.5 / 16 * box["width"], "y": 5.5 / 16 * box["height"]})
    shown.wait_for_parameter("query", "r5c3")
    soon(shown, lambda: softmax_rows(shown) != (keys, total))
    moved = softmax_rows(shown)
    shown.page.reload()
    shown.settled()
    shown.page.get_by_text("Details", exact=True).click()
    shown.settled()  # its figures are drawn when it is open
    soon(shown, lambda: softmax_rows(shown) == moved)
    assert shown.errors() == []


def test_steps_go_by_buttons_and_by_keys_with_the_photograph_in_sight(tab):
    shown = tab("by_hand?image=motorcycle&query=r9c9&head=2")
    at_step(shown, "pixels")
    bar = shown.page.get_by_role("navigation", name="Steps")
    back, further = bar.get_by_role("button", name="Back"), bar.get_by_role("button", name="Next")
    assert back.is_disabled()
    boxes = set()

    def look() -> None:
        for name in ("canvas.photo", ".area", ".transport"):
            box = shown.page.locator(f".by-hand {name}").bounding_box()
            boxes.add((name, *(round(side) for side in box.values())))
            assert box["y"] >= 0 and box["y"] + box["height"] <= 768  # whole above the fold

    shown.page.keyboard.press("ArrowRight")  # nothing has the focus
    shown.page.wait_for_selector(".by-hand[data-moving=true]")
    at_step(shown, "embedding")
    shown.wait_for_parameter("step", "embedding")
    look()
    further.click()
    at_step(shown, "position")
    look()
    shown.page.keyboard.press("ArrowLeft")
    at_step(shown, "embedding")
    bar.get_by_role("button", name="Softmax").click()
    at_step(shown, "softmax")
    look()
    shown.wait_for_parameter("step", "softmax")
    assert bar.locator("[aria-current=step]").inner_text().endswith("Softmax")
    assert len(boxes) == 3  # nothing moved or changed its size
    # On the photograph the arrow keys go from patch to patch.
    shown.page.locator(".by-hand canvas.photo").focus()
    shown.page.keyboard.press("ArrowRight")
    shown.wait_for_parameter("query", "r9c10")
    assert shown.parameters()["step"] == "softmax"
    shown.page.go_back()
    assert shown.errors() == []


@pytest.mark.long
def test_with_reduced_motion_a_step_is_there_at_once(tab):
    shown = tab("by_hand?image=motorcycle&step=scores", width=390, height=844, reduced_motion="reduce")
    at_step(shown, "scores")
    root = shown.page.locator(".by-hand")
    root.evaluate(
        "root => { root.moves = []; new MutationObserver(() => root.moves.push(root.dataset.moving))"
        ".observe(root, { attributes: true, attributeFilter: ['data-moving', 'data-shown'] }); }"
    )
    shown.page.get_by_role("button", name="Next").click()
    at_step(shown, "softmax")
    assert "true" not in root.evaluate("root => root.moves")
    picture, area = (shown.page.locator(f".by-hand {name}").bounding_box() for name in ("canvas.photo", ".area"))
    assert picture["y"] >= 0 and area["y"] + area["height"] <= 844
    assert shown.errors() == []


@pytest.mark.long
def test_the_numbers_of_one_patch_are_not_read_as_those_of_the_next(tab):
    from playwright.sync_api import Error

    shown = tab("by_hand?image=motorcycle&query=r9c9&head=2&step=softmax")
    at_step(shown, "softmax")
    photo, readout = (shown.page.locator(f".by-hand {name}") for name in ("canvas.photo", ".readout"))
    shown.expect(readout).to_have_text(re.compile(r"row 9, column 9 · \d"))
    readout.evaluate(
        "node => { window.read = []; new MutationObserver(() => window.read.push(node.textContent))"
        ".observe(node, { childList: true, characterData: true, subtree: true }); }"
    )
    held: list[Any] = []
    shown.page.route("**/payload/**", lambda route: held.append(route))
    photo.focus()
    shown.page.keyboard.press("ArrowRight")
    shown.until(lambda: held)
    shown.expect(readout).to_have_text("loading …")
    shown.page.unroute("**/payload/**")
    with suppress(Error):
        for route in held:
            route.continue_()
    shown.expect(readout).to_have_text(re.compile(r"row 9, column 10 · \d"))
    of_the_next = {text for text in shown.page.evaluate("window.read") if "column 10" in text}
    assert of_the_next == {readout.inner_text()}
    assert shown.errors() == []


# Lengths of the bars of weights, from the top down: runs of the bars' two greys beside the last column of numbers.
BARS = """(canvas, left) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const lengths = [];
  let open = false;
  for (let y = 0; y < height; y++) {
    const filled = (x) => data[4 * (y * width + x) + 3] > 200 && data[4 * (y * width + x)] < 200;
    const first = width - Math.floor(left) + 1;
    if (filled(first) && filled(first + 2) && filled(first + 4)) {
      let x = first;
      while (filled(x)) x += 1;
      if (!open) lengths.push(x - first + 1);
      open = true;
    } else open = false;
  }
  return lengths;
}"""


@pytest.mark.long
def test_the_painted_weights_are_pythons(tab):
    from vitviz import load_model, load_sample, trace

    own = trace(load_model("embedded"), load_sample("motorcycle")).layers[0].row(1 + 8 * 16 + 8)[0].numpy()
    shown = tab(
        "by_hand?image=motorcycle&query=r8c8&head=0&step=softmax", width=1280, height=800, reduced_motion="reduce"
    )
    at_step(shown, "softmax")
    shown.screenshot("by-hand-softmax")
    canvas = shown.page.locator(".by-hand canvas.scene")
    # The last column begins at 77% of the canvas, with 68 pixels for its numbers, and ends 8 before the edge.
    area, photo = (shown.page.locator(f".by-hand {name}").bounding_box() for name in (".area", "canvas.photo"))
    across = area["width"] - photo["width"] - 28
    left = 0.23 * across - 68
    lengths = canvas.evaluate(BARS, left)
    patches = sorted(own[1:], reverse=True)[:5]
    expected = sorted([*patches, own[0]], reverse=True)
    assert len(lengths) == 6
    whole = left - 8
    assert lengths == pytest.approx([whole * weight / expected[0] for weight in expected], abs=1.2)
