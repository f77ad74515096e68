"""Windows in a real browser: a patch is chosen on its layer's grid, and its window is drawn around what it may look at."""

from __future__ import annotations

import pytest

# Where the second picture is bluish green: its photograph is grey, its map goes from black over purple to yellow, and only
# the outline of a window is neither.
OUTLINED = """canvas => {
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = [];
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 1] - data[i] > 40 && data[i + 2] - data[i] > 60) found.push(i / 4);
  const share = (index) => [(index % width) / width, Math.floor(index / width) / canvas.height];
  const places = found.map(share);
  const ends = (axis) => [Math.min(...places.map((p) => p[axis])), Math.max(...places.map((p) => p[axis]))];
  return { count: found.length, across: ends(0), down: ends(1) };
}"""


@pytest.mark.parametrize(("width", "scheme"), [pytest.param(1024, "light", marks=pytest.mark.long), (390, "dark")])
@pytest.mark.long
def test_a_patch_chosen_in_a_shifted_window_shows_that_window(tab, width, scheme):
    shown = tab("layers?model=swin_tiny_patch4_window7_224&weights=random&layer=1", width=width, scheme=scheme)
    pictures = shown.page.locator(".heatmap[data-ready]")
    shown.expect(pictures).to_have_count(3)
    asks = pictures.nth(0).locator("canvas.main")
    asks.scroll_into_view_if_needed()
    box = asks.bounding_box()
    asks.click(position={"x": 50.5 / 56 * box["width"], "y": 10.5 / 56 * box["height"]})
    shown.wait_for_parameter("query", "r10c50")
    shown.expect(shown.page.get_by_text("Patch in row 10, column 50")).to_be_visible()
    looks = pictures.nth(1).locator("canvas.main")
    # The windows of this layer begin at 3, 10, 17, ...: this patch's goes from 10 to 17 down and from 45 to 52 across.
    shown.page.wait_for_function(
        f"canvas => {{ const found = ({OUTLINED})(canvas); return found.count > 50 && found.across[0] > 0.7; }}",
        arg=looks.element_handle(),
    )
    found = looks.evaluate(OUTLINED)
    assert found["across"] == pytest.approx([45 / 56, 52 / 56], abs=0.015)
    assert found["down"] == pytest.approx([10 / 56, 17 / 56], abs=0.015)
    asks.focus()
    shown.page.keyboard.press("ArrowRight")
    shown.wait_for_parameter("query", "r10c51")
    shown.screenshot(f"layers-{width}-{scheme}")
    assert shown.failed == []


WRITTEN = """() => {
  const { fillText } = CanvasRenderingContext2D.prototype;
  window.written = [];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    window.written.push([String(text), x, y]);
    return fillText.call(this, text, x, y);
  };
}"""


@pytest.mark.long
def test_each_layers_map_has_its_number_above_it(tab):
    shown = tab("layers", width=1280, height=800)
    board = shown.page.locator(".heatmap[data-ready]:has(.scroller)")
    shown.expect(board).to_have_count(1)
    shown.page.evaluate(WRITTEN)
    shown.page.set_viewport_size({"width": 1200, "height": 800})
    shown.page.wait_for_function("() => window.written.length >= 12")
    written = shown.page.evaluate("window.written.slice(-12)")
    assert [text for text, *_ in written] == [str(layer) for layer in range(12)]
    across = sorted({x for _, x, _ in written})
    down = sorted({y for *_, y in written})
    assert [(across.index(x), down.index(y)) for _, x, y in written] == [(n % 4, n // 4) for n in range(12)]
    box = board.locator("canvas.main").bounding_box()
    for layer, (_, x, y) in enumerate(written):  # what is under a number's map answers with that number
        shown.page.mouse.move(box["x"] + x, box["y"] + y + 30)
        shown.expect(board.locator(".readout")).to_contain_text(f"layer {layer} ")
