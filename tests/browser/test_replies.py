"""What stands on the screen while payloads are on their way, late, or lost: one question's picture and numbers, or neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .microscope_cases import CASES
from .replies import Replies
from .tabs import Tab

GRIDS = {"first": 14, "second": 16}
PARTS = (".microscope", ".heatmap:has([aria-label^='picture'])", ".heatmap:has([aria-label^='board'])")
# How many pixels of a component's canvases are painted.
INK = """root => [...root.querySelectorAll('canvas:not(.ramp, .colours canvas)')].filter((canvas) => canvas.width > 1).reduce(
  (sum, canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return sum + data.filter((value, i) => i % 4 === 3 && value).length;
  }, 0)"""


def read(shown: Replies, row: int, col: int, side: int) -> str:
    canvas = shown.picture().locator("canvas.main")
    shown.page.mouse.move(**shown.over(canvas, row, col, side))
    return shown.picture().locator(".readout").inner_text()


def test_a_photograph_and_its_numbers_change_together_and_a_late_reply_changes_nothing(replies: Any) -> None:
    shown = replies()
    microscope, canvas = shown.page.locator(".microscope"), shown.picture().locator("canvas.main")
    assert read(shown, 2, 3, 14) == "row 2, column 3 · 31.0"
    shown.page.mouse.move(2, 2)
    before = [
        canvas.evaluate("c => c.toDataURL()"),
        shown.page.locator("canvas.picture").evaluate("c => c.toDataURL()"),
    ]
    shown.hold()
    shown.choose("second")
    for part in PARTS:
        shown.page.locator(f"{part}[aria-busy=true]").wait_for()
    # Still the first photograph under the first numbers, and neither is said to be of the second.
    assert before == [
        canvas.evaluate("c => c.toDataURL()"),
        shown.page.locator("canvas.picture").evaluate("c => c.toDataURL()"),
    ]
    assert microscope.get_attribute("data-source") is None
    assert "loading" in microscope.locator(".state").inner_text()
    assert microscope.locator(".reading").inner_text() == ""
    assert read(shown, 2, 3, 14) == "row 2, column 3 · loading …"

    # Back again before anything came: the first is still here, and what comes now is too late.
    shown.choose("first")
    shown.shown()
    shown.let_go()
    shown.page.wait_for_timeout(500)
    shown.shown()
    assert read(shown, 2, 3, 14) == "row 2, column 3 · 31.0"
    np.testing.assert_allclose(
        microscope.evaluate("root => root.vitvizMicroscope.values(0)"),
        CASES["bias"].layer(1).row(0)[0].numpy(),
        atol=1e-4,
    )

    shown.choose("second")
    shown.shown()
    assert read(shown, 2, 3, 16) == "row 2, column 3 · 1035"
    np.testing.assert_allclose(
        microscope.evaluate("root => root.vitvizMicroscope.values(0)"),
        CASES["small"].layer(1).row(0)[0].numpy(),
        atol=1e-4,
    )


@pytest.mark.long
def test_what_cannot_be_fetched_is_said_and_leaves_nothing_old_behind(replies: Any) -> None:
    shown = replies()
    shown.page.route("**/payload/**", lambda route: route.fulfill(status=404, body="not found"))
    shown.choose("second")
    for part in PARTS:
        root = shown.page.locator(part)
        shown.expect(root.locator(".failure")).to_contain_text("no longer on the server")
        assert "Reload" not in root.locator(".failure").inner_text()
        assert root.get_attribute("aria-busy") == "false"
        assert root.evaluate(INK) == 0, "no old map under the new question"
    box = shown.picture().bounding_box()
    shown.page.mouse.move(box["x"] + 50, box["y"] + 120)
    shown.expect(shown.picture().locator(".failure")).to_be_visible()  # pointing does not take the message away
    shown.screenshot("failed")
    shown.page.unroute("**/payload/**")
    again = shown.page.get_by_role("button", name="Try again")
    for left in range(again.count(), 0, -1):
        again.first.click()
        shown.expect(again).to_have_count(left - 1)
    shown.shown()
    shown.expect(shown.page.locator(".failure:visible")).to_have_count(0)
    assert read(shown, 2, 3, 16) == "row 2, column 3 · 1035"


def test_the_network_is_lost_and_comes_back(replies: Any) -> None:
    shown = replies()
    shown.page.route("**/payload/**", lambda route: route.abort("internetdisconnected"))
    shown.choose("second")
    for part in PARTS:
        shown.expect(shown.page.locator(part).locator(".failure")).to_contain_text("the server does not answer")
    shown.page.unroute("**/payload/**")
    shown.page.evaluate("window.dispatchEvent(new Event('online'))")
    shown.shown()
    shown.expect(shown.page.locator(".failure:visible")).to_have_count(0)


@pytest.mark.long
def test_a_click_while_a_finer_grid_is_on_its_way_reaches_python(replies: Any) -> None:
    shown = replies("picture")
    shown.hold()
    shown.choose("second")
    shown.page.locator(".heatmap[aria-busy=true]").wait_for()
    canvas = shown.picture().locator("canvas.main")
    shown.page.mouse.click(**shown.over(canvas, 13, 13, 14))
    shown.said(chosen="r15c15")  # where that patch is in the grid to come
    shown.let_go()
    shown.shown()
    shown.page.mouse.move(2, 2)
    shown.expect(shown.picture().locator(".readout")).to_have_text("row 15, column 15 · 1255")
    shown.page.mouse.click(**shown.over(canvas, 15, 0, 16))
    shown.page.mouse.click(**shown.over(canvas, 0, 15, 16))
    shown.said(chosen="r0c15")


@pytest.mark.long
def test_the_last_cell_is_erased_and_a_button_pressed_after_it_counts(replies: Any) -> None:
    shown = replies("paint")
    canvas = shown.picture("painted").locator("canvas.main")
    shown.page.mouse.click(**shown.over(canvas, 0, 3, 14))
    shown.said(cells=[], picks=1)
    shown.page.get_by_role("button", name="cut the sinks").click()
    shown.said(cells=[5, 6], picks=2)
    shown.page.mouse.click(**shown.over(canvas, 1, 0, 14))
    shown.said(cells=[5, 6, 14])


@pytest.mark.long
def test_a_stroke_and_a_button_received_in_one_run_count_in_their_order(replies: Any) -> None:
    shown = replies("paint&seconds=1.5")
    canvas = shown.picture("painted").locator("canvas.main")
    shown.page.mouse.click(**shown.over(canvas, 1, 0, 14))
    shown.page.locator("[data-testid=stApp][data-test-script-state=running]").wait_for()
    # Both are received by the run after this one, and Streamlit calls the button's callback first.
    shown.page.mouse.click(**shown.over(canvas, 0, 3, 14))
    shown.page.get_by_role("button", name="cut the sinks").click()
    assert shown.said(picks=3)["cells"] == [5, 6]


@pytest.mark.long
def test_24_heads_on_a_phone_keep_their_size_and_are_hit(replies: Any) -> None:
    shown = replies("board", viewport={"width": 375, "height": 700})
    canvas = shown.page.locator(".heatmap canvas.main")
    pitch = (canvas.bounding_box()["width"] - 26) / 24
    assert pitch >= 24
    for head in (23, 0, 20):
        canvas.evaluate("(canvas, to) => { canvas.parentElement.scrollLeft = to; }", 26 + head * pitch - 100)
        box = canvas.bounding_box()
        x = box["x"] + 26 + (head + 0.5) * pitch
        assert 0 < x < 375
        shown.page.mouse.click(x, box["y"] + 18 + 10)
        shown.said(head=[0, head])
    canvas.focus()
    for _ in range(3):
        shown.page.keyboard.press("ArrowRight")
    shown.said(head=[0, 23])
    wide = shown.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 375, "the board is scrolled, and not the page"
    shown.screenshot("board-24-heads")


# For every canvas: pixels for one CSS pixel, across and down.
SHARPNESS = """canvases => canvases.flatMap((canvas) => {
  const box = canvas.getBoundingClientRect();
  return box.width > 8 ? [canvas.width / box.width, canvas.height / box.height] : [];
})"""


@pytest.mark.long
def test_zoom_pixel_ratio_and_height_are_followed(replies: Any) -> None:
    shown = replies()
    session = shown.context.new_cdp_session(shown.page)
    picture, canvases = shown.page.locator("canvas.picture"), shown.page.locator("canvas:not(.ramp)")

    def window(width: int, height: int, ratio: float) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        session.send("Emulation.setDeviceMetricsOverride", size)
        shown.until(lambda: all(abs(each - ratio) < 0.1 for each in canvases.evaluate_all(SHARPNESS)))

    # Zooming in by a half makes the window two thirds as wide in CSS pixels.
    for width, height, ratio in ((1024, 768, 1), (683, 512, 1.5), (1138, 853, 0.9), (1024, 400, 1)):
        window(width, height, ratio)
        box, maps = picture.bounding_box(), shown.page.locator(".tile:visible").first.bounding_box()
        assert box["x"] + box["width"] <= maps["x"] or box["y"] + box["height"] <= maps["y"], (width, ratio)
    tall = picture.bounding_box()["height"]
    window(1024, 1200, 2)
    shown.until(lambda: picture.bounding_box()["height"] > tall + 20)


@pytest.mark.long
def test_modules_that_cannot_be_fetched_are_said_and_fetched_again(browser: Any, replies_server: str) -> None:
    shown = Tab(browser, replies_server)
    refused: list[str] = []

    def refuse(route: Any) -> None:
        refused.append(route.request.url)
        route.abort()

    shown.page.route("**/frontend/**", refuse)
    shown.page.goto(f"{replies_server}/?only=picture")
    trouble = shown.page.locator(".failure")
    shown.expect(trouble).to_contain_text("This part of the page could not be fetched")
    assert len({url.split("/frontend/")[1].split("/")[0] for url in refused}) == 4, "each attempt has its own address"
    shown.page.unroute("**/frontend/**")
    shown.page.get_by_role("button", name="Try again").click()
    shown.expect(shown.page.locator(".heatmap[data-state=shown]")).to_have_count(1)
    shown.expect(shown.page.locator(".failure:visible")).to_have_count(0)
    assert shown.failed == []
    shown.close()
