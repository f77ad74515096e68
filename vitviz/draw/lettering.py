"""Lettering for Pillow pictures in the font that matplotlib brings along, so that no font of the system is needed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from vitviz.draw.theme import Theme


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at `size` pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def line_height(size: int) -> int:
    """Pixels from one line of text to the next."""
    ascent, descent = font(size).getmetrics()
    return ascent + descent


def fitting(text: str, width: float, largest: int, smallest: int = 8) -> int:
    """The largest font size, `largest` down to `smallest`, at which `text` fits into `width` pixels; 0 for none."""
    for size in range(largest, smallest - 1, -1):
        if font(size).getlength(text) <= width:
            return size
    return 0


def shortened(text: str, width: float, size: int, bold: bool = False) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    face = font(size, bold)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, width: float, size: int, bold: bool = False) -> list[str]:
    """`text` broken at spaces into lines of at most `width` pixels; a word wider than that is shortened."""
    face, lines = font(size, bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shortened(line, width, size, bold) for line in lines]


def paragraph(text: str, width: int, theme: Theme, *, quiet: bool = False, bold: bool = False) -> Image.Image:
    """Text as a picture `width` pixels wide and as tall as it needs; `quiet` is the second voice."""
    size = theme.small if quiet else theme.font_size
    lines = wrapped(text, width, size, bold)
    picture = Image.new("RGB", (width, line_height(size) * len(lines)), theme.background)
    pen = ImageDraw.Draw(picture)
    for index, line in enumerate(lines):
        colour = theme.muted if quiet else theme.foreground
        pen.text((0, index * line_height(size)), line, font=font(size, bold), fill=colour)
    return picture
