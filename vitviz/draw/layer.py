"""One layer over the picture: the query on the queries' grid, and its map on the keys' grid, with windows outlined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import FRAME, box, edges, outline
from vitviz.draw.heatmap import paint_heatmap
from vitviz.draw.scale import Scale, number
from vitviz.draw.sheet import beside, column, legend, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme, paragraph
from vitviz.errors import DrawError
from vitviz.heatmap import Heatmap
from vitviz.tokens import Cell

# (row, col, row, col) of two corners of cells; (0, 0) is the upper left corner of the grid, (rows, cols) the lower right one.
Segment = tuple[int, int, int, int]


def borders(labels: np.ndarray) -> list[Segment]:
    """The lines between neighbours of different labels (rows, cols), collinear ones joined; without the grid's edge."""
    across = np.diff(labels, axis=0) != 0  # (rows - 1, cols): a line below row r
    down = np.diff(labels, axis=1) != 0  # (rows, cols - 1): a line right of column c
    segments = [(row + 1, first, row + 1, last) for row, line in enumerate(across) for first, last in _runs(line)]
    return segments + [
        (first, col + 1, last, col + 1) for col, line in enumerate(down.T) for first, last in _runs(line)
    ]


def contour(cells: np.ndarray) -> list[Segment]:
    """The lines around the cells (rows, cols) bool that are set, also along the grid's edge."""
    around = borders(np.pad(cells.astype(np.int8), 1))
    return [(one - 1, two - 1, three - 1, four - 1) for one, two, three, four in around]


def _runs(line: np.ndarray) -> list[tuple[int, int]]:
    """(first, one past the last) of every run of True."""
    steps = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]  # (2 * runs,) -> (runs, 2)


