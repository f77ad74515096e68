"""A whole attention matrix: queries down, keys across."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.colour import colours
from vitviz.draw.colourbar import legend
from vitviz.draw.lettering import font, line_height
from vitviz.draw.scale import Scale, finite
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
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
    """(queries, keys) values as a picture, one square an entry; none is left out or averaged, however many.

    query_layout, key_layout  which token is which; the keys' is the queries' where not given
    scale                     the raw scale of these values where none is given
    query                     row to point at
    width                     pixels aimed at; an entry is a whole number of pixels

    A short bar along each side spans the prefix tokens; numbers stand where grid rows begin. Raises DrawError for
    an array that does not fit the layouts, values that are not finite and a query that does not exist.
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
    theme = theme.grown(times * wanted[1], width)
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
    # Marks stay beside the entries: a line across them would hide whole rows where an entry is one pixel.
    y, x = top + query_layout.num_prefix * times, left + key_layout.num_prefix * times
    pen.line([(left - 4, top), (left - 4, y - 1)], fill=theme.accent, width=3)
    pen.line([(left, top - 4), (x - 1, top - 4)], fill=theme.accent, width=3)
    if query is not None:
        middle = top + (query + 0.5) * times
        pen.polygon([(left - 1, middle), (left - 14, middle - 7), (left - 14, middle + 7)], fill=theme.accent)
    return sheet([picture, legend(scale, label, picture.width, theme)], theme, title=title)


def _ticks(layout: TokenLayout, times: int, room: float) -> list[tuple[int, float]]:
    """(token, its middle in pixels): where rows of the grid begin, as many of them as have `room` pixels each."""
    cols = layout.grid[1]
    if not cols:
        return []  # learned queries alone: no row of a grid begins anywhere
    every = max(1, int(-(-1.4 * room // (cols * times))))
    starts = [layout.token_at(row, 0) for row in range(0, layout.grid[0], every)]
    return [(token, (token + 0.5) * times) for token in starts]
