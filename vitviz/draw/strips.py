"""Vectors as strips of colour, added up: a patch embedding, its position embedding, and the token they make."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from vitviz.draw.cells import enlarged
from vitviz.draw.colour import colours
from vitviz.draw.colourbar import legend
from vitviz.draw.lettering import paragraph
from vitviz.draw.scale import Scale, finite, number
from vitviz.draw.sheet import column, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError


def draw_sum(
    terms: Mapping[str, np.ndarray],
    *,
    result: str,
    robust: bool = True,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Vectors (width,) by name, one strip each, and below their sum, called `result`; each with its Euclidean norm.

    All strips share one signed scale, and every component has its column; a strip of more components than pixels is as
    wide as it needs.
    Raises DrawError where the vectors differ in length, are empty, or hold values that are not finite.
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
