"""Matrices and vectors as pictures: an attention matrix, a product of two matrices, a sum of vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import enlarged
from vitviz.draw.scale import Scale, colours, finite, number
from vitviz.draw.sheet import column, legend, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme, fitting, font, line_height, paragraph
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout


def draw_matrix(
    values: np.ndarray,
    query_layout: TokenLayout,
    key_layout: TokenLayout | None = None,
    *,
    label: str = "attention weight",
    signed: bool = False,
    scale: Scale | None = None,
    query: int | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """A matrix with one square for each entry; entries are never left out or averaged.

    A short bar along each side spans the prefix tokens; numbers are written at the first token of grid rows.

    Args:
        values: (queries, keys).
        query_layout: Which query is which patch.
        key_layout: Which key is which patch; by default as `query_layout`.
        label: Name of the quantity.
        signed: Zero is the middle of the scale.
        scale: By default the raw scale of these values.
        query: Number of the row to mark.
        title: Written above.
        width: Wanted width in pixels; an entry is a whole number of pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For an array that does not fit the layouts, values that are not finite, and a query that does not exist.
    """
    values = finite(values)
    key_layout = key_layout or query_layout
    wanted = query_layout.num_tokens, key_layout.num_tokens
    if values.shape != wanted:
        raise DrawError(f"These layouts need a matrix {wanted} (queries, keys), not an array of shape {values.shape}.")
    if query is not None and not 0 <= query < wanted[0]:
        raise DrawError(f"Query {query} does not exist: the matrix has {wanted[0]}, counted from 0.")
    scale = (scale or Scale.of(values, signed=signed)).counting(values)

    times = max(1, round(width / wanted[1]))
    theme = theme.scaled_for(times * wanted[1], width)
    size = theme.small
    left = int(font(size).getlength("query ↓")) + 20
    top = 2 * line_height(size) + 8
    entries = colours(values, scale, theme).repeat(times, axis=0).repeat(times, axis=1)  # (height, width, 3)
    picture = Image.new("RGB", (left + entries.shape[1], top + entries.shape[0]), theme.background)
    picture.paste(Image.fromarray(entries), (left, top))

    pen = ImageDraw.Draw(picture)
    pen.text((left, 0), "key →", font=font(size), fill=theme.foreground)
    pen.text((0, 0), "query ↓", font=font(size), fill=theme.foreground)
    for token, place in _ticks(key_layout, times, font(size).getlength("0000")):
        pen.text((left + place, top - 5), str(token), font=font(size), fill=theme.muted, anchor="mb")
    for token, place in _ticks(query_layout, times, line_height(size)):
        pen.text((left - 18, top + place), str(token), font=font(size), fill=theme.muted, anchor="rm")
    # Marks are outside the matrix: a line across entries of one pixel would hide whole rows.
    y, x = top + query_layout.num_prefix * times, left + key_layout.num_prefix * times
    pen.line([(left - 4, top), (left - 4, y - 1)], fill=theme.accent, width=3)
    pen.line([(left, top - 4), (x - 1, top - 4)], fill=theme.accent, width=3)
    if query is not None:
        middle = top + (query + 0.5) * times
        pen.polygon([(left - 1, middle), (left - 14, middle - 7), (left - 14, middle + 7)], fill=theme.accent)
    return sheet([picture, legend(scale, label, picture.width, theme)], theme, title=title)


def _ticks(layout: TokenLayout, times: int, space: float) -> list[tuple[int, float]]:
    """(token, its centre in pixels) of first tokens of grid rows, at least `space` pixels apart."""
    cols = layout.grid[1]
    if not cols:
        return []  # learned queries have no grid
    every = max(1, int(-(-1.4 * space // (cols * times))))
    starts = [layout.token_at(row, 0) for row in range(0, layout.grid[0], every)]
    return [(token, (token + 0.5) * times) for token in starts]


@dataclass(frozen=True, eq=False)
class Factor:
    """A matrix of `draw_product`.

    Attributes:
        values: (rows, columns).
        name: Written above.
        signed: Zero is the middle of the scale.
    """

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
    """A matrix product: `left` on the left of the result, `top` above it, with one square for each entry.

    Each matrix has its own robust scale; the colour bar is the result's.

    Args:
        left: (n, m).
        top: (m, p).
        result: (n, p).
        row: Number of a row of `left` and result to mark.
        column: Number of a column of `top` and result to mark.
        in_line: Left · top = result in one row, for a `top` that is too tall to be above.
        label: Name of the result's quantity.
        width: Wanted width in pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For shapes that do not fit, values that are not finite, and an entry that does not exist.
    """
    (n, m), (m_top, p) = left.values.shape, top.values.shape
    if m != m_top or result.values.shape != (n, p):
        raise DrawError(f"{left.words} times {top.words} does not give {result.words}.")
    if (row is not None and not 0 <= row < n) or (column is not None and not 0 <= column < p):
        raise DrawError(f"The product has {n} rows and {p} columns, so no entry in row {row}, column {column}.")
    across = m + 2 * p if in_line else m + p
    times = max(1, round(width / across))
    theme = theme.scaled_for(times * across, width)
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
        space = factor.values.shape[1] * times + (gap - 6 if x + entries.shape[1] < right else 0)
        if size := fitting(factor.words, space, theme.small, theme.small):  # no name above a narrow matrix
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


def draw_sum(
    terms: Mapping[str, np.ndarray],
    *,
    result: str,
    robust: bool = True,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Vectors as strips with their sum below, each with its Euclidean norm.

    All strips have the same signed scale, and every component has at least one column of pixels.

    Args:
        terms: Name -> (width,).
        result: Name of the sum.
        robust: The scale ends at the 99th percentile.
        title: Written above.
        width: Wanted width in pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For vectors of different lengths, without a component, or with values that are not finite.
    """
    vectors = {name: finite(vector) for name, vector in terms.items()}
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or next(iter(shapes)) == (0,):
        raise DrawError(f"A sum needs vectors of one length, not shapes {sorted(shapes)}.")
    total = np.stack(list(vectors.values())).sum(axis=0)  # (terms, width) -> (width,)
    scale = Scale.of(*vectors.values(), total, robust=robust, signed=True)
    width = max(width, total.size)
    pieces: list[Image.Image] = []
    for index, (name, vector) in enumerate([*vectors.items(), (result, total)]):
        sign = "" if index == 0 else "= " if index == len(vectors) else "+ "
        words = f"{sign}{name}, norm {number(float(np.linalg.norm(vector)))}"
        strip = Image.fromarray(enlarged(colours(vector[None], scale, theme), 2 * theme.font_size, width))
        pieces.append(column([paragraph(words, width, theme), strip], theme, gap=2))
    return sheet([*pieces, legend(scale, f"{total.size} components", width, theme)], theme, title=title)
