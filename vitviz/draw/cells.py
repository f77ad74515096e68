"""Where the cells of a grid lie in a picture, to the pixel: every picture of patches agrees on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout

# Bright in either theme: a frame lies on the picture and not on the page.
FRAME = "#2fd4ff"
# A picture whose sides differ from the grid's by more than this share shows something else than the grid covers.
ASPECT_TOLERANCE = 0.02


def edges(count: int, pixels: int) -> np.ndarray:
    """(count + 1,) int: the pixel at which each of `count` cells begins, and at last where the last one ends."""
    return (np.arange(count + 1) * pixels + count // 2) // count


def enlarged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """(rows, cols, ...) -> (height, width, ...): each cell's value all over its rectangle, nothing blended."""
    rows = np.repeat(np.arange(values.shape[0]), np.diff(edges(values.shape[0], height)))  # (height,)
    cols = np.repeat(np.arange(values.shape[1]), np.diff(edges(values.shape[1], width)))  # (width,)
    return values[rows[:, None], cols[None, :]]


def box(cell: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), the last two excluded, of `cell` (row, col) in a picture of `size` (width, height).

    Raises DrawError for a cell outside the grid.
    """
    (row, col), (rows, cols) = cell, grid
    if not (0 <= row < rows and 0 <= col < cols):
        raise DrawError(f"Patch ({row}, {col}) is outside the grid of {rows} rows and {cols} columns, counted from 0.")
    across, down = edges(cols, size[0]), edges(rows, size[1])
    return int(across[col]), int(down[row]), int(across[col + 1]), int(down[row + 1])


def outline(picture: Image.Image, area: tuple[int, int, int, int], width: int = 3) -> None:
    """Frames `area` (right and bottom excluded) in a bright cyan between a dark and a white line: it shows on anything.

    The frame lies around the area and not on it, except where the picture ends.
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
    """Raises DrawError where the picture has other proportions than the grid, and so cannot be what the grid covers."""
    height, width = layout.input_size
    if abs(image.width * height - image.height * width) > ASPECT_TOLERANCE * image.width * height:
        raise DrawError(
            f"The picture is {image.width} x {image.height} pixels, the patch grid covers {width} x {height}. "
            "Draw the picture as the model sees it, cropped and resized."
        )
