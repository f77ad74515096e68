"""A product of two matrices as people draw it on a blackboard: the left factor to the left, the right factor on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.colour import colours
from vitviz.draw.colourbar import legend
from vitviz.draw.lettering import fitting, font, line_height
from vitviz.draw.scale import Scale, finite
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError


@dataclass(frozen=True, eq=False)
class Factor:
    """One of the matrices. values (rows, columns); name as it is written over it; signed: zero is the middle of its colours."""

    values: np.ndarray
    name: str
    signed: bool = True

    @property
    def words(self) -> str:
        rows, columns = self.values.shape
        return f"{self.name} ({rows} × {columns})"


def draw_product(
    left: Factor,
    top: Factor,
    result: Factor,
    *,
    row: int | None = None,
    column: int | None = None,
    in_line: bool = False,
    label: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """left (n, m) to the left of result (n, p), top (m, p) above it, one square an entry, none left out or averaged.

    row, column  an entry of the result: its row is marked between `left` and it, its column between `top` and it
    in_line      left · top = result one after the other, for a `top` too tall to stand above
    label        what the numbers of the result are

    Colours are robust, each matrix on its own scale; the legend is the result's. Raises DrawError where the shapes do not
    fit, a value is not finite or the entry does not exist.
    """
    (n, m), (m_top, p) = left.values.shape, top.values.shape
    if m != m_top or result.values.shape != (n, p):
        raise DrawError(f"{left.words} times {top.words} does not give {result.words}.")
    if (row is not None and not 0 <= row < n) or (column is not None and not 0 <= column < p):
        raise DrawError(f"The product has {n} rows and {p} columns, so no entry in row {row}, column {column}.")
    across = m + 2 * p if in_line else m + p
    times = max(1, round(width / across))
    theme = theme.grown(times * across, width)
    gap = line_height(theme.small) + 12
    scales = {each.name: Scale.of(finite(each.values), robust=True, signed=each.signed) for each in (left, top, result)}
    if in_line:
        second = m * times + gap
        places = {left: (0, gap), top: (second, gap), result: (second + p * times + gap, gap)}
    else:
        below = gap + m * times + gap
        places = {top: (m * times + gap, gap), left: (0, below), result: (m * times + gap, below)}
    right = places[result][0] + p * times
    bottom = max(y + factor.values.shape[0] * times for factor, (_, y) in places.items())
    picture = Image.new("RGB", (right, bottom), theme.background)
    pen = ImageDraw.Draw(picture)
    for factor, (x, y) in places.items():
        entries = colours(factor.values, scales[factor.name], theme).repeat(times, axis=0).repeat(times, axis=1)
        picture.paste(Image.fromarray(entries), (x, y))
        room = factor.values.shape[1] * times + (gap - 6 if x + entries.shape[1] < right else 0)
        if size := fitting(factor.words, room, theme.small):  # a narrow matrix has a small name, or none
            pen.text((x, y - 6), factor.words, font=font(size), fill=theme.foreground, anchor="ls")
    x, y = places[result]
    if row is not None:
        middle = y + (row + 0.5) * times
        pen.polygon([(x - 2, middle), (x - 13, middle - 6), (x - 13, middle + 6)], fill=theme.accent)
    if column is not None:
        middle = x + (column + 0.5) * times
        pen.polygon([(middle, y - 2), (middle - 5, y - 6), (middle + 5, y - 6)], fill=theme.accent)
    notes = [legend(scales[result.name].counting(result.values), label or result.name, picture.width, theme)]
    return sheet([picture, *notes], theme)
