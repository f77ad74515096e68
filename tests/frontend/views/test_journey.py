"""The journey under Node.js: the colours of shares, what the pointer asks about, where names stand, and sizes that fit."""

from __future__ import annotations

import math
import re

import pytest

from tests.frontend.conftest import Run
from vitviz.frontend import STYLES


def test_shares_show_from_half_the_even_share_and_are_brightest_at_fifteen_times(run: Run) -> None:
    shares = [0, 0.5 / 257, 3 / 257, 15 / 257, 1]
    imports = 'import { shade } from "./render/journey.js";\n'
    found = run(imports, "return given.shares.map((share) => shade(share, 1 / 257));", shares=shares)
    assert [opacity for _, opacity in found] == [0, 0, 1, 1, 1]
    colours = [colour for colour, _ in found]
    assert colours == sorted(colours) and colours[0] == 76 and colours[-2:] == [255, 255]


DATA = """
import { JourneyData } from "./views/journey_data.js";
const dataOf = (layers, rest) => Object.assign(new JourneyData(), {
  shown: { data: { layers, follow: "r1c1", mapped: "r1c1" } }, pinned: null, hovered: null, open: 0, layers, ...rest });
"""


def test_where_shares_of_one_token_came_the_pointer_asks_about_that_one(run: Run) -> None:
    """Pointing at the photograph blanked every map of a windowed model."""
    body = """
    const [shares, any] = [[{ any: false, rows: null, values: [1, 2] }], [{ any: true }]];
    const ask = (layers, rest) => {
      const it = dataOf(layers, rest);
      return [it.queryIn(0), it.targetOf(it.queryIn(0))];
    };
    const pointed = dataOf(shares, { hovered: "r0c3" });
    return [
      ask(shares, {}), ask(shares, { hovered: "r0c3" }), ask(shares, { hovered: "r1c1" }),
      ask(shares, { pinned: "r2c2", hovered: "r0c3" }),
      ask(any, { hovered: "r0c3" }), ask(any, { pinned: "r2c2", hovered: "r0c3" }),
      pointed.shares(0, pointed.queryIn(0)), pointed.shares(0, "r0c3"),
    ];"""
    assert run(DATA, body) == [
        ["r1c1", None],
        ["r1c1", "r0c3"],
        ["r1c1", None],
        ["r2c2", "r0c3"],
        ["r0c3", None],
        ["r2c2", "r0c3"],
        [1, 2],
        None,
    ]


def test_too_large_a_model_answers_the_pointer_in_the_layer_on_the_screen(run: Run) -> None:
    body = """
    const layers = [0, 1].map((i) => ({ any: false, url: `shares ${i}`, rows: `rows ${i}` }));
    const fetched = [];
    const it = dataOf([0, 1].map(() => ({ rows: null, values: [1] })), {
      hovered: "r0c3", host: { resolve: (url) => { fetched.push(url); return new Promise(() => {}); }, stale() {} },
      timeline: { playing: false, layer: 1 }, repaint() {}, showStatus() {} });
    it.shown.data.layers = layers;
    it.loadPointed();
    it.loadPointed();
    const before = it.queryIn(0);
    it.layers[0].rows = {};  // arrived
    const after = [it.queryIn(0), it.queryIn(1), it.queryIn(-1)];
    it.open = null;
    it.loadPointed();  // of another layer: the first is let go
    await new Promise((done) => setTimeout(done));
    return [fetched, before, after, it.layers[0].rows];"""
    fetched, before, after, left = run(DATA, body)
    assert fetched == ["rows 0", "rows 1"]
    assert before == "r1c1" and after == ["r0c3", "r1c1", "r1c1"]  # the layers stay with the token of all layers
    assert left is None


@pytest.mark.parametrize("ends", [[100, 160], [160, 100], [100, 100], [100, 104], [30, 32], [198, 199], [30], [198]])
def test_names_stand_beside_the_ends_of_their_lines_and_apart(run: Run, ends: list[int]) -> None:
    imports = 'import { namePlaces } from "./render/lines.js";\n'
    places = run(imports, "return namePlaces(given.ends, 28, 202);", ends=ends)
    assert all(28 <= place <= 202 for place in places)
    for place, end in zip(places, ends, strict=True):  # the middle of a name is 4 above its baseline
        assert abs(place - 4 - end) <= 15
        if len(ends) == 1 or abs(ends[0] - ends[1]) >= 15:
            assert place - 4 == end
    if len(ends) == 2:
        upper = 0 if ends[0] <= ends[1] else 1
        assert places[1 - upper] - places[upper] >= 15


def test_two_fingers_enlarge_the_page_wherever_one_finger_scrolls_it() -> None:
    for style in STYLES.glob("*.css"):
        for told in re.findall(r"touch-action:\s*([^;}]+)", style.read_text(encoding="utf-8")):
            assert told.strip() in ("manipulation", "auto") or "pinch-zoom" in told, f"{style.name}: {told}"


FIGURE = 'import { headSide, sizesFor } from "./views/journey_figure.js";\n'


@pytest.mark.parametrize(
    ("width", "height", "layers", "frame", "photo"),
    [
        (944, 800, 12, 80, 230),
        (688, 768, 12, 72, 210),
        (1336, 1080, 12, 130, 380),
        (944, 800, 24, 45, 230),
        (944, 800, 1, 120, 200),
    ],
)
def test_frames_and_photograph_are_large_and_fit(
    run: Run, width: int, height: int, layers: int, frame: int, photo: int
) -> None:
    found = run(
        FIGURE, "return sizesFor(given.width, given.height, given.layers);", width=width, height=height, layers=layers
    )
    assert found["frame"] >= frame and found["photo"] >= photo
    rows = math.ceil(layers / found["columns"])
    layers_part = max(42 + rows * (found["frame"] + 24), 256)  # title, rows with their names; or the answer beside them
    below = 168 + 22 * (height > 820)  # caption, story, transport and gallery
    assert 28 + found["photo"] + layers_part + below <= height - 80  # the heading
    assert found["columns"] * (found["frame"] + 6) - 6 + 28 + found["answer"] <= width
    assert found["photo"] + 28 + found["sequence"] == width


@pytest.mark.parametrize(
    ("count", "width", "height", "ratio"),
    [(6, 682, 200, 1), (12, 444, 182, 1), (3, 400, 400, 0.6), (16, 900, 300, 1.5)],
)
def test_heads_of_a_layer_fill_the_place_of_the_line(
    run: Run, count: int, width: int, height: int, ratio: float
) -> None:
    side = run(
        FIGURE,
        "return headSide(given.count, given.width, given.height, given.ratio);",
        count=count,
        width=width,
        height=height,
        ratio=ratio,
    )

    def fits(side: int) -> bool:
        columns = (width + 8) // (side + 8)
        return columns > 0 and math.ceil(count / columns) * (side * ratio + 28) <= height

    assert fits(side) and (side == 180 or not fits(side + 1))