def rule(picture: Image.Image, segments: Iterable[Segment], grid: tuple[int, int], *, strong: bool = False) -> None:
    """Draws segments of `grid` (rows, cols) over a picture of the whole grid: thin and pale, or with `strong` like a frame.

    Lines are never so thick that they cover a cell.
    """
    down, across = edges(grid[0], picture.height), edges(grid[1], picture.width)
    right, bottom = picture.width - 1, picture.height - 1
    thick = min(4, max(1, min(picture.height // grid[0], picture.width // grid[1]) // 5))
    pen = ImageDraw.Draw(picture)
    for colour, width in (("#000000", thick + 2), (FRAME, thick)) if strong else (("#000000", 3), ("#ffffff", 1)):
        for r0, c0, r1, c1 in segments:
            ends = (min(across[c0], right), min(down[r0], bottom)), (min(across[c1], right), min(down[r1], bottom))
            pen.line([(int(x), int(y)) for x, y in ends], fill=colour, width=width)


# Pixels. Lines closer together than this cannot be distinguished.
CLOSEST = 12


@dataclass(frozen=True, eq=False)
class QuerySide:
    """The queries of a layer.

    Attributes:
        grid: (rows, cols) of the queries' patches, (0, 0) if queries are not patches.
        query: (row, col) of the query's patch, or None.
        labels: (rows, cols) window of each query, or None without windows.
    """

    grid: tuple[int, int]
    query: Cell | None = None
    labels: np.ndarray | None = None


def draw_layer(
    image: Image.Image,
    heatmap: Heatmap,
    side: QuerySide,
    reach: np.ndarray,
    *,
    captions: tuple[str, str] = ("", ""),
    scale: Scale | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The photograph with the query's patch, beside the same photograph with the attention map.

    Args:
        image: The model input before normalisation.
        heatmap: (rows, cols) over the keys' grid.
        side: The queries' grid, the query and the windows.
        reach: (rows, cols) bool over the keys' grid: the keys that the query can attend to; outlined unless it is all.
        captions: Above the two pictures.
        scale: Of the patches in `reach`; by default their raw scale.
        title: Written above.
        width: Pixels of both pictures together.
        theme: Colours and font size.

    Raises:
        DrawError: If `reach` has another grid than the heat map.
    """
    if reach.shape != heatmap.grid:
        raise DrawError(f"The reach of a query is of its keys' grid {heatmap.grid}, not of shape {reach.shape}.")
    known = heatmap.values[reach]
    scale = (scale or Scale.of(known)).counting(known)
    half = width // 2
    left = paint_queries(image, side, half)
    right = paint_heatmap(heatmap, image=image, scale=scale, width=half, theme=theme)
    if not reach.all():
        rule(right, contour(reach), heatmap.grid, strong=True)
    if side.query is not None and side.grid == heatmap.grid:
        outline(right, box(side.query, side.grid, right.size), width=2)
    sides = [
        column([*([paragraph(words, half, theme, quiet=True)] if words else []), picture], theme, gap=4)
        for words, picture in zip(captions, (left, right), strict=True)
    ]
    pair = beside(sides, theme)
    return sheet([pair, legend(scale, heatmap.label, pair.width, theme)], theme, title=title)


def paint_queries(image: Image.Image, side: QuerySide, width: int) -> Image.Image:
    """The photograph with the queries' windows, or without windows its grid, and the query's patch framed."""
    picture = image.convert("RGB").resize((width, round(width * image.height / image.width)), Image.Resampling.LANCZOS)
    if not side.grid[0]:
        return picture
    labels = side.labels
    if labels is None:
        labels = np.arange(side.grid[0] * side.grid[1]).reshape(side.grid)  # a label for each patch: all grid lines
    lines = borders(labels)
    if len(lines) <= sum(picture.size) / CLOSEST:
        rule(picture, lines, side.grid)
    if side.query is not None:
        outline(picture, box(side.query, side.grid, picture.size), width=2)
    return picture


@dataclass(frozen=True, eq=False)
class LayerMap:
    """One layer of `draw_overview`.

    Attributes:
        name: Written above.
        values: (rows, cols) of its own grid.
        reach: (rows, cols) bool: the keys that the query can attend to; outlined unless it is all.
        query: (row, col) of the query's patch in this grid; None if it is on another grid.
    """

    name: str
    values: np.ndarray
    reach: np.ndarray
    query: Cell | None = None


def draw_overview(
    image: Image.Image,
    layers: Sequence[LayerMap],
    *,
    label: str = "attention weight",
    robust: bool = True,
    columns: int = 4,
    title: str = "",
    width: int = 900,
    theme: Theme = LIGHT,
) -> Image.Image:
    """One small picture for each layer, each map on its own grid and its own scale.

    Args:
        image: The model input before normalisation.
        layers: What is drawn, at least one.
        label: Name of the quantity.
        robust: Scales end at the 99th percentile.
        columns: Pictures in a row.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: Without a layer.
    """
    if not layers:
        raise DrawError("An overview needs at least one layer.")
    gap = 14
    columns = min(columns, len(layers))
    side = (width - gap * (columns - 1)) // columns
    tiles = []
    for layer in layers:
        scale = Scale.of(layer.values[layer.reach], robust=robust)
        tile = paint_heatmap(Heatmap(layer.values, label), image=image, scale=scale, width=side, theme=theme)
        if not layer.reach.all():
            rule(tile, contour(layer.reach), layer.values.shape)
        if layer.query is not None:
            outline(tile, box(layer.query, layer.values.shape, tile.size), width=1)
        words = paragraph(f"{layer.name} · {number(scale.high, digits=2)}", side, theme, quiet=True)
        tiles.append(column([words, tile], theme, gap=2))
    rows = [beside(tiles[start : start + columns], theme, gap=gap) for start in range(0, len(tiles), columns)]
    note = (
        f"{label}: every layer has its own scale, so colours cannot be compared between layers. The number beside a name is "
        f"the value of the last colour{', the 99th percentile of the patches' if robust else ''}."
    )
    return sheet([*rows, paragraph(note, rows[0].width, theme, quiet=True)], theme, title=title)
