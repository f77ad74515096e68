"""A map over displacements: from the patch that asks, in the middle, so many steps down and to the right."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import box, enlarged, outline
from vitviz.draw.colour import colours
from vitviz.draw.colourbar import legend
from vitviz.draw.lettering import font, line_height, paragraph
from vitviz.draw.scale import Scale, finite
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError

ABOUT_TICKS = 4  # on each side of the middle


def draw_offsets(
    values: np.ndarray,
    *,
    label: str,
    signed: bool = True,
    scale: Scale | None = None,
    step: tuple[int, int] = (1, 1),
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(2 rows - 1, 2 cols - 1) values, zero displacement in the middle and framed, with the displacements along two sides.

    scale  the raw scale of these values where none is given
    step   (down, right) patches in one displacement
    width  pixels aimed at

    Raises DrawError for an even number of rows or columns and values that are not finite.
    """
    values = finite(values)
    if values.ndim != 2 or not all(size % 2 for size in values.shape):
        raise DrawError(f"A map over displacements has an odd number of rows and columns, not {values.shape}.")
    scale = (scale or Scale.of(values, signed=signed)).counting(values)
    size = theme.small
    reach = values.shape[0] // 2, values.shape[1] // 2
    left, top = int(font(size).getlength(_name(-reach[0] * step[0]))) + 12, line_height(size) + 4
    across = max(width - left, values.shape[1])
    painted = Image.fromarray(
        enlarged(colours(values, scale, theme), max(round(across * values.shape[0] / values.shape[1]), 1), across)
    )
    outline(painted, box(reach, values.shape, painted.size), width=2)
    picture = Image.new("RGB", (left + painted.width, top + painted.height), theme.background)
    picture.paste(painted, (left, top))
    pen = ImageDraw.Draw(picture)
    for offset in _ticks(reach[0]):
        y = top + (offset + reach[0] + 0.5) * painted.height / values.shape[0]
        pen.text((left - 6, y), _name(offset * step[0]), font=font(size), fill=theme.muted, anchor="rm")
    for offset in _ticks(reach[1]):
        x = left + (offset + reach[1] + 0.5) * painted.width / values.shape[1]
        pen.text((x, top - 4), _name(offset * step[1]), font=font(size), fill=theme.muted, anchor="mb")
    words = paragraph(
        "Patches from query to key: rows down, columns to the right. The query is in the middle.",
        picture.width, theme, quiet=True,
    )  # fmt: skip
    return sheet([picture, legend(scale, label, picture.width, theme), words], theme, title=title)


def _ticks(reach: int) -> list[int]:
    """Even steps out from the middle, as far as the map goes."""
    every = max(1, round(reach / ABOUT_TICKS))
    outwards = range(0, reach + 1, every)
    return sorted({*outwards, *(-offset for offset in outwards)})


def _name(offset: int) -> str:
    return f"+{offset}" if offset > 0 else f"\N{MINUS SIGN}{-offset}" if offset else "0"
