"""Two networks in a real browser: what is painted at a step is what Python computes, and no step asks the server."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from vitviz.analysis.perturbation import perturbation_curve
from vitviz.draw.objects import field_levels
from vitviz.draw.scale import table
from vitviz.models import load_cnn
from vitviz.samples import load_sample

SIDE = 224
UNDER = 0.5  # of its light, the photograph under a field

PIXELS = """(canvas) => {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, data: [...data] };
}"""


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    """(height, width, 3): the cut of the photograph that both networks get."""
    return np.asarray(vitviz.prepare(vitviz.load_model("embedded"), load_sample("motorcycle")).shown)


def networks(tab):
    """The view, once all of it is there. The window is so large that no pixel of the input is left out."""
    view = tab.page.locator(".networks[data-state=shown][data-playing=false]")
    tab.expect(view).to_have_count(1)
    return view


def painted(view, place: int, points: np.ndarray) -> np.ndarray:
    """(points, 3): what the canvas of one side shows at the middle of some pixels of the input, (points, 2): row and column."""
    found = view.locator("canvas").nth(place).evaluate(PIXELS)
    data = np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)
    rows, cols = (points.T + 0.5) * [[found["height"]], [found["width"]]] / SIDE
    return data[rows.astype(int), cols.astype(int), :3]


def inside(side: float, centre: tuple[float, float] = (SIDE / 2, SIDE / 2)) -> np.ndarray:
    """Some pixels that no line of the square lies over."""
    points = np.random.default_rng(0).integers(8, SIDE - 8, (400, 2))
    from_line = np.abs(np.abs(points + 0.5 - centre).max(1) - side / 2)
    return points[from_line > 8]


def square(view, place: int, centre: tuple[float, float]) -> np.ndarray:
    """(top, bottom, left, right) of the white square on one side's canvas, in pixels of the input."""
    found = view.locator("canvas").nth(place).evaluate(PIXELS)
    data = np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)
    white = data[..., :3].min(-1) > 250  # no colour of the map, nor the photograph under it, is
    scale = found["width"] / SIDE
    row, col = (int(at * scale) for at in centre)
    down, across = np.flatnonzero(white[:, col]), np.flatnonzero(white[row])
    return np.array([down[0], down[-1] + 1, across[0], across[-1] + 1]) / scale


@pytest.mark.long
def test_fields_are_painted_as_python_computes_them(tab, seen):
    shown = tab("vit_or_cnn", width=1280, height=800, reduced_motion="reduce")
    view = networks(shown)
    shown.expect(view).to_have_attribute("data-step", "12")  # still, and at the end, where motion is unwanted
    fields = [
        vitviz.receptive_fields(model, vitviz.analysis.perturbation.model_input(model, seen))
        for model in (vitviz.load_model("embedded"), load_cnn())
    ]
    grey = np.round(seen @ np.array([0.2126, 0.7152, 0.0722]))
    view.locator(".scrub").focus()
    for key, step, frames in (
        ("End", 12, (12, 6)),
        ("Home", 0, (0, 0)),
        ("ArrowRight", 1, (1, 0)),
        ("PageUp", 2, (2, 1)),
    ):
        shown.page.keyboard.press(key)
        shown.expect(view).to_have_attribute("data-step", str(step))
        for place, frame in enumerate(frames):
            field = fields[place][frame]
            points = inside(field.side, field.centre)
            level = field_levels(field.gradient)[*points.T]
            share = level[:, None] / 255
            wanted = share * table("inferno")[level] + (1 - share) * UNDER * grey[*points.T][:, None]
            # Gradients differ in their last digits from pass to pass, and so may a rounded level.
            assert np.abs(painted(view, place, points) - wanted).max() <= 6, (step, place)
            lines = [at + half for at in field.centre for half in (-field.side / 2, field.side / 2)]
            np.testing.assert_allclose(square(view, place, field.centre), np.clip(lines, 0, SIDE), atol=1.5)
            assert f"{field.side:.0f}" in view.locator(".said").inner_text()
    assert not shown.errors()


@pytest.mark.long
def test_each_point_of_the_curves_has_its_picture_without_asking_the_server(tab, seen):
    shown = tab("vit_or_cnn?side_by_side=perturbation&perturbation=edges", width=1280, height=800, scheme="dark")
    view = networks(shown)
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    curve = perturbation_curve(load_cnn(), seen, "edges")
    box = view.locator(".chart").bounding_box()
    points = inside(0)
    for share, step in ((1.0, 8), (0.5, 4), (0.0, 0)):
        # The axis begins 40 pixels from the left and ends 42 before the right.
        view.locator(".chart").hover(position={"x": 40 + share * (box["width"] - 82), "y": box["height"] / 2})
        shown.expect(view).to_have_attribute("data-step", str(step))
        for place in (0, 1):
            np.testing.assert_array_equal(painted(view, place, points), curve.pictures[step][*points.T])
        assert f"{curve.values[step]:.1%}" in view.locator(".under").nth(1).inner_text()
    assert asked == []
    marks = [mark.bounding_box() for mark in view.locator(".chart .point").all()]
    ends = [mark["x"] + mark["width"] for mark in marks]
    names = view.locator(".chart .end")
    assert names.count() == 2, "of both networks"
    for name in names.all():
        assert max(ends) < name.bounding_box()["x"], "no name lies over a curve"
        assert name.bounding_box()["x"] + name.bounding_box()["width"] <= box["x"] + box["width"]
    assert not shown.errors()
