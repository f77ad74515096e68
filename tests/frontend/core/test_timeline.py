"""The playhead of the journey and the lines of patches, under Node.js."""

from __future__ import annotations

import math

import pytest

from tests.frontend.conftest import Run

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
