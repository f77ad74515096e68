"""Cells and sizes in the browser, under Node.js: neighbours in a grid, and targets that can be hit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frontend.conftest import Run
from vitviz.tokens import cell_of_name


def test_a_cell_has_the_index_that_python_gives_it_and_neighbours_within_the_grid(run: Run) -> None:
    imports = 'import { cellAt, middleOf, neighbour } from "./core/layout.js";\n'
    body = """
    const steps = [[-1, 0], [1, 0], [0, -1], [0, 1]];
    return given.grids.map((grid) => {
      const cells = Array.from({ length: grid[0] * grid[1] }, (_, index) => cellAt(index, grid[1]));
      return [middleOf(grid), cells.map((cell) => [cell, steps.map((step) => neighbour(cell, step, grid))])];
    });"""
    grids = [(1, 1), (3, 5), (4, 2)]
    for (rows, cols), (middle, cells) in zip(grids, run(imports, body, grids=grids), strict=True):
        assert middle == [rows // 2, cols // 2]
        assert len(cells) == rows * cols
        for index, (cell, found) in enumerate(cells):
            row, col = map(int, np.unravel_index(index, (rows, cols)))
            assert cell == [row, col]
            above, below = [max(row - 1, 0), col], [min(row + 1, rows - 1), col]
            assert found == [above, below, [row, max(col - 1, 0)], [row, min(col + 1, cols - 1)]]


def test_names_of_patches_are_read_as_in_python(run: Run) -> None:
    names = [
        "r0c0",
        "r9999c9999",
        "r007c1",
        "r10000c0",
        "r0c10000",
        "R1c1",
        "r1c1 ",
        "r1c1\n",
        "r-1c0",
        "r\u0663c3",
        "rc",
        "",
    ]
    found = run('import { patchNamed } from "./core/layout.js";\n', "return given.names.map(patchNamed);", names=names)
    assert [cell and tuple(cell) for cell in found] == [cell_of_name(name) for name in names]
    assert sum(cell is not None for cell in found) == 3


@pytest.mark.parametrize(("one", "other"), [((4, 6), (4, 6)), ((4, 6), (8, 12)), ((8, 12), (4, 6)), ((3, 5), (7, 4))])
def test_a_place_is_in_the_patch_that_covers_it_in_another_grid(
    run: Run, one: tuple[int, int], other: tuple[int, int]
) -> None:
    """As the same photograph is cut twice: the patch of the other grid in which the middle of the first one's lies."""
    body = """
    const cells = Array.from({ length: given.one[0] * given.one[1] }, (_, index) => cellAt(index, given.one[1]));
    const ends = [[0, 0], [1, 1], [0.999, 0]].map((place) => cellAtPlace(place, given.other));
    const there = (cell) => cellAtPlace(placeOf(cell, given.one), given.other);
    return [cells.map(there), ends, there(null)];"""
    imports = 'import { cellAt, cellAtPlace, placeOf } from "./core/layout.js";\n'
    found, ends, nowhere = run(imports, body, one=one, other=other)
    height, width = (
        one[0] * other[0] * 2,
        one[1] * other[1] * 2,
    )  # pixels of which each patch of both grids has whole ones
    rows, cols = np.mgrid[:height, :width]
    covering = np.stack([rows // (height // other[0]), cols // (width // other[1])], -1)  # (height, width, 2)
    steps = height // one[0], width // one[1]
    middles = covering[steps[0] // 2 :: steps[0], steps[1] // 2 :: steps[1]]
    assert found == middles.reshape(-1, 2).tolist()
    last = [other[0] - 1, other[1] - 1]
    assert ends == [[0, 0], last, [last[0], 0]] and nowhere is None


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_head_is_where_it_is_drawn_and_large_enough_to_hit(run: Run, wrapped: bool) -> None:
    body = """
    return given.boards.map(({ shape, room }) => {
      const size = boardSize(shape, room, 600, given.wrapped);
      const boxes = Array.from({ length: shape[0] * shape[1] }, (_, i) => mapBox(size, ...cellAt(i, shape[1])));
      return [size, boxes, boxes.map(([x, y, width, height]) => headAt(shape, size, x + width / 2, y + height / 2))];
    });"""
    imports = 'import { boardSize, cellAt, headAt, mapBox } from "./core/layout.js";\n'
    boards = [
        {"shape": [layers, heads, 16, 16], "room": room}
        for layers, heads in ((1, 1), (3, 4), (12, 6), (12, 24), (32, 16), (48, 25), (4, 64))
        for room in (280, 343, 390, 640, 1024)
    ]
    for board, (size, boxes, found) in zip(boards, run(imports, body, boards=boards, wrapped=wrapped), strict=True):
        layers, heads, *_ = board["shape"]
        assert found == [[layer, head] for layer in range(layers) for head in range(heads)], board
        assert size["wide"] + 3 >= 24, board
        assert size["width"] <= board["room"] or size["wide"] == 21, (
            "scrolled only where maps are as small as they may be"
        )
        assert size["height"] <= 600 + 18 or size["wide"] == 21, board
        # Above each row there is space for a number of its own, or above the first alone.
        tops = [y for _, y, *_ in boxes[::heads]]
        ends = [0, *(top + size["high"] for top in tops[:-1])]
        free = [top - end for top, end in zip(tops, ends, strict=True)]
        assert free == [18] + [21 if wrapped else 3] * (layers - 1), board


def test_small_maps_beside_the_picture_keep_a_size(run: Run) -> None:
    body = "return given.rooms.map((room) => best(...room));"
    rooms = [
        [count, width, height, aspect]
        for count in (1, 4, 12, 16, 24, 64)
        for width in (200, 343, 600)
        for height in (0, 180, 400)
        for aspect in (0.5, 1, 2)
    ]
    imports = 'import { best } from "./views/microscope_maps.js";\n'
    for (count, width, height, aspect), (columns, size) in zip(rooms, run(imports, body, rooms=rooms), strict=True):
        assert 1 <= columns <= count
        assert size >= 40, (count, width, height, aspect)
        assert columns * size + 8 * (columns - 1) <= width, (count, width, height, aspect)
