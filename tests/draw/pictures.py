"""Reading pictures back: what colour is where, and where the pieces of a drawing lie."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vitviz.draw.sheet import MARGIN


def pixels(picture: Image.Image) -> np.ndarray:
    """(height, width, 3) int, so that differences do not wrap around."""
    return np.asarray(picture.convert("RGB")).astype(int)


def inside(picture: Image.Image) -> np.ndarray:
    """The pixels of a sheet without its margin."""
    return pixels(picture)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def area_of(colour: np.ndarray, picture: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), the last two excluded, of the box around all pixels of exactly this colour."""
    rows, cols = np.nonzero((picture == np.asarray(colour)).all(axis=-1))
    return int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1


def gradient_photo(width: int, height: int) -> Image.Image:
    """A photograph in which every pixel has its own colour: red grows to the right, green downwards, blue is noise."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    noise = np.random.default_rng(0).integers(0, 256, (height, width))
    return Image.fromarray(np.stack([across, down, noise], axis=-1).astype(np.uint8))


def above_bar(picture: np.ndarray) -> np.ndarray:
    """The rows above the colour bar: the first row with almost all colours of a table."""
    many = min(200, 0.6 * picture.shape[1])
    return picture[: next(row for row, pixels in enumerate(picture) if len(np.unique(pixels, axis=0)) > many)]


def edges_of_bar(picture: np.ndarray) -> tuple[int, int]:
    """(left, right), the last excluded, of the colour bar."""
    row = picture[len(above_bar(picture))]
    across = np.nonzero((row != picture[0, 0]).any(axis=-1))[0]
    return int(across.min()), int(across.max()) + 1
