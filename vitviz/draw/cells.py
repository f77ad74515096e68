"""Pixel coordinates of grids: the cells of a patch grid in a picture, and the tiles of small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.scale import rgb
from vitviz.draw.theme import Theme, font, line_height
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout

# Bright in both themes, because a frame is on the picture and not on the page.
FRAME = "#2fd4ff"
# Largest relative difference between the aspect ratios of a picture and its grid.
ASPECT_TOLERANCE = 0.02


def edges(count: int, pixels: int) -> np.ndarray:
    """(count + 1,) int: the first pixel of each of `count` cells, and the end of the last one."""
    return (np.arange(count + 1) * pixels + count // 2) // count


def enlarged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """(rows, cols, ...) -> (height, width, ...): each value repeated over its cell, without interpolation."""
    rows = np.repeat(np.arange(values.shape[0]), np.diff(edges(values.shape[0], height)))  # (height,)
    cols = np.repeat(np.arange(values.shape[1]), np.diff(edges(values.shape[1], width)))  # (width,)
    return values[rows[:, None], cols[None, :]]


def box(cell: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), the last two exclusive, of `cell` (row, col) in a picture of `size` (width, height).

    Raises:
        DrawError: For a cell outside the grid.
    """
    (row, col), (rows, cols) = cell, grid
    if not (0 <= row < rows and 0 <= col < cols):
        raise DrawError(f"Patch ({row}, {col}) is outside the grid of {rows} rows and {cols} columns, counted from 0.")
    across, down = edges(cols, size[0]), edges(rows, size[1])
    return int(across[col]), int(down[row]), int(across[col + 1]), int(down[row + 1])


def outline(picture: Image.Image, area: tuple[int, int, int, int], width: int = 3) -> None:
    """Draws a frame around `area` (right and bottom exclusive): bright cyan between a dark and a white line.

    The frame does not cover the area, except at the edge of the picture.
    """
    left, top, right, bottom = area
    pen = ImageDraw.Draw(picture)
    for reach, colour, thick in ((width + 2, "#000000", 1), (width + 1, FRAME, width), (1, "#ffffff", 1)):
        frame = (
            max(left - reach, 0),
            max(top - reach, 0),
            min(right + reach, picture.width) - 1,
            min(bottom + reach, picture.height) - 1,
        )
        pen.rectangle(frame, outline=colour, width=thick)


def check_shape(image: Image.Image, layout: TokenLayout) -> None:
    """Raises DrawError if the picture has another aspect ratio than the grid."""
    height, width = layout.input_size
    if abs(image.width * height - image.height * width) > ASPECT_TOLERANCE * image.width * height:
        raise DrawError(
            f"The picture is {image.width} x {image.height} pixels, the patch grid covers {width} x {height}. "
            "Draw the picture as the model sees it, cropped and resized."
        )


@dataclass(frozen=True)
class Tiling:
    """Positions of small multiples in a picture; all lengths in pixels.

    Attributes:
        shape: (rows, cols) of tiles.
        tile: (height, width) of one tile.
        space: Between tiles.
        caption: Height below each tile for its caption.
        left: Width for the names of rows.
        top: Height for the names of columns.
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    space: int
    caption: int = 0
    left: int = 0
    top: int = 0

    @property
    def pitch(self) -> tuple[int, int]:
        """(down, across): distance from the start of one tile to the start of the next."""
        return self.tile[0] + self.caption + self.space, self.tile[1] + self.space

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture, with space after the last tiles, so that a frame around one fits."""
        (down, across), (rows, cols) = self.pitch, self.shape
        return self.left + cols * across, self.top + rows * down

    def box(self, row: int, col: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a tile, right and bottom exclusive."""
        top, left = self.top + row * self.pitch[0], self.left + col * self.pitch[1]
        return left, top, left + self.tile[1], top + self.tile[0]

    def laid(self, tiles: np.ndarray, theme: Theme) -> Image.Image:
        """(rows, cols, height, width, 3) uint8 -> the picture, with a thin line around each tile if there is space."""
        width, height = self.size
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = rgb(theme.background)
        edge = 1 if self.space > 3 else 0  # without one a black tile has no visible edge on a dark page
        for row, col in np.ndindex(self.shape):
            left, top, right, bottom = self.box(row, col)
            canvas[max(top - edge, 0) : bottom + edge, max(left - edge, 0) : right + edge] = rgb(theme.grid)
            canvas[top:bottom, left:right] = tiles[row, col]
        return Image.fromarray(canvas)

    def name_sides(self, picture: Image.Image, rows: Sequence[str], cols: Sequence[str], theme: Theme) -> None:
        """Writes names of rows on the left and of columns above; every second or third one if they would touch."""
        pen = ImageDraw.Draw(picture)
        size = theme.small
        every = max(1, -(-line_height(size) // self.pitch[0]))
        for row in range(0, self.shape[0], every):
            _, top, _, bottom = self.box(row, 0)
            pen.text((self.left - 8, (top + bottom) / 2), rows[row], font=font(size), fill=theme.muted, anchor="rm")
        longest = max(font(size).getlength(name) for name in cols)
        every = max(1, int(-(-(longest + 4) // self.pitch[1])))
        for col in range(0, self.shape[1], every):
            left, _, right, _ = self.box(0, col)
            pen.text(((left + right) / 2, self.top - 5), cols[col], font=font(size), fill=theme.muted, anchor="mb")
