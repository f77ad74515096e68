"""Switching things off by hand: paint a patch, read what it does, open the link again, undo it."""

from __future__ import annotations

import re

import pytest

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.pages.what_if import text as words


def component(tab, nth: int):
    return tab.page.locator(".heatmap").nth(nth)


def cell_of(canvas, row: int, col: int, grid: int = 16) -> dict[str, float]:
    box = canvas.bounding_box()
    return {"x": (col + 0.5) * box["width"] / grid, "y": (row + 0.5) * box["height"] / grid}


def paint(tab, *cells: tuple[int, int]) -> None:
    """One stroke over the first picture, from cell to cell."""
    canvas = component(tab, 0).locator("canvas.main")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for nth, (row, col) in enumerate(cells):
        at = cell_of(canvas, row, col)
        tab.page.mouse.move(box["x"] + at["x"], box["y"] + at["y"])
        if not nth:
            tab.page.mouse.down()
    tab.page.mouse.up()


def wait_for(tab, what: str | None) -> None:
    pattern = r"^[^?]*(\?(?!.*what=).*)?$" if what is None else rf"[?&]what={re.escape(what)}(&|$)"
    tab.page.wait_for_url(re.compile(pattern))
    tab.settled()


def value(tab) -> str:
    return tab.page.locator("[data-testid=stMetricValue]").first.inner_text().strip()


@pytest.fixture(scope="module")
def share():
    """share(interventions): what Python says the motorbike's probability is with them."""
    model = vitviz.load_model("embedded")
    image = load_sample("motorcycle")
    index = int(vitviz.trace(model, image).logits.argmax())

    def asked(what: str) -> str:
        with vitviz.intervene(model, vitviz.Interventions.decode(what)) as changed:
            logits = vitviz.trace(changed, image).logits
        return words.SHARE.format(share=float(logits.softmax(-1)[index]))

    return asked


@pytest.mark.long
def test_paint_read_reload_undo(tab, share):
    shown = tab("what_if?answer=shown")
    shown.expect(shown.page.locator("[data-testid=stMetricValue]").first).to_have_text(share(""))
    shown.expect(shown.page.locator("[data-testid=stMetricDelta]")).to_contain_text(words.UNCHANGED)
    watched = [shown.page.locator(each).first for each in (".heatmap canvas.main", "[data-testid=stMetric]", "table")]
    before = [each.bounding_box() for each in watched]

    # A click hides one patch, a stroke three more.
    component(shown, 0).locator("canvas.main").click(position=cell_of(component(shown, 0).locator("canvas.main"), 9, 4))
    wait_for(shown, "hide_mean_148")
    assert [each.bounding_box() for each in watched] == before, "the first stroke moves nothing"
    paint(shown, (10, 4), (10, 5), (10, 6))
    wait_for(shown, "hide_mean_148.164-166")
    painted = share("hide_mean_148.164-166")
    shown.expect(shown.page.locator("[data-testid=stMetricValue]").first).to_have_text(painted)
    assert shown.page.get_by_text(words.HIDE_LINE["mean"].format(count="4 patches")).count()

    # The link is the whole view: after a reload, and for somebody else.
    shown.page.reload()
    shown.settled()
    other = tab(shown.page.url.removeprefix(shown.server).lstrip("/"))
    for view in (shown, other):
        view.expect(view.page.locator("[data-testid=stMetricValue]").first).to_have_text(painted)
        assert "4 patches" in view.page.inner_text("[data-testid=stMain]")

    # Clicking a hidden patch brings it back; "undo everything" brings back the rest.
    paint(shown, (9, 4))
    wait_for(shown, "hide_mean_164-166")
    shown.page.get_by_role("button", name=words.UNDO).click()
    wait_for(shown, None)
    shown.expect(shown.page.locator("[data-testid=stMetricValue]").first).to_have_text(share(""))
    assert shown.errors() == other.errors() == []


@pytest.mark.long
def test_heads_are_switched_on_the_board_and_by_keys(tab, share):
    shown = tab("what_if?switch=heads")
    board = component(shown, 0).locator("canvas.main")
    shown.settled()
    box = board.bounding_box()
    margin, header = 26, 18  # as in board.js
    down, across = (box["height"] - header) / 12, (box["width"] - margin) / 6
    board.click(position={"x": margin + 2.5 * across, "y": header + 4.5 * down})
    wait_for(shown, "heads_zero_4x2")
    shown.expect(shown.page.locator("[data-testid=stMetricValue]").first).to_have_text(share("heads_zero_4x2"))
    board.press("ArrowRight")
    board.press("Space")
    wait_for(shown, "heads_zero_4x2.4x3")
    assert shown.errors() == []


SIZES = {"projector": (1024, 768), "phone": (390, 844)}


# The phone is the narrowest; the others are long.
LOOKS = [("phone", "dark")]
LOOKS += [
    pytest.param(*look, marks=pytest.mark.long)
    for look in (("projector", "light"), ("projector", "dark"), ("phone", "light"))
]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.long
def test_every_section_fits(tab, size, scheme):
    width, height = SIZES[size]
    shown = tab("what_if?answer=shown", width=width, height=height, scheme=scheme)
    for section in words.SECTIONS:
        shown.open(f"what_if?switch={section}&what=hide_mean_100-110~layers_4&weighed=now")
        shown.expect(shown.page.get_by_role("button", name=words.UNDO)).to_be_visible()
        shown.screenshot(f"what_if-{section}-{size}-{scheme}")
        wide = shown.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= width, f"{section} is wider than the screen"
    assert shown.errors() == []
