"""What stands around every page: the presenter's view, a phone, the way from page to page."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.tabs import PARTS, AppTab, views
from tests.browser.test_app import send
from vitviz.draw.theme import FACE
from vitviz.ui.pages.registry import pages
from vitviz.ui.shell import text as sidebar
from vitviz.ui.text import common

AXE = Path(__file__).with_name("axe") / "axe.min.js"  # axe-core 4.14.1, MPL-2.0: see its licence beside it
# Moves of what was drawn, beside those in the half second after a touch.
WATCH = """
window.moved = [];
const within = (node) => {
  let at = node;
  while (at && !/st-key-/.test(at.className)) at = at.parentNode ?? at.host;
  return at ? /st-key-[-\\w]+/.exec(at.className)[0] : node?.nodeName;
};
const told = ({ node, previousRect: was, currentRect: is }) => `${within(node)} ${was.y}+${was.height} to ${is.y}+${is.height}`;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.moved.push([each.value, each.sources.map(told)]);
}).observe({ type: "layout-shift", buffered: true });
"""
# What axe finds in our components, which lie in shadow trees, and in our own HTML; the rest is Streamlit's.
FOUND = """async () => {
  const rules = { "target-size": { enabled: true } }; // of WCAG 2.2; axe leaves it out of its default
  const { violations } = await axe.run(document, { resultTypes: ["violations"], rules });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, html }) => [Array.isArray(target[0]) || html.includes("vv-"), `${id}: ${html.slice(0, 200)}`]));
}"""
DARK = "app => getComputedStyle(app).backgroundColor.match(/\\d+/g).slice(0, 3).every((channel) => channel < 60)"
SIZES = [(1024, 768), (1280, 800)]
ORDER = [page.name for page in pages()]
PHONE = {"width": 390, "height": 844}


def heading(shown: Any, name: str) -> Any:
    question = next(page.question for page in pages() if page.name == name)
    shown.page.get_by_role("heading", name=question).wait_for()
    return shown.settled()


@pytest.mark.long
def test_a_presenter_goes_on_with_keys_and_leaves_with_escape(tab):
    shown = tab("patches?present=1", width=1280, height=800)
    keys, at = shown.page.keyboard, shown.page.locator
    assert not at("[data-testid=stSidebar]").is_visible() and not at(".st-key-controls").is_visible()
    assert at(".st-key-figure").bounding_box()["width"] > 1100
    keys.press("ArrowRight")
    heading(shown, "positions")
    assert shown.parameters() == {"present": "1"}
    shown.page.mouse.move(400, 300)
    dot = at(".vv-laser").bounding_box()
    assert dot["x"] + dot["width"] / 2 == pytest.approx(400, abs=1) and dot["y"] + dot["height"] / 2 == pytest.approx(
        300, abs=1
    )
    at(".heatmap canvas.main").first.focus()
    keys.press("ArrowRight")  # moves the choice in the picture that has the focus
    shown.wait_for_parameter("query", "r8c9")
    keys.press("PageUp")  # of a clicker
    heading(shown, "patches")
    keys.press("ArrowLeft")
    heading(shown, "start")
    journey = at(".journey[data-at]")
    at(".journey .play").evaluate("button => button.click()")  # the film stands; its controls are not shown here
    step = float(journey.get_attribute("data-at"))
    keys.press("ArrowRight")
    there = journey.locator("xpath=self::*[@data-at='%.3f']" % (int(step) + 1))
    there.wait_for()
    assert shown.page.url.partition("?")[0].rstrip("/") == shown.server
    at(".journey canvas.photo").focus()
    keys.press("Escape")  # lets go of the patch first
    shown.page.wait_for_url(lambda url: "query" not in url)
    shown.settled()
    keys.press("Escape")
    shown.page.wait_for_url(lambda url: "present" not in url)
    shown.settled()
    shown.expect(at("[data-testid=stSidebar]")).to_be_visible()
    assert not at(".vv-laser").is_visible()
    assert shown.errors() == []


@pytest.mark.long
def test_on_a_phone_the_pages_are_at_the_bottom_and_the_answer_in_one_line(tab):
    shown = tab("patches?answer=shown", **PHONE)
    at = shown.page.locator
    bar, answer = at(".st-key-along").bounding_box(), at(".st-key-top").bounding_box()
    assert bar["y"] + bar["height"] == PHONE["height"] and bar["height"] < 60
    assert answer["height"] < 50 and "motorbike" in at(".st-key-answer").inner_text()
    at(".st-key-next-page a").click()
    heading(shown, "positions")
    at(".st-key-list-of-pages button").click()
    at("[data-testid=stPopoverBody] a").nth(ORDER.index("patches")).click()
    heading(shown, "patches")
    assert shown.errors() == [] and shown.parameters() == {"answer": "shown"}
    for name in ("patches", ""):
        wide = tab(name, **PHONE).page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= PHONE["width"]


@pytest.mark.long
def test_a_picture_of_20_mb_is_scaled_down_survives_a_reload_and_goes_when_asked(tab):
    """Noise is what JPEG can do least about."""
    noise = np.random.default_rng(0).integers(0, 255, (3600, 4800, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=95)
    assert len(file.getvalue()) > 20e6
    shown = tab("patches")
    send(shown, file.getvalue(), "holiday.jpg")
    shown.wait_for_parameter("image", "upload")
    beside = shown.page.locator("[data-testid=stSidebar]")
    said = common.SCALED.format(width=4800, height=3600)
    assert said in beside.inner_text()
    shown.page.reload()
    shown.settled()
    assert shown.parameters() == {"image": "upload"} and said in beside.inner_text()
    shown.page.get_by_role("button", name=sidebar.FORGET).click()
    shown.page.wait_for_url(lambda url: "upload" not in url)
    shown.settled()
    shown.open("patches?image=upload")
    assert common.NO_UPLOAD in shown.page.inner_text("[data-testid=stMain]")
    send(shown, bytes(11 * 2**20), "no-picture.heic")
    shown.page.get_by_text(sidebar.TOO_LARGE).wait_for()
    assert shown.errors() == []


# Sentences in a figure that no component says.
SAID_IN_FIGURE = "parts => parts.map((part) => part.innerText.trim()).filter((text) => /[.!?]$/.test(text))"
LINE, ROW = 35, 70  # CSS pixels: more than a line is high, more than a row of controls with names above them
FEW = ("start", "patches")  # the others are long
EVERY = [pytest.param(name, marks=() if name in FEW else pytest.mark.long) for name in ORDER]


def figure_leads(shown: AppTab, view: str) -> None:
    """On both screens the figure is whole and first, under it one line of text and at most one row of controls."""
    for width, height in SIZES:
        shown.page.set_viewport_size({"width": width, "height": height})
        shown.page.wait_for_timeout(400)

        def check(width: int = width, height: int = height) -> None:
            box = shown.page.locator(".st-key-figure").bounding_box()
            assert box["y"] < 140 and box["height"] > 150
            end = box["y"] + box["height"]
            assert end <= height, (view, width, box)
            for key, highest in (("lead", LINE), ("controls", ROW)):
                boxes = [each.bounding_box() for each in shown.page.locator(f".st-key-{key}").all()]
                for box in (each for each in boxes if each and each["height"]):
                    inside = end < box["y"] and box["height"] < highest and box["y"] + box["height"] <= height
                    assert inside, (view, key, box)
            texts = shown.page.locator(
                ".st-key-figure :is([data-testid=stMarkdown], [data-testid=stCaptionContainer]) p"
            )
            assert texts.evaluate_all(SAID_IN_FIGURE) == [], view

        shown.eventually(check)
        shown.screenshot(f"{view.replace('?', '-')}-{width}x{height}")


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.long
def test_the_figure_of_every_part_of_a_page_leads(tab, name):
    shown = tab(name)
    for view in views():
        if view.startswith(f"{name}?"):
            figure_leads(shown.open(view), view)
    assert shown.errors() == []


@pytest.mark.parametrize("view", views())
@pytest.mark.long
def test_screenshots_of_every_page_in_light_and_dark(tab, view):
    """Three sizes each, kept to be looked at: `make screenshots` takes all, a run in CI those of one view."""
    name, path = view.replace("?", "-"), view.removeprefix("start")
    for scheme in ("light", "dark"):
        on_desk, in_hand = tab(path, scheme=scheme), tab(path, **PHONE, scheme=scheme, has_touch=True, is_mobile=True)
        in_hand.page.wait_for_timeout(1500)  # what a figure's script paints after the page's own
        in_hand.screenshot(f"{name}-phone-{scheme}")
        for width, height in SIZES:
            on_desk.page.set_viewport_size({"width": width, "height": height})
            on_desk.page.wait_for_timeout(400)
            on_desk.screenshot(f"{name}-{width}x{height}-{scheme}")
        assert on_desk.errors() == in_hand.errors() == []


@pytest.mark.parametrize("name", EVERY)
def test_a_page_as_people_meet_it(browser, server, name):
    """The figure whole on the first screen, nothing that moves, nothing in the way of anybody, nothing from elsewhere."""
    shown = AppTab(browser, server, viewport={"width": 1280, "height": 800})
    shown.page.add_init_script(WATCH)
    shown.open("" if name == "start" else name)
    shown.expect(shown.page.locator(".st-key-along")).to_be_visible()  # what waits for the figure
    shown.page.wait_for_timeout(1500)
    moved = shown.page.evaluate("moved")
    assert sum(value for value, _ in moved) < 0.05, moved
    face = shown.page.locator(".stApp").evaluate("app => getComputedStyle(app).fontFamily")
    assert face.startswith('"Source Sans"') and FACE.startswith("Source Sans")  # of the page, of pictures
    figure_leads(shown, name)
    shown.page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = shown.page.evaluate(FOUND)
    assert [said for ours, said in found if ours] == []
    print(*{said.partition(":")[0] for ours, said in found if not ours})  # Streamlit's
    shown.page.emulate_media(color_scheme="dark")
    shown.until(lambda: shown.page.locator(".stApp").evaluate(DARK))
    assert violations(shown) == []
    shown.page.emulate_media(color_scheme="light")
    shown.page.set_viewport_size(PHONE)
    shown.page.wait_for_timeout(400)
    assert shown.page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
    inner = shown.page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth")
    assert inner <= 0
    shown.screenshot(f"{name}-phone")
    assert shown.errors() == []
    shown.close()


# What is chosen of a few, cut off at its end.
CUT_OFF = """groups => groups.flatMap(group => [...group.querySelectorAll("button")].filter((button) => {
  const [one, all] = [button.getBoundingClientRect(), group.getBoundingClientRect()];
  return one.width && (one.right > all.right + 1 || one.right > innerWidth || button.scrollWidth > button.clientWidth + 1);
}).map((button) => button.innerText))"""
LOOKS = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "hand": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
}


def violations(shown: AppTab) -> list[str]:
    """What axe finds wrong with our own."""
    return [said for ours, said in shown.page.evaluate(FOUND) if ours]


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.long
def test_every_part_of_a_page_with_all_of_it_open(browser, server, name, look):
    """What is folded away is a part of the page, too: Settings, Details, the glossary, the heads of a layer."""
    shown = AppTab(browser, server, **LOOKS[look])
    at, wrong = shown.page.locator, {}
    for view in (each for each in views() if each.partition("?")[0] == name):
        shown.open(view.removeprefix("start"))
        shown.page.wait_for_timeout(1500)
        shown.page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        found = violations(shown)
        if at(".journey").count():
            at(".journey .play").click()  # stands still
            for _ in range(2):  # to a layer, and its heads
                at(".journey .cell-name").nth(5).evaluate("button => button.click()")
        for each in at("[data-testid=stMain] [data-testid=stExpander] summary").all():
            each.click()
            shown.settled()
        shown.page.wait_for_timeout(800)
        found += violations(shown)
        for each in at(".st-key-controls [data-testid=stPopover] button:not(:disabled), .microscope .more-of").all():
            each.click()
            shown.page.wait_for_timeout(300)
            found += violations(shown)
            shown.page.keyboard.press("Escape")
        cut = at("[data-testid=stMain] [data-testid=stButtonGroup]").evaluate_all(CUT_OFF)
        shown.screenshot(f"open-{view.replace('?', '-')}-{look}")
        if found or cut:
            wrong[view] = (sorted(set(found)), cut)
    assert wrong == {}
    assert shown.errors() == []
    shown.close()


@pytest.mark.parametrize("name", ["positions", pytest.param("patches", marks=pytest.mark.long)])
def test_what_stands_side_by_side_shares_its_edges_and_moves_nothing(tab, name):
    shown = tab(name, width=1280, height=800)
    at, figure = shown.page.locator, ".st-key-figure"
    pictures = at(f"{figure} canvas.main, {figure} [data-testid=stImage] img")
    one, other = (each.bounding_box() for each in pictures.all())
    for side in ("y", "width", "height"):
        assert one[side] == pytest.approx(other[side], abs=1), side
    bars = [each.bounding_box()["y"] for each in at(f"{figure} canvas.ramp").all()]
    assert len(bars) in (0, 2) and max(bars, default=0) - min(bars, default=0) <= 1
    lead = at(".st-key-lead").bounding_box()["y"]
    shown.page.mouse.move(one["x"] + one["width"] * 2.5 / 16, one["y"] + one["height"] * 3.5 / 16)
    for said in at(f"{figure} .readout").all():
        shown.expect(said).to_contain_text("row 3, column 2")
    assert at(".st-key-lead").bounding_box()["y"] == lead
    shown.screenshot(f"{name}-edges")
    assert shown.errors() == []


LATE = re.compile(r"/static/js/(Html|ButtonGroup|Selectbox|BidiComponent|Checkbox|Slider|ImageList)\.")


@pytest.mark.long
@pytest.mark.parametrize("name", ["patches", "model"])
def test_nothing_moves_where_scripts_of_elements_come_late(browser, server, name):
    shown = AppTab(browser, server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    shown.page.add_init_script(WATCH)
    late = []

    def come_late(route) -> None:
        late.append(route.request.url)
        time.sleep(0.25)  # one after the other
        route.continue_()

    shown.page.route(LATE, come_late)
    shown.open(name)
    shown.page.wait_for_timeout(500)
    assert late and sum(value for value, _ in shown.page.evaluate("window.moved")) < 0.05
    shown.page.unroute_all(behavior="wait")
    shown.close()


@pytest.mark.long
def test_what_stands_below_details_waits_until_they_are_complete(browser, server):
    shown = AppTab(browser, server, viewport={"width": 1280, "height": 800})
    shown.page.add_init_script(WATCH)
    shown.open("patches")
    shown.page.evaluate("window.moved.length = 0")
    shown.page.locator(".st-key-below summary").click()
    shown.expect(shown.page.locator(".st-key-details .vv-detailed")).to_have_count(1)
    shown.settled()
    shown.page.wait_for_timeout(300)
    assert shown.page.locator(".st-key-around").is_visible()
    assert sum(value for value, _ in shown.page.evaluate("window.moved")) < 0.05
    shown.close()
