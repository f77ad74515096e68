"""Pieces put together on a sheet: a title above, a picture, what explains it below."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageOps

from vitviz.draw.lettering import paragraph
from vitviz.draw.theme import Theme

MARGIN = 12
GAP = 10


def column(pieces: Iterable[Image.Image], theme: Theme, *, gap: int = GAP) -> Image.Image:
    """The pieces one under the other, left-aligned."""
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
