"""Small multiples: equal tiles in rows and columns, with names along the sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.colour import rgb
from vitviz.draw.lettering import fitting, font, line_height
from vitviz.draw.theme import Theme


@dataclass(frozen=True)
class Tiling:
    """Where each of `shape` (rows, cols) tiles lies in its picture; all lengths in pixels.

    tile     (height, width) of one tile
    space    between tiles
    caption  kept free under each tile
    left     kept free for the rows' names, and
    top      for the columns'
    """

    shape: tuple[int, int]
    tile: tuple[int, int]
    space: int
    caption: int = 0
    left: int = 0
    top: int = 0

    @property
    def pitch(self) -> tuple[int, int]:
        """(down, across): from the start of one tile to the start of the next."""
        return self.tile[0] + self.caption + self.space, self.tile[1] + self.space

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture; the last tiles are followed by space too, so that a frame around one fits."""
        (down, across), (rows, cols) = self.pitch, self.shape
        return self.left + cols * across, self.top + rows * down

    def box(self, row: int, col: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a tile, right and bottom excluded."""
        top, left = self.top + row * self.pitch[0], self.left + col * self.pitch[1]
        return left, top, left + self.tile[1], top + self.tile[0]

    def laid(self, tiles: np.ndarray, theme: Theme) -> Image.Image:
        """(rows, cols, height, width, 3) uint8 -> the picture; where there is room, a thin line around each tile."""
        width, height = self.size
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = rgb(theme.background)
        edge = 1 if self.space > 3 else 0  # a black tile would melt into a dark page without one
        for row, col in np.ndindex(self.shape):
            left, top, right, bottom = self.box(row, col)
            canvas[max(top - edge, 0) : bottom + edge, max(left - edge, 0) : right + edge] = rgb(theme.grid)
            canvas[top:bottom, left:right] = tiles[row, col]
        return Image.fromarray(canvas)

    def name_sides(self, picture: Image.Image, rows: Sequence[str], cols: Sequence[str], theme: Theme) -> None:
        """Writes the rows' names at the left and the columns' above; where they would touch, every second or third."""
        pen = ImageDraw.Draw(picture)
        size = theme.small
        every = max(1, -(-line_height(size) // self.pitch[0]))
        for row in range(0, self.shape[0], every):
            _, top, _, bottom = self.box(row, 0)
            pen.text((self.left - 8, (top + bottom) / 2), rows[row], font=font(size), fill=theme.muted, anchor="rm")
        longest = max(cols, key=len)
        size = fitting(longest, self.pitch[1] - 2, size, 11) or 11
        every = max(1, int(-(-(font(size).getlength(longest) + 4) // self.pitch[1])))
        for col in range(0, self.shape[1], every):
            left, _, right, _ = self.box(0, col)
            pen.text(((left + right) / 2, self.top - 5), cols[col], font=font(size), fill=theme.muted, anchor="mb")
