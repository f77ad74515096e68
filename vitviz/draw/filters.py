"""The patch filters' principal components, as small pictures: Figure 7 (left) of Dosovitskiy et al. (2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.lettering import fitting, font, line_height, paragraph
from vitviz.draw.scale import finite
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.draw.tiles import Tiling
from vitviz.errors import DrawError


def draw_filters(
    components: np.ndarray,
    *,
    shares: Sequence[float] | np.ndarray | None = None,
    columns: int = 7,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(count, height, width, 3) components as colour tiles: zero is mid-grey, each tile stretched to its largest value.

    shares   (count,) explained variance ratio, written under each tile as a percentage; its number where not given
    columns  tiles a row

    A component's sign is arbitrary: a tile and its negative are the same component. Raises DrawError for another shape,
    another number of shares, and values that are not finite.
    """
    components = finite(components)
    if components.ndim != 4 or components.shape[-1] != 3 or components.size == 0:
        raise DrawError(f"Filters need an array (count, height, width, 3), not one of shape {components.shape}.")
    count, rows, cols, _ = components.shape
    if shares is not None and len(shares) != count:
        raise DrawError(f"{count} components need as many shares of variance, not {len(shares)}.")
    columns = max(1, min(columns, count))
    space = 8
    times = max(1, (width - space * (columns - 1)) // (columns * cols))
    shape = -(-count // columns), columns
    texts = [str(i) for i in range(count)] if shares is None else [f"{100 * share:.1f} %" for share in shares]
    size = fitting(max(texts, key=len), cols * times + space, theme.small) or 8
    tiling = Tiling(shape, (rows * times, cols * times), space, line_height(size) + 2)

    tiles = np.empty((*shape, rows, cols, 3), np.uint8)
    tiles[:] = np.array(Image.new("RGB", (1, 1), theme.background))[0, 0]
    tiles.reshape(-1, rows, cols, 3)[:count] = as_colours(components)
    picture = tiling.laid(tiles.repeat(times, axis=2).repeat(times, axis=3), theme)
    pen = ImageDraw.Draw(picture)
    for index, text in enumerate(texts):
        left, _, right, bottom = tiling.box(*divmod(index, columns))
        pen.text(((left + right) / 2, bottom + 2), text, font=font(size), fill=theme.muted, anchor="ma")
    words = "Grey is zero; each tile is stretched to its own largest value."
    if shares is not None:
        words = f"Share of the filters' variance under each, {100 * float(np.sum(shares)):.0f} % in all. {words}"
    return sheet([picture, paragraph(words, picture.width, theme, quiet=True)], theme, title=title)


def as_colours(components: np.ndarray) -> np.ndarray:
    """(count, height, width, 3) signed -> uint8 of the same shape: zero to 128, the largest magnitude to 1 or 255."""
    largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    return (128.5 + 127 * components / np.where(largest > 0, largest, 1)).astype(np.uint8)
