"""The atlas of position similarity: one tile a patch, as in Figure 7 of Dosovitskiy et al. (2021, arXiv 2010.11929)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vitviz.draw.cells import outline
from vitviz.draw.colour import levels, map_name, table
from vitviz.draw.colourbar import legend
from vitviz.draw.lettering import font, line_height, paragraph
from vitviz.draw.scale import Scale, finite
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, TALLEST, WIDTH, Theme
from vitviz.draw.tiles import Tiling
from vitviz.errors import DrawError


def draw_atlas(
    similarity: np.ndarray,
    grid: tuple[int, int],
    *,
    label: str = "cosine similarity",
    signed: bool = True,
    scale: Scale | None = None,
    chosen: tuple[int, int] | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(patches, patches) similarity of positions as rows x cols tiles: tile (i, j) is the map of patch (i, j) with all.

    grid    (rows, cols) of patches
    signed  zero is the middle of the scale, as it should be for a cosine
    scale   the raw scale of all values where none is given
    chosen  (row, col) of the tile to frame
    width   pixels aimed at; a value is a whole number of pixels, and no value is left out: the tiles of 37 x 37
            patches are 1,406 pixels wide together

    Raises DrawError for an array that does not fit the grid, values that are not finite and a tile outside the grid.
    """
    similarity = finite(similarity)
    rows, cols = grid
    if similarity.shape != (rows * cols, rows * cols):
        raise DrawError(
            f"The atlas of a grid of {rows} x {cols} patches needs an array ({rows * cols}, {rows * cols}), "
            f"not one of shape {similarity.shape}."
        )
    if chosen is not None and not (0 <= chosen[0] < rows and 0 <= chosen[1] < cols):
        raise DrawError(f"Patch {chosen} is outside the grid of {rows} rows and {cols} columns, counted from 0.")
    scale = (scale or Scale.of(similarity, signed=signed)).counting(similarity)

    space = 1 if cols > 24 else 2
    across, down = (width / cols - space) / cols, (TALLEST * width / rows - space) / rows
    times = max(1, round(min(across, down)))  # pixels a value
    theme = theme.grown(cols * (cols * times + space), width)
    left = int(font(theme.small).getlength(str(rows - 1))) + 12
    tiling = Tiling(grid, (rows * times, cols * times), space, left=left, top=line_height(theme.small) + 4)
    # (patches, patches) -> (tile rows, tile cols, rows, cols): the row of patch (i, j), folded back into the grid
    index = levels(similarity, scale).reshape(rows, cols, rows, cols).repeat(times, axis=2).repeat(times, axis=3)
    atlas = tiling.laid(table(map_name(scale, theme))[index], theme)
    tiling.name_sides(atlas, [str(row) for row in range(rows)], [str(col) for col in range(cols)], theme)
    if chosen is not None:
        outline(atlas, tiling.box(*chosen))
    words = paragraph(
        "One tile a patch, in the patch's own place: its position's similarity with every other position.",
        atlas.width, theme, quiet=True,
    )  # fmt: skip
    return sheet([atlas, legend(scale, label, atlas.width, theme), words], theme, title=title)
