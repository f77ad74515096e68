"""Composes pictures: title, pieces in rows and columns, colour bar with numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from vitviz.draw.scale import Scale, levels, map_name, table
from vitviz.draw.theme import Theme, font, line_height, paragraph

MARGIN = 12
GAP = 10


def column(pieces: Iterable[Image.Image], theme: Theme, *, gap: int = GAP) -> Image.Image:
    """The pieces below each other, left-aligned."""
    present = list(pieces)
    height = sum(piece.height for piece in present) + gap * (len(present) - 1)
    whole = Image.new("RGB", (max(piece.width for piece in present), height), theme.background)
    top = 0
    for piece in present:
        whole.paste(piece, (0, top))
        top += piece.height + gap
    return whole


def beside(pieces: Iterable[Image.Image], theme: Theme, *, gap: int = 2 * GAP) -> Image.Image:
    """The pieces next to each other, top-aligned."""
    present = list(pieces)
    width = sum(piece.width for piece in present) + gap * (len(present) - 1)
    whole = Image.new("RGB", (width, max(piece.height for piece in present)), theme.background)
    left = 0
    for piece in present:
        whole.paste(piece, (left, 0))
        left += piece.width + gap
    return whole


def sheet(pieces: Iterable[Image.Image], theme: Theme, *, title: str = "") -> Image.Image:
    """A finished picture: the pieces in a column under their title, with a margin of MARGIN pixels all around."""
    present = list(pieces)
    if title:
        present.insert(0, paragraph(title, max(piece.width for piece in present), theme, bold=True))
    return ImageOps.expand(column(present, theme), MARGIN, theme.background)


def bar_height(theme: Theme) -> int:
    """Height of the colour bar in pixels, also the length of a pointed end."""
    return round(0.8 * theme.font_size)


def ramp(name: str, width: int, height: int) -> Image.Image:
    """The colour map `name` as a strip whose outer columns are its first and last colour."""
    strip = table(name)[np.linspace(0, 255, width).round().astype(np.uint8)]  # (width, 3)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(strip, (height, width, 3))))


def colour_bar(scale: Scale, width: int, theme: Theme) -> Image.Image:
    """The colour bar of one scale: pointed at an end with values beyond it, of one colour for a flat scale."""
    name, height = map_name(scale, theme), bar_height(theme)
    if scale.flat:
        middle_colour = tuple(int(c) for c in table(name)[levels(np.array(scale.low), scale)])
        return Image.new("RGB", (width, height), middle_colour)
    left, right = (height if beyond else 0 for beyond in (scale.below, scale.above))
    end, bottom, middle = width - 1, height - 1, (height - 1) / 2
    shape = [(left, 0), (end - right, 0), (end, middle), (end - right, bottom), (left, bottom), (0, middle)]
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon(shape, fill=1)
    bar = Image.new("RGB", mask.size, theme.background)
    bar.paste(ramp(name, width, height), mask=mask)
    ImageDraw.Draw(bar).polygon(shape, outline=theme.bar)  # outlined, because a black end is invisible on a dark page
    return bar


def legend(scale: Scale, label: str, width: int, theme: Theme) -> Image.Image:
    """The colour bar, `width` pixels wide, with its numbers, the quantity's name and the scale's label."""
    face, size = font(theme.font_size), theme.font_size
    numbers = Image.new("RGB", (width, line_height(size)), theme.background)
    pen = ImageDraw.Draw(numbers)
    for position, text in scale.ticks():
        length = face.getlength(text)
        left = min(max(position * width - length / 2, 0), width - length)
        pen.text((left, 0), text, font=face, fill=theme.foreground)
    words = paragraph(f"{label}: {scale.label}" if label else scale.label, width, theme, quiet=True)
    return column([colour_bar(scale, width, theme), numbers, words], theme, gap=3)
