"""The patch grid over the photograph: how a picture is cut before a model reads it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import box, check_shape, edges, outline
from vitviz.draw.colour import rgb
from vitviz.draw.lettering import fitting, font
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.tokens import TokenLayout

# Every patch is numbered, or every fifth, tenth, ... one of every fifth, tenth, ... row where patches are small.
STRIDES = (1, 5, 10, 20, 50)


def draw_grid(
    image: Image.Image,
    layout: TokenLayout,
    *,
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    highlight: Iterable[int] = (),
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The photograph, `width` pixels wide, cut into its patches.

    image       what the model saw, in the grid's proportions, at any resolution
    line_width  pixels of the cuts, 0 for none
    dim         how far the photograph sinks into the page, 0 to 1; highlighted patches stay as they are
    numbers     writes each patch's place in the sequence, prefix tokens counted; where patches are small in every
                fifth, tenth, ... one of every fifth, tenth, ... row
    highlight   token indices to frame; prefix tokens have no patch and are passed over

    Raises DrawError where the picture has other proportions than the grid, IndexError for a token that does not exist.
    """
    picture = paint_grid(
        image, layout, line_width=line_width, dim=dim, numbers=numbers, highlight=highlight, width=width, theme=theme
    )
    return sheet([picture], theme, title=title)


def paint_grid(
    image: Image.Image,
    layout: TokenLayout,
    *,
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    highlight: Iterable[int] = (),
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The picture of `draw_grid` without title and margin: patches lie where `cells.box` says."""
    check_shape(image, layout)
    height = round(width * image.height / image.width)
    photograph = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    sunk = Image.blend(photograph, Image.new("RGB", photograph.size, theme.background), float(np.clip(dim, 0, 1)))
    chosen = [cell for cell in map(layout.cell_of, highlight) if cell is not None]
    areas = [box(cell, layout.grid, photograph.size) for cell in chosen]
    for area in areas:
        sunk.paste(photograph.crop(area), area)
    _cut(sunk, layout.grid, line_width, theme)
    if numbers:
        _number(sunk, layout)
    for area in areas:
        outline(sunk, area)
    return sunk


def _cut(picture: Image.Image, grid: tuple[int, int], line_width: int, theme: Theme) -> None:
    """Lines between patches, and none around the picture: a cut lies between two patches."""
    if line_width < 1:
        return
    pixels = np.array(picture)  # (height, width, 3)
    down, across = edges(grid[0], picture.height)[1:-1], edges(grid[1], picture.width)[1:-1]
    # A faint shadow on both sides keeps a pale line visible on a pale sky and a dark one on a dark road.
    shadow = 255 - np.array(rgb(theme.background), np.float32)
    before, after = line_width // 2, line_width - line_width // 2
    for axis, cuts in ((0, down), (1, across)):
        lines = pixels if axis == 0 else pixels.transpose(1, 0, 2)  # a view: (along the cut axis, along the line, 3)
        for cut in cuts:
            soft = lines[max(cut - before - 1, 0) : cut + after + 1]
            soft[:] = (0.65 * soft + 0.35 * shadow).astype(np.uint8)
    for axis, cuts in ((0, down), (1, across)):
        lines = pixels if axis == 0 else pixels.transpose(1, 0, 2)
        for cut in cuts:
            lines[max(cut - before, 0) : cut + after] = rgb(theme.background)
    picture.paste(Image.fromarray(pixels))


def _number(picture: Image.Image, layout: TokenLayout) -> None:
    rows, cols = layout.grid
    down, across = edges(rows, picture.height), edges(cols, picture.width)
    longest = str(layout.num_tokens - 1)
    cell_width, cell_height = picture.width / cols, picture.height / rows
    for stride in STRIDES:
        size = min(fitting(longest, 0.9 * cell_width * stride, 14), int(0.75 * cell_height * stride))
        if size >= 10:
            break
    face, pen = font(max(size, 8)), ImageDraw.Draw(picture)
    for row in range(0, rows, stride):
        for col in range(0, cols, stride):
            place = (int(across[col]) + 3, int(down[row]) + 2)
            # White inside black reads on any photograph, in either theme.
            name = str(layout.token_at(row, col))
            pen.text(place, name, font=face, fill="#ffffff", stroke_width=1, stroke_fill="#000000")
