"""A heat map, alone or over the photograph it belongs to, with its colour bar."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

from vitviz.draw.cells import box, enlarged, outline
from vitviz.draw.colour import colours
from vitviz.draw.colourbar import legend
from vitviz.draw.scale import Scale
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.heatmap import Heatmap

Cell = tuple[int, int]


def paint_heatmap(
    heatmap: Heatmap,
    *,
    image: Image.Image | None = None,
    scale: Scale | None = None,
    opacity: float = 0.6,
    query: Cell | None = None,
    marks: Iterable[Cell] = (),
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The picture of `draw_heatmap` without title and colour bar: `width` pixels wide, each patch one rectangle."""
    rows, cols = heatmap.grid
    scale = scale or Scale.of(heatmap.values, signed=heatmap.signed)
    width = max(width, cols)
    height = max(round(width * (image.height / image.width if image else rows / cols)), rows)
    painted = enlarged(colours(heatmap.values, scale, theme), height, width)  # (height, width, 3)
    picture = Image.fromarray(painted)
    if image is not None:
        # In grey, so that every hue in the picture is a value and none is the photograph's.
        grey = ImageOps.grayscale(image).resize((width, height), Image.Resampling.LANCZOS).convert("RGB")
        picture = Image.blend(grey, picture, float(np.clip(opacity, 0, 1)))
    for mark in marks:
        outline(picture, box(mark, heatmap.grid, picture.size), width=1)
    if query is not None:
        outline(picture, box(query, heatmap.grid, picture.size))
    return picture


def draw_heatmap(
    heatmap: Heatmap,
    *,
    image: Image.Image | None = None,
    scale: Scale | None = None,
    opacity: float = 0.6,
    query: Cell | None = None,
    marks: Iterable[Cell] = (),
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """A heat map with its colour bar, numbers and quantity; over `image`, in grey, where one is given.

    image    what the model saw, cropped and resized as it was: the grid is laid over all of it
    scale    the raw scale of this map where none is given; give one scale to all maps that are to be compared
    opacity  of the colours over the photograph, 0 (photograph alone) to 1 (colours alone)
    query    (row, col) of the patch the map belongs to, framed; marks: further patches, framed thinly (sinks)
    width    pixels of the picture inside the margin

    Raises DrawError for values that are not finite and for patches outside the grid.
    """
    scale = (scale or Scale.of(heatmap.values, signed=heatmap.signed)).counting(heatmap.values)
    picture = paint_heatmap(
        heatmap, image=image, scale=scale, opacity=opacity, query=query, marks=marks, width=width, theme=theme
    )
    return sheet([picture, legend(scale, heatmap.label, picture.width, theme)], theme, title=title)
