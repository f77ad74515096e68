"""Numbers as horizontal bars, each with its name and its value: a prediction, a head's entropies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.lettering import font, line_height, paragraph, shortened
from vitviz.draw.scale import finite, number
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError


def draw_bars(
    names: Sequence[str],
    values: np.ndarray | Sequence[float],
    *,
    percent: bool = False,
    full: float | None = None,
    chosen: int | None = None,
    label: str = "",
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """One bar a value, in the order given; bars start at zero, which is in the middle where some value is negative.

    values   (bars,)
    percent  writes 0.42 as 42.0 %
    full     the value of a bar of full length; the largest magnitude where not given (1 for percent)
    chosen   index of the bar in the accent colour

    Raises DrawError for values that are not finite, without any, or not as many as names.
    """
    names = [" ".join(name.split()) for name in names]  # a picture of text has one line
    numbers = finite(np.asarray(values))
    if numbers.ndim != 1 or numbers.size == 0 or numbers.size != len(names):
        raise DrawError(f"Bars need one value a name, not {len(names)} names and values of shape {numbers.shape}.")
    largest = float(np.abs(numbers).max())
    full = full if full is not None else 1.0 if percent else largest
    if largest > full * 1.0001:
        raise DrawError(f"A bar of {number(largest)} is longer than the full length of {number(full)}.")
    texts = [percentage(float(v)) if percent else number(float(v)) for v in numbers]

    size = theme.font_size
    face = font(size)
    value_width = int(max(face.getlength(text) for text in texts)) + 10
    name_width = min(int(max(face.getlength(name) for name in names)) + 12, int(0.45 * width))
    track = max(width - name_width - value_width, 20)
    height = round(1.25 * line_height(size))
    picture = Image.new("RGB", (width, height * len(names)), theme.background)
    pen = ImageDraw.Draw(picture)
    zero = name_width + (track // 2 if numbers.min() < 0 else 0)
    reach = track // 2 if numbers.min() < 0 else track
    for index, (name, value, text) in enumerate(zip(names, numbers, texts, strict=True)):
        top, bottom = index * height + 4, (index + 1) * height - 5
        pen.rectangle((name_width, top, name_width + track - 1, bottom), fill=theme.grid)
        length = round(reach * float(value) / full) if full else 0
        if length:
            left, right = sorted((zero, zero + length))
            pen.rectangle((left, top, right - 1, bottom), fill=theme.accent if index == chosen else theme.bar)
        middle = index * height + height / 2
        words = shortened(name, name_width - 12, size)
        pen.text((0, middle), words, font=font(size), fill=theme.foreground, anchor="lm")
        pen.text((width, middle), text, font=face, fill=theme.foreground, anchor="rm")
    pieces = [picture, paragraph(label, width, theme, quiet=True)] if label else [picture]
    return sheet(pieces, theme, title=title)


def percentage(share: float) -> str:
    """0.873 as "87.3 %"; what would round to nothing, or to everything, without being it, says so."""
    if 0 < abs(share) < 0.0005:
        return "< 0.1 %" if share > 0 else "> \N{MINUS SIGN}0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %".replace("-", "\N{MINUS SIGN}")
