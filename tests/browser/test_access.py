"""The views for everyone: without a mouse, without seeing, with a finger, on any screen; and what a movement costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ImageColor

SPOKEN = "[aria-live=polite]"
# Pixels of every canvas for one CSS pixel, across and down.
SHARPNESS = """canvases => canvases.map((canvas) => [canvas, canvas.getBoundingClientRect()])
  .filter(([, box]) => box.width > 8).flatMap(([canvas, box]) => [canvas.width / box.width, canvas.height / box.height])"""
# Counts what is painted, and which canvases are made anew.
COUNTED = """
for (const name of ['drawImage', 'strokeRect', 'fillText', 'putImageData']) {
  const own = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    window.calls += 1;
    return own.apply(this, given);
  };
}
for (const name of ['width', 'height']) {
  const own = Object.getOwnPropertyDescriptor(HTMLCanvasElement.prototype, name);
  Object.defineProperty(HTMLCanvasElement.prototype, name, {
    ...own,
    set(value) {
      window.sized += 1;
      own.set.call(this, value);
    },
  });
}
"""
FOCUSED = """() => {
  let at = document.activeElement;
  while (at.shadowRoot) at = at.shadowRoot.activeElement;
  return at.dataset.token;
}"""


def luminance(colour: str) -> float:
    values = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.long
def test_a_change_of_the_pixel_ratio_alone_is_followed(replies: Any) -> None:
    shown = replies()
    session = shown.context.new_cdp_session(shown.page)
    canvases = shown.page.locator("canvas:not(.ramp)")
    for ratio in (2, 1.25, 3, 1):
        size = {"width": 1024, "height": 768, "deviceScaleFactor": ratio, "mobile": False}
        session.send("Emulation.setDeviceMetricsOverride", size)
        shown.until(lambda ratio=ratio: all(abs(each - ratio) < 0.05 for each in canvases.evaluate_all(SHARPNESS)))
        assert shown.page.evaluate("[innerWidth, innerHeight]") == [1024, 768]


@pytest.mark.long
def test_maps_of_heads_answer_a_click_without_a_pointer_and_on_their_words(replies: Any) -> None:
    shown = replies("microscope")
    root = shown.page.locator(".microscope")
    shown.page.locator(".tile[data-head='3']").evaluate("tile => tile.click()")  # as a screen reader presses it
    shown.page.locator(".microscope[data-head='3']").wait_for()
    shown.page.locator(".tile[data-head='3'] .caption").click()
    shown.page.locator(".microscope[data-head='all']").wait_for()
    shown.page.locator(".tile[data-head='5'] canvas").click()
    shown.page.locator(".microscope[data-head='5']").wait_for()
    assert root.get_attribute("aria-busy") == "false"


@pytest.mark.parametrize("view", ["microscope", pytest.param("picture", marks=pytest.mark.long)])
@pytest.mark.long
def test_the_focus_stays_on_the_token_that_was_picked(replies: Any, view: str) -> None:
    shown = replies(view)
    chip = shown.page.locator(".chip[data-token=cls]")
    chip.focus()
    shown.page.keyboard.press("Enter")
    shown.said(**({"token": "cls"} if view == "microscope" else {"chosen": "cls"}))
    shown.shown()
    assert shown.page.evaluate(FOCUSED) == "cls"
    assert chip.get_attribute("aria-pressed") == "true"


def test_a_canvas_with_keys_says_so_and_is_silent_while_the_pointer_moves(replies: Any) -> None:
    shown = replies()
    canvases = shown.page.locator("canvas[tabindex='0']")
    assert canvases.count() == 4, "each view has one that takes keys"
    for canvas in canvases.all():
        assert canvas.get_attribute("role") == "application"
        assert canvas.get_attribute("aria-label")
        assert "pinch-zoom" in canvas.evaluate(
            "c => getComputedStyle(c).touchAction.replace('manipulation', 'pinch-zoom')"
        )
    picture = shown.picture("painted")
    canvas = picture.locator("canvas.main")
    spoken = picture.locator(SPOKEN)
    for column in range(5):
        shown.page.mouse.move(**shown.over(canvas, 2, column, 14))
    assert picture.locator(".readout").inner_text() == "row 2, column 4 · not marked"
    shown.page.wait_for_timeout(700)
    assert spoken.text_content() == ""
    shown.page.mouse.move(2, 2)
    canvas.focus()
    for key in ("ArrowDown", "ArrowDown", "Space"):
        shown.page.keyboard.press(key)
    shown.expect(spoken).to_have_text("row 8, column 7 · marked · 2 of 196 marked")
    assert "2 of 196 marked" in canvas.get_attribute("aria-label")
    shown.said(cells=[3, 119])


INKS = """node => {
  node.style.transition = 'none';
  const paint = document.createElement('canvas').getContext('2d');
  return ['color', 'backgroundColor'].map((name) => {
    paint.fillStyle = getComputedStyle(node)[name];
    return paint.fillStyle;
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.long
def test_the_words_on_a_primary_button_can_be_read(tab: Any, scheme: str) -> None:
    shown = tab("what_if?switch=worth", scheme=scheme)
    inks = shown.page.locator("[data-testid=stBaseButton-primary]").first.evaluate(INKS)
    assert contrast(*inks) >= 4.5, inks


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_the_words_on_a_pressed_token_can_be_read(replies: Any, scheme: str) -> None:
    shown = replies("picture", color_scheme=scheme)
    chip = shown.page.locator(".chip[data-token=cls]")
    chip.click()
    shown.said(chosen="cls")
    colours = chip.evaluate(INKS)
    assert contrast(*colours) >= 4.5, colours


def test_a_fast_stroke_leaves_no_gap_and_shows_what_the_model_gets(replies: Any) -> None:
    shown = replies("paint")
    canvas = shown.picture("painted").locator("canvas.main")
    mouse = shown.page.mouse
    mouse.move(**shown.over(canvas, 6, 0, 14))
    mouse.down()
    mouse.move(**shown.over(canvas, 6, 13, 14))  # one event for the whole way
    outside = shown.over(canvas, 9, 13, 14)
    mouse.move(outside["x"] + 60, outside["y"])  # out of the picture, and in again
    mouse.move(**shown.over(canvas, 9, 13, 14))
    mouse.up()
    row = [84 + column for column in range(14)]
    cells = shown.said(picks=1)["cells"]
    assert set(row) <= set(cells)
    assert {3, 9 * 14 + 13} <= set(cells)
    mouse.move(2, 2)

    def colour(row: int, col: int) -> tuple[int, ...]:
        read = """(canvas, [x, y]) =>
          [...canvas.getContext('2d').getImageData(canvas.width * x, canvas.height * y, 1, 1).data]"""
        return tuple(canvas.evaluate(read, [(col + 0.5) / 14, (row + 0.5) / 14])[:3])

    hidden = ImageColor.getrgb("#77706a")
    shown.until(lambda: colour(6, 4) == hidden)
    assert colour(3, 4) != hidden
    shown.screenshot("painted")


# A finger that presses a place of a node, and is lifted: both come without a mouse having been there.
PRESSED = """(node, { x, y }) => {
  const event = { pointerType: "touch", isPrimary: true, composed: true, clientX: x, clientY: y };
  for (const kind of ["pointerdown", "pointerup", "pointerout", "pointerleave"])
    node.dispatchEvent(new PointerEvent(kind, { ...event, bubbles: kind !== "pointerleave" }));
}"""


def test_what_a_finger_points_at_stays_until_another_place_is_touched(replies: Any) -> None:
    shown = replies()
    picture, board = shown.picture("picture"), shown.picture("board")

    def stays(view: Any, says: str) -> None:
        shown.expect(view.locator(".readout")).to_contain_text(says)
        shown.page.wait_for_timeout(200)  # longer than what goes after a touch
        assert says in view.locator(".readout").inner_text()

    at = shown.over(picture.locator("canvas.main"), 4, 9, 14)
    picture.locator("canvas.main").evaluate(PRESSED, at)
    stays(picture, "row 4, column 9 · 65.0")
    shown.over(board.locator("canvas.main"), 0, 0, 1)  # where it stays
    # 26 pixels for the layers, 18 for the heads, and maps of 21 with 3 between them.
    box = board.locator("canvas.main").bounding_box()
    wide = (box["width"] - 26) / 24
    head = {"x": box["x"] + 26 + 2.5 * wide, "y": box["y"] + 18 + 1.5 * wide}
    board.locator("canvas.main").evaluate(PRESSED, head)
    stays(board, "layer 1, head 2 · ")
    shown.expect(picture.locator(".readout")).not_to_contain_text("row 4")
    shown.page.locator("[data-testid=stCode]").evaluate(PRESSED, {"x": 5, "y": 5})
    shown.expect(board.locator(".readout")).not_to_contain_text("head 2")


@pytest.mark.long
def test_a_finger_draws_and_two_fingers_do_not(replies: Any) -> None:
    shown = replies("paint", has_touch=True, viewport={"width": 390, "height": 844})
    canvas = shown.picture("painted").locator("canvas.main")
    session = shown.context.new_cdp_session(shown.page)

    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [shown.over(canvas, *place, 14) | {"id": at} for at, place in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (4, 2))
    touch("touchMove", (4, 9))
    touch("touchEnd")
    assert shown.said(picks=1)["cells"] == [3, *range(58, 66)]
    touch("touchStart", (8, 2))
    touch("touchStart", (8, 2), (10, 9))
    touch("touchMove", (8, 1), (10, 11))
    touch("touchEnd")
    shown.page.wait_for_timeout(800)
    assert shown.said(picks=1)["cells"] == [3, *range(58, 66)]


@pytest.mark.long
def test_a_movement_paints_marks_and_keeps_the_rest(replies: Any) -> None:
    shown = replies()
    shown.page.evaluate(COUNTED)
    board = shown.page.locator(".heatmap:has([aria-label^='board'])").locator("canvas.main")
    picture = shown.picture().locator("canvas.main")
    microscope = shown.page.locator("canvas.picture")
    for canvas, at, most in ((board, (20, 60), 12), (picture, (20, 60), 12), (microscope, None, 120)):
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        x, y = (box["x"] + 30, box["y"] + 40)
        if at is None:  # pinned: a movement reads another value of the same answer
            shown.page.mouse.click(x, y)
            shown.page.locator(".microscope[data-pinned=true]").wait_for()
        shown.page.mouse.move(x, y)
        shown.page.wait_for_timeout(300)
        shown.page.evaluate("window.calls = window.sized = 0")
        shown.page.mouse.move(x + 75, y + 45)
        shown.until(lambda: shown.page.evaluate("window.calls"))
        shown.page.wait_for_timeout(300)  # nothing more comes after it
        calls, sized = shown.page.evaluate("[window.calls, window.sized]")
        assert 0 < calls <= most, "the base under the marks that came and went, and the marks"
        assert sized == 0, "no canvas is made anew"


@pytest.mark.long
def test_the_settings_of_the_microscope_stay_open_over_a_remount(replies: Any) -> None:
    shown = replies("microscope")
    settings = shown.page.locator(".microscope .more-of")
    shown.expect(settings).to_have_attribute("aria-expanded", "false")
    settings.click()
    away = shown.page.get_by_text("put away")
    away.click()
    shown.expect(shown.page.locator(".microscope")).to_have_count(0)
    away.click()
    shown.shown()
    shown.expect(settings).to_have_attribute("aria-expanded", "true")
    shown.expect(shown.page.locator(".microscope .more")).to_be_visible()


@pytest.mark.long
def test_what_is_remembered_survives_a_remount_and_requests_end_with_the_page(replies: Any) -> None:
    shown = replies("picture")
    slider = shown.page.locator(".blend input")
    slider.fill("20")
    away = shown.page.get_by_text("put away")
    away.click()
    shown.expect(shown.page.locator(".heatmap")).to_have_count(0)
    away.click()
    shown.shown()
    assert slider.input_value() == "20"
    lost: list[str] = []
    shown.page.on("requestfailed", lambda request: lost.append(f"{request.failure} {request.url}"))
    shown.hold()
    shown.choose("second")
    shown.page.locator(".heatmap[aria-busy=true]").wait_for()
    away.click()
    shown.expect(shown.page.locator(".heatmap")).to_have_count(0)
    shown.until(lambda: len(lost) == 2)
    assert all("ERR_ABORTED" in each and "/payload/" in each for each in lost)
