"""Objects found, in a real browser: the map of a step and the box are painted as Python computes them."""

from __future__ import annotations

import numpy as np

import vitviz
from vitviz.draw import LIGHT, Scale
from vitviz.draw.objects import colour_of
from vitviz.draw.scale import levels, table

from .test_features import COLOURS, GRID

BLEND = 0.65  # how much of a map lies over the grey photograph
SIDE = 224
# The colour at each of some points, which are given in shares of the canvas.
AT = """(canvas, points) => points.map(([x, y]) => [...canvas.getContext("2d").getImageData(
  Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data.slice(0, 3)])"""


def test_eigenvector_and_box_are_painted_as_python_computes_them(tab):
    model = vitviz.load_model("embedded")
    features = vitviz.feature_maps(model, vitviz.prepare(model, vitviz.load_sample("motorcycle")).input).facet("key")
    found = vitviz.token_cut(features)
    shown = tab("find?found_step=sorted", width=1280, height=800)
    pictures = shown.page.locator(".heatmap[data-ready] canvas.main")
    shown.expect(pictures).to_have_count(2)
    assert found.eigenvector is not None
    colours = table(LIGHT.diverging)[levels(found.eigenvector, Scale.of(found.eigenvector, signed=True))]
    painted = np.array(pictures.nth(1).evaluate(COLOURS, [GRID, GRID])).reshape(GRID, GRID, 3)
    below = (painted - BLEND * colours) / (1 - BLEND)  # the photograph, which is grey
    assert np.ptp(below, axis=2).max() < 12 and -8 < below.min() and below.max() < 263

    # The coloured line of a box is one to four of 448 pixels inside it; its name stands at the upper left corner.
    box, line = found.box, 1.25
    wide, high = box.right - box.left, box.bottom - box.top
    across = [box.left + share * wide for share in (0.6, 0.8, 0.97)]
    down = [box.top + share * high for share in (0.6, 0.8, 0.97)]
    outside = 4
    for inset, there in ((line, True), (-outside, False)):
        points = [(x, y) for x in across for y in (box.top + inset, box.bottom - inset)]
        points += [(x, y) for y in down for x in (box.left + inset, box.right - inset)]
        points = [(x / SIDE, y / SIDE) for x, y in points if 0 <= x < SIDE and 0 <= y < SIDE]
        apart = np.abs(np.array(pictures.nth(0).evaluate(AT, points)) - colour_of(0)).max(1)
        assert points and ((apart < 60) == there).all(), (inset, apart)
    assert not shown.errors()
