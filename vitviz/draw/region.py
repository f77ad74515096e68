"""Lines around regions of a grid: the window of a patch, and the borders between all windows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import FRAME, edges

# (row, col, row, col) of two corners of cells; corner (0, 0) is the grid's own, (rows, cols) the opposite one.
Segment = tuple[int, int, int, int]


def borders(labels: np.ndarray) -> list[Segment]:
    """The lines between neighbours of different labels (rows, cols), joined where they go on; not the grid's own edge."""
    across = np.diff(labels, axis=0) != 0  # (rows - 1, cols): a line below row r
    down = np.diff(labels, axis=1) != 0  # (rows, cols - 1): a line right of column c
    segments = [(row + 1, first, row + 1, last) for row, line in enumerate(across) for first, last in _runs(line)]
    return segments + [
        (first, col + 1, last, col + 1) for col, line in enumerate(down.T) for first, last in _runs(line)
    ]


def contour(cells: np.ndarray) -> list[Segment]:
    """The lines around the cells (rows, cols) bool that are set, along the grid's edge too."""
    around = borders(np.pad(cells.astype(np.int8), 1))
    return [(one - 1, two - 1, three - 1, four - 1) for one, two, three, four in around]


def _runs(line: np.ndarray) -> list[tuple[int, int]]:
    """(first, one past the last) of every run of True."""
    steps = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]


def rule(picture: Image.Image, segments: Iterable[Segment], grid: tuple[int, int], *, strong: bool = False) -> None:
    """Draws segments of `grid` (rows, cols) over a picture that the grid fills: thin and pale, or strong as a frame is;
    never so thick that it covers a cell.
    """
    down, across = edges(grid[0], picture.height), edges(grid[1], picture.width)
    right, bottom = picture.width - 1, picture.height - 1
    thick = min(4, max(1, min(picture.height // grid[0], picture.width // grid[1]) // 5))
    pen = ImageDraw.Draw(picture)
    for colour, width in (("#000000", thick + 2), (FRAME, thick)) if strong else (("#000000", 3), ("#ffffff", 1)):
        for r0, c0, r1, c1 in segments:
            ends = (min(across[c0], right), min(down[r0], bottom)), (min(across[c1], right), min(down[r1], bottom))
            pen.line([(int(x), int(y)) for x, y in ends], fill=colour, width=width)
