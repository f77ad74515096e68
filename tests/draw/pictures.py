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
    """The rows above the colour bar, in a drawing whose picture leaves room for names at its left: the bar does not."""
    first = int(np.nonzero((picture[:, 0] != picture[0, 0]).any(axis=-1))[0].min())
    return picture[:first]
