"""One patch under the lens: where it lies in the photograph, and its pixels, one by one."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import box, check_shape, edges, outline
from vitviz.draw.grid import paint_grid
from vitviz.draw.lettering import paragraph
from vitviz.draw.sheet import GAP, beside, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout


def draw_patch(
    image: Image.Image, layout: TokenLayout, token: int, *, title: str = "", width: int = WIDTH, theme: Theme = LIGHT
) -> Image.Image:
    """The photograph with one patch framed, beside it the patch's own pixels, each a square between thin lines.

    image  exactly what the model saw: one pixel of it is one pixel of the model's input

    Raises DrawError for a picture of another size than the model's input and for a prefix token, which has no pixels;
    IndexError for a token that does not exist.
    """
    cell = layout.cell_of(token)
    if cell is None:
        raise DrawError(f"The token {layout.prefix[token]!r} is learned and has no pixels; choose a patch instead.")
    check_shape(image, layout)
    high, wide = layout.input_size
    if image.size != (wide, high):
        raise DrawError(
            f"The picture is {image.width} x {image.height} pixels, the model's input {wide} x {high}: "
            "to show a patch's pixels, give the picture at the model's input size."
        )
    patch = np.asarray(image.convert("RGB").crop(box(cell, layout.grid, image.size)))  # (patch height, patch width, 3)
    half = (width - 2 * GAP) // 2
    place = paint_grid(image, layout, line_width=0, dim=0.55, highlight=[token], width=half, theme=theme)
    lens = pixels(patch, half, theme)
    outline(lens, (3, 3, lens.width - 3, lens.height - 3))
    red, green, blue = patch.reshape(-1, 3).mean(axis=0).round().astype(int)
    words = (
        f"token {token}: row {cell[0]}, column {cell[1]}, {patch.shape[1]} x {patch.shape[0]} pixels, "
        f"mean red {red}, green {green}, blue {blue}"
    )
    picture = beside([place, lens], theme)
    return sheet([picture, paragraph(words, picture.width, theme, quiet=True)], theme, title=title)


def pixels(patch: np.ndarray, width: int, theme: Theme) -> Image.Image:
    """(height, width, 3) uint8 pixels as squares, with lines between them where there is room for both."""
    rows, cols = patch.shape[:2]
    picture = Image.fromarray(patch).resize((width, round(width * rows / cols)), Image.Resampling.NEAREST)
    if width // cols >= 6:
        pen = ImageDraw.Draw(picture)
        for y in edges(rows, picture.height)[1:-1]:
            pen.line([(0, int(y)), (width, int(y))], fill=theme.grid)
        for x in edges(cols, width)[1:-1]:
            pen.line([(int(x), 0), (int(x), picture.height)], fill=theme.grid)
    return picture
