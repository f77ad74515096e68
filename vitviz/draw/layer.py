"""One layer on the picture: who asks, on the queries' grid, and where it looks, on the keys' grid, window and all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vitviz.draw.cells import box, outline
from vitviz.draw.colourbar import legend
from vitviz.draw.heatmap import paint_heatmap
from vitviz.draw.lettering import paragraph
from vitviz.draw.region import borders, contour, rule
from vitviz.draw.scale import Scale, number
from vitviz.draw.sheet import beside, column, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError
from vitviz.heatmap import Heatmap

Cell = tuple[int, int]
# Lines closer together than this are not told apart any more, and only darken the picture.
CLOSEST = 12


@dataclass(frozen=True, eq=False)
class Asked:
    """The side of the queries.

    grid    (rows, cols) of the queries' patches, (0, 0) where none asks from a place
    query   (row, col) of the patch that asks, or None
    labels  (rows, cols) which window each patch asks in, or None where there is one for all
    """

    grid: tuple[int, int]
    query: Cell | None = None
    labels: np.ndarray | None = None


def draw_layer(
    image: Image.Image,
    heatmap: Heatmap,
    asked: Asked,
    reach: np.ndarray,
    *,
    captions: tuple[str, str] = ("", ""),
    scale: Scale | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The photograph with the patch that asks, beside the same photograph under the map of where it looks.

    image    what the model saw
    heatmap  (rows, cols) over the keys' grid
    reach    (rows, cols) bool over the keys' grid: what the query can look at; outlined where it is not everything
    captions over the two pictures
    scale    of the patches that can be reached; the raw one where none is given
    width    pixels of both together

    Raises DrawError where `reach` is not of the heat map's grid.
    """
    if reach.shape != heatmap.grid:
        raise DrawError(f"The reach of a query is of its keys' grid {heatmap.grid}, not of shape {reach.shape}.")
    known = heatmap.values[reach]
    scale = (scale or Scale.of(known)).counting(known)
    half = width // 2
    left = paint_asked(image, asked, half)
    right = paint_heatmap(heatmap, image=image, scale=scale, width=half, theme=theme)
    if not reach.all():
        rule(right, contour(reach), heatmap.grid, strong=True)
    if asked.query is not None and asked.grid == heatmap.grid:
        outline(right, box(asked.query, asked.grid, right.size), width=2)
    sides = [
        column([*([paragraph(words, half, theme, quiet=True)] if words else []), picture], theme, gap=4)
        for words, picture in zip(captions, (left, right), strict=True)
    ]
    pair = beside(sides, theme)
    return sheet([pair, legend(scale, heatmap.label, pair.width, theme)], theme, title=title)


def paint_asked(image: Image.Image, asked: Asked, width: int) -> Image.Image:
    """The photograph with the queries' windows, or its grid where there are none, and the patch that asks."""
    picture = image.convert("RGB").resize((width, round(width * image.height / image.width)), Image.Resampling.LANCZOS)
    if not asked.grid[0]:
        return picture
    labels = asked.labels
    if labels is None:
        labels = np.arange(asked.grid[0] * asked.grid[1]).reshape(asked.grid)  # every patch by itself
    lines = borders(labels)
    if len(lines) <= sum(picture.size) / CLOSEST:
        rule(picture, lines, asked.grid)
    if asked.query is not None:
        outline(picture, box(asked.query, asked.grid, picture.size), width=2)
    return picture


def draw_overview(
    image: Image.Image,
    maps: Sequence[np.ndarray],
    names: Sequence[str],
    reaches: Sequence[np.ndarray],
    queries: Iterable[Cell | None],
    *,
    label: str = "attention weight",
    robust: bool = True,
    columns: int = 4,
    title: str = "",
    width: int = 900,
    theme: Theme = LIGHT,
) -> Image.Image:
    """One small picture a layer, each map (rows, cols) on its own grid and its own scale.

    names    written over each
    reaches  (rows, cols) bool of each map: outlined where it is not everything
    queries  (row, col) of the patch that asks, in the grid of each map; None where it is on another grid
    columns  pictures a row

    Raises DrawError where there is nothing to draw or a name or reach is missing.
    """
    if not maps or not len(maps) == len(names) == len(reaches):
        raise DrawError(f"An overview needs a name and a reach for each map, and at least one; not {len(maps)} maps.")
    gap = 14
    columns = min(columns, len(maps))
    side = (width - gap * (columns - 1)) // columns
    tiles = []
    for values, name, reach, query in zip(maps, names, reaches, queries, strict=True):
        scale = Scale.of(values[reach], robust=robust)
        tile = paint_heatmap(Heatmap(values, label), image=image, scale=scale, width=side, theme=theme)
        if not reach.all():
            rule(tile, contour(reach), values.shape)
        if query is not None:
            outline(tile, box(query, values.shape, tile.size), width=1)
        words = paragraph(f"{name} · {number(scale.high, digits=2)}", side, theme, quiet=True)
        tiles.append(column([words, tile], theme, gap=2))
    rows = [beside(tiles[start : start + columns], theme, gap=gap) for start in range(0, len(tiles), columns)]
    note = (
        f"{label}: every layer has its own scale, so colours do not compare between layers. The number beside a name is "
        f"what the last colour stands for{', the 99th percentile of the patches' if robust else ''}."
    )
    return sheet([*rows, paragraph(note, rows[0].width, theme, quiet=True)], theme, title=title)
