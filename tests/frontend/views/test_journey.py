"""The journey's arithmetic under Node.js: the playhead, the lines of patches, and the colours of shares."""

from __future__ import annotations

import math
import re

import pytest

from tests.frontend.conftest import Run
from vitviz.frontend import STYLES

TIMELINE = 'import { eased, sequenceLines, staggered, Timeline } from "./core/timeline.js";\n'


def test_the_playhead_takes_each_step_its_time(run: Run) -> None:
    body = """
    const line = new Timeline(12);
    line.play();
    const log = [];
    for (const ms of given.clock) { const moving = line.advance(ms); log.push([line.at, line.step, line.layer, moving]); }
    return log;"""
    # 3.6 s for the patches, 2 s for the positions, 0.65 s for each of nine layers, 1.2 s for each of the last three
    cut, positions, layer, late = 3600, 2000, 650, 1200
    log = run(TIMELINE, body, clock=[1800, 1800, 1000, 1000, 650 * 8.5, 650 * 0.5 + 600, 10_000])
    assert [at for at, *_ in log] == pytest.approx([0.5, 1, 1.5, 2, 10.5, 11.5, 14])
    assert [step for _, step, *_ in log] == [0, 0, 1, 1, 10, 11, 13]
    assert [number for _, _, number, _ in log] == [-2, -2, -1, -1, 8, 9, 11]
    assert [moving for *_, moving in log] == [True] * 6 + [False]
    assert cut + positions + 9 * layer + 3 * late == 15_050  # a quarter of a minute in all


def test_speed_shortens_every_step_and_a_new_start_begins_again(run: Run) -> None:
    body = """
    const line = new Timeline(3);
    line.speed = 2;
    line.play();
    line.advance(1800);
    const half = line.at;
    line.seek(99);
    const end = [line.at, line.finished];
    line.play();
    return [half, end, line.at];"""
    assert run(TIMELINE, body) == [1, [5, True], 0]


def test_steps_go_from_whole_to_whole(run: Run) -> None:
    body = """
    const line = new Timeline(2);
    const at = [];
    for (const by of [1, 1, -1, 1, 1, 1, 1]) { line.jump(by); at.push(line.at); }
    line.seek(2.4);
    line.jump(-1);
    at.push(line.at);
    line.seek(2.4);
    line.jump(1);
    at.push(line.at);
    return at;"""
    assert run(TIMELINE, body) == [1, 2, 1, 2, 3, 4, 4, 2, 3]


def test_things_start_one_after_another_and_all_arrive(run: Run) -> None:
    body = "return [0, 7, 15].map((i) => [0, 0.4, 0.5, 1].map((p) => staggered(p, i, 16, 0.2)));"
    first, middle, last = run(TIMELINE, body)
    assert first == [0, 1, 1, 1]
    assert middle[0] == 0 and 0 < middle[1] < 1 and middle[3] == 1
    assert last == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("grid", "width", "height"),
    [
        ((16, 16), 520, 320),
        ((16, 16), 320, 110),
        ((14, 14), 240, 240),
        ((37, 37), 520, 320),
        ((7, 20), 400, 300),
        ((1, 1), 300, 300),
    ],
)
def test_lines_are_as_large_as_they_fit(run: Run, grid: tuple[int, int], width: int, height: int) -> None:
    gap = 5
    found = run(
        TIMELINE,
        "return sequenceLines(given.grid, given.width, given.height, given.gap);",
        grid=grid,
        width=width,
        height=height,
        gap=gap,
    )
    count = grid[0] * grid[1]
    assert found["lines"] == math.ceil(count / found["columns"])
    assert found["size"] * found["columns"] <= width + 1
    assert found["height"] <= height
    # by trying every number of columns
    sizes = [
        min(40, width / c)
        for c in range(1, count + 1)
        if math.ceil(count / c) * (2 * min(40, width / c) + gap) <= height
    ]
    assert found["size"] >= 0.85 * max(sizes)
    if found["size"] < max(sizes):  # only for whole rows of the grid in every line
        assert found["columns"] % grid[1] == 0


def test_shares_show_from_half_the_even_share_and_are_brightest_at_fifteen_times(run: Run) -> None:
    shares = [0, 0.5 / 257, 3 / 257, 15 / 257, 1]
    imports = 'import { shade } from "./render/journey.js";\n'
    found = run(imports, "return given.shares.map((share) => shade(share, 1 / 257));", shares=shares)
    assert [opacity for _, opacity in found] == [0, 0, 1, 1, 1]
    colours = [colour for colour, _ in found]
    assert colours == sorted(colours) and colours[0] == 76 and colours[-2:] == [255, 255]


def test_a_film_that_is_put_on_the_page_again_goes_on_where_it_was(run: Run) -> None:
    body = """
    const line = new Timeline(3);
    line.speed = 2;
    line.play();
    line.advance(2700);
    const again = new Timeline(3), ended = new Timeline(3);
    again.restore(line.state);
    ended.restore({ ...line.state, at: 99 });
    return [line.state, again.state, ended.state];"""
    kept, again, ended = run(TIMELINE, body)
    assert kept["at"] > 1 and again == kept == {"at": kept["at"], "speed": 2, "playing": True}
    assert ended == {"at": 5, "speed": 2, "playing": False}


def test_rows_are_computed_once_for_all_heads_and_kept_within_their_bytes(run: Run) -> None:
    imports = 'import { RowCache } from "./core/weights.js";\n'
    body = """
    const asked = [];
    const row = (token) => { asked.push(token); return Float32Array.from([token, 1, 2, token + 2, 3, 6]); };
    const rows = new RowCache({ heads: 2, keys: 3, row }, 2 * 4 * 9);  // two rows: two heads and their mean, of three keys
    const first = [rows.of(5), rows.of(5, 0), rows.of(5, 1)].map((values) => [...values]);
    for (const token of [7, 5, 8, 7, 5]) rows.of(token);
    return [first, asked];"""
    first, asked = run(imports, body)
    assert first == [[6, 2, 4], [5, 1, 2], [7, 3, 6]]
    assert asked == [5, 7, 8, 5]  # 8 took the place of the oldest, 5
    body = "return [...new RowCache({ heads: 1, keys: 2, row: () => Float32Array.of(3, 4) }, 0).of(0)];"
    assert run(imports, body) == [3, 4]  # the row that is asked about, however large it is


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
