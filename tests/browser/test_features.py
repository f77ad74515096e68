"""Patch features in a real browser: what is painted is what Python computes, under a pointer, by keys, and in the link."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from vitviz.draw import LIGHT
from vitviz.draw.scale import table

GRID = 16
VALUES = "(node, picture) => node.vitvizFeatures.values(picture)"
# The colour in the middle of each patch: (rows * cols * 3) bytes.
COLOURS = """(canvas, [rows, cols]) => {
  const pen = canvas.getContext("2d");
  const found = [];
  for (let row = 0; row < rows; row++) for (let col = 0; col < cols; col++) {
    const [x, y] = [((col + 0.5) * canvas.width) / cols, ((row + 0.5) * canvas.height) / rows].map(Math.floor);
    found.push(...pen.getImageData(x, y, 1, 1).data.slice(0, 3));
  }
  return found;
}"""

# What is sent to the server from now on, on the connection that there is.
COUNT_MESSAGES = """() => {
  const own = WebSocket.prototype.send;
  window.messages = 0;
  WebSocket.prototype.send = function (...given) { window.messages += 1; return own.apply(this, given); };
}"""


@pytest.fixture(scope="module")
def vectors():
    model = vitviz.load_model("embedded")
    inputs = [vitviz.prepare(model, vitviz.load_sample(name)).input for name in ("motorcycle", "fire-engine")]
    return [vitviz.feature_maps(model, each).facet("key") for each in inputs]


def figure(tab):
    tab.page.wait_for_selector(".features[data-ready]")
    return tab.page.locator(".features")


def test_every_patch_answers_in_both_photographs(tab, vectors):
    shown = tab("features")
    root, (a, b) = figure(shown), vectors
    shown.page.wait_for_load_state("networkidle")  # nothing that belongs to opening the page is still on its way
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.page.evaluate(COUNT_MESSAGES)
    panels = root.locator("canvas.panel")
    box = panels.nth(0).bounding_box()
    for row, col in ((11, 2), (3, 13)):
        panels.nth(0).hover(position={"x": (col + 0.5) * box["width"] / GRID, "y": (row + 0.5) * box["height"] / GRID})
        shown.expect(shown.page.locator(f'.features[data-source="0 r{row}c{col}"]')).to_have_count(1)
        here, there = (np.array(root.evaluate(VALUES, at)).reshape(GRID, GRID) for at in (0, 1))
        np.testing.assert_allclose(here, vitviz.similar_patches(a, (row, col)).values, atol=1e-3)
        np.testing.assert_allclose(there, vitviz.similar_patches(a, (row, col), b).values, atol=1e-3)
        for at, values in enumerate(
            (np.delete(here, row * GRID + col), there)
        ):  # each has its own scale, without the patch itself
            ends = root.locator(".scale .ticks").nth(at).locator("span").all_inner_texts()
            assert [float(ends[0]), float(ends[-1])] == pytest.approx([values.min(), values.max()], abs=1e-3)
        # The most alike patch of the second photograph is painted in the last colour, over its grey photograph.
        painted = np.array(panels.nth(1).evaluate(COLOURS, [GRID, GRID])).reshape(GRID, GRID, 3)
        best = np.unravel_index(there.argmax(), there.shape)
        worst = np.unravel_index(there.argmin(), there.shape)
        last, first = table(LIGHT.sequential)[-1].astype(int), table(LIGHT.sequential)[0].astype(int)
        for place, colour in ((best, last), (worst, first)):
            below = (painted[place] - 0.6 * colour) / 0.4  # the grey photograph, under a map of opacity 0.6
            assert np.ptp(below) < 8, (place, painted[place])
    assert asked == [] and shown.page.evaluate("messages") == 0  # the browser answers by itself
    assert not shown.errors()


@pytest.mark.long
def test_components_are_painted_as_python_computes_them(tab, vectors):
    shown = tab("features?shows=components")
    panels = figure(shown).locator("canvas.panel")  # each photograph, then its colours
    expected = vitviz.principal_components(vectors, 3, True).colours()
    for at, colours in enumerate(expected):
        painted = np.array(panels.nth(2 * at + 1).evaluate(COLOURS, [GRID, GRID])).reshape(GRID, GRID, 3)
        assert np.abs(painted - 255 * colours).max() <= 2
    assert not shown.errors()


@pytest.mark.long
def test_arrow_keys_move_the_patch_and_the_link_says_which(tab, vectors):
    shown = tab("features?pin=r11c2")
    root = figure(shown)
    root.locator("canvas.panel").nth(0).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        shown.page.keyboard.press(key)
    shown.wait_for_parameter("pin", "r10c4")
    values = np.array(root.evaluate(VALUES, 1))
    np.testing.assert_allclose(
        values, vitviz.similar_patches(vectors[0], (10, 4), vectors[1]).values.ravel(), atol=1e-3
    )
    best = divmod(int(values.argmax()), GRID)
    shown.expect(root.locator(".reading")).to_contain_text(
        f"In Fire engine: most similar to row {best[0]}, column {best[1]}"
    )
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_url(lambda url: "pin" not in url)
    shown.page.reload()
    assert figure(shown).get_attribute("data-source") == "0 r11c2"  # where the page begins
    assert not shown.errors()


@pytest.mark.long
def test_a_movement_paints_the_panels_that_change(tab):
    """Of four panels, two are about the photograph that is pointed at."""
    shown = tab("features?shows=groups")
    panels = figure(shown).locator("canvas.panel")
    box = panels.nth(0).bounding_box()
    shown.page.evaluate(
        "() => { const own = CanvasRenderingContext2D.prototype.drawImage; window.drawn = new Set();"
        "CanvasRenderingContext2D.prototype.drawImage = function (...given) {"
        "  drawn.add(this.canvas); own.apply(this, given); } }"
    )
    counts = []
    for share in (0.3, 0.6):
        shown.page.evaluate("drawn.clear()")
        panels.nth(0).hover(position={"x": share * box["width"], "y": 30})
        count = "[...drawn].filter((canvas) => canvas.matches('.panel')).length"
        shown.until(lambda count=count: shown.page.evaluate(count) >= 2)
        shown.page.wait_for_timeout(300)  # another panel would be painted in the same frame
        counts.append(shown.page.evaluate(count))
    assert counts == [2, 2]
    assert shown.errors() == []
