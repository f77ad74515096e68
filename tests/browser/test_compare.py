"""One cursor in two pictures, in a real browser: what both of them read out is what Python computes."""

from __future__ import annotations

import re

import numpy as np
import pytest

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.pages.compare import text as words
from vitviz.ui.text import common

GRID = 16


@pytest.fixture(scope="module")
def maps() -> tuple[np.ndarray, np.ndarray]:
    """A and B as the page opens: the last layer's mean of heads, trained and untrained."""
    image = load_sample("motorcycle")
    traces = [vitviz.trace(vitviz.load_model("embedded", weights=weights), image) for weights in (None, "random")]
    a, b = (vitviz.attention_map(trace.layers[-1], "cls").values for trace in traces)
    return a, b


def settle(tab) -> None:
    """Waits until the script has run; a reading waits for its picture."""
    tab.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def picture(tab, letter: str):
    """The picture whose text alternative begins so."""
    found = tab.page.locator(".heatmap", has=tab.page.locator(f'canvas.main[aria-label^="{letter}"]'))
    found.locator("canvas.main").scroll_into_view_if_needed()
    return found


def place(tab, letter: str, row: int, col: int) -> dict[str, float]:
    box = picture(tab, letter).locator("canvas.main").bounding_box()
    return {"x": (col + 0.5) * box["width"] / GRID, "y": (row + 0.5) * box["height"] / GRID}


def reading(tab, letter: str, row: int, col: int) -> float:
    """The value that a picture reads out, once it reads out that patch."""
    line = picture(tab, letter).locator(".readout")
    where = common.PICTURE_WORDS["place"].format(row=row, col=col)
    tab.expect(line).to_contain_text(where)
    return float(line.inner_text().rsplit("·", 1)[1].replace("×10⁻", "e-"))


@pytest.mark.long
def test_one_cursor_reads_both_maps(tab, maps):
    shown = tab("compare?difference=shown")
    tab_a, tab_b = maps
    for pointed, (row, col) in (("A:", (10, 4)), ("B:", (5, 9)), ("A minus B", (0, 15))):
        canvas = picture(shown, pointed).locator("canvas.main")
        canvas.hover(position=place(shown, pointed, row, col))
        a, b, gap = (reading(shown, letter, row, col) for letter in ("A:", "B:", "A minus B"))
        assert a == pytest.approx(float(tab_a[row, col]), rel=6e-3)
        assert b == pytest.approx(float(tab_b[row, col]), rel=6e-3)
        assert gap == pytest.approx(float(tab_a[row, col] - tab_b[row, col]), rel=6e-3)
    assert not shown.errors()


@pytest.mark.long
def test_a_patch_marked_on_one_side_is_marked_on_the_other_and_in_the_link(tab, maps):
    shown = tab("compare")
    picture(shown, "B:").locator("canvas.main").click(position=place(shown, "B:", 6, 11))
    shown.page.wait_for_url(re.compile(r"[?&]pin=r6c11(&|$)"))
    settle(shown)
    shown.page.mouse.move(2, 2)
    assert reading(shown, "A:", 6, 11) == pytest.approx(float(maps[0][6, 11]), rel=6e-3)
    assert reading(shown, "B:", 6, 11) == pytest.approx(float(maps[1][6, 11]), rel=6e-3)
    # By keyboard, from there.
    picture(shown, "A:").locator("canvas.main").focus()
    shown.page.keyboard.press("ArrowDown")
    assert reading(shown, "B:", 7, 11) == pytest.approx(float(maps[1][7, 11]), rel=6e-3)
    shown.page.wait_for_url(re.compile(r"[?&]pin=r7c11(&|$)"))
    settle(shown)
    shown.page.reload()
    settle(shown)
    assert reading(shown, "B:", 7, 11) == pytest.approx(float(maps[1][7, 11]), rel=6e-3)
    assert not shown.errors()


@pytest.mark.long
def test_a_click_puts_the_patch_elsewhere_in_the_other_scene(tab):
    shown = tab("compare?compared=scenes", width=390, height=844, scheme="dark")
    beginning = words.INTO_ALT.split("{", 1)[0]
    picture(shown, beginning).locator("canvas.main").click(position=place(shown, beginning, 2, 13))
    shown.page.wait_for_url(re.compile(r"[?&]into=r2c13(&|$)"))
    settle(shown)
    assert words.SAME_PLACE in shown.page.inner_text("[data-testid=stMain]")
    assert not shown.errors()
