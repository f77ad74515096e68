"""One head by hand in a real browser: what is read adds up, a click follows another patch, and the slider is a what-if."""

from __future__ import annotations

import math

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


@pytest.mark.parametrize(("width", "scheme"), [pytest.param(1024, "light", marks=pytest.mark.long), (390, "dark")])
def test_a_head_is_followed_with_a_calculator(tab, width, scheme):
    shown = tab("by_hand?image=motorcycle&query=r9c9&layer=0&head=2", width=width, scheme=scheme)
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
    shown.screenshot(f"by-hand-{width}-{scheme}")

    # A click follows another patch, whose numbers are other ones; its link brings the same numbers to somebody else.
    picture = shown.page.locator(".heatmap[data-ready] canvas.main").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    picture.click(position={"x": 3.5 / 16 * box["width"], "y": 5.5 / 16 * box["height"]})
    shown.wait_for_parameter("query", "r5c3")
    soon(shown, lambda: softmax_rows(shown) != (keys, total))
    moved = softmax_rows(shown)
    shown.page.reload()
    shown.settled()
    soon(shown, lambda: softmax_rows(shown) == moved)
    assert shown.errors() == []
