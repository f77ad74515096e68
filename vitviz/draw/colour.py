"""Values to colours: perceptually uniform, safe for colour-blind eyes, diverging only where values are signed."""

from __future__ import annotations

from functools import lru_cache

import matplotlib
import numpy as np
from PIL import ImageColor

from vitviz.draw.scale import Scale
from vitviz.draw.theme import Theme


@lru_cache(maxsize=16)
def table(name: str) -> np.ndarray:
    """(256, 3) uint8, read-only: the colour map `name` of matplotlib from its first to its last colour."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    colours.setflags(write=False)
    return colours


def map_name(scale: Scale, theme: Theme) -> str:
    """The theme's diverging map for a signed scale, its sequential one for every other."""
    return theme.diverging if scale.signed else theme.sequential


def levels(values: np.ndarray, scale: Scale) -> np.ndarray:
    """(...) values -> (...) uint8: which of 256 colours each gets. Raises DrawError for values that are not finite."""
    return (scale.unit(values) * 255 + 0.5).astype(np.uint8)


def colours(values: np.ndarray, scale: Scale, theme: Theme) -> np.ndarray:
    """(...) values -> (..., 3) uint8. Raises DrawError for values that are not finite."""
    return table(map_name(scale, theme))[levels(values, scale)]


def rgb(colour: str) -> tuple[int, int, int]:
    """ "#rrggbb" as three numbers."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue
