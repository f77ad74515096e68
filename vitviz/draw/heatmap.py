"""Heat maps with a colour bar: over a photograph, or over displacements between query and key."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from vitviz.draw.cells import box, enlarged, outline
from vitviz.draw.scale import Scale, colours, finite
from vitviz.draw.sheet import legend, sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme, font, line_height, paragraph
from vitviz.errors import DrawError
from vitviz.heatmap import Heatmap
from vitviz.tokens import Cell

# (query, key, strength from 0 to 1); positions are (down, across) relative to the picture's sides.
Link = tuple[tuple[float, float], tuple[float, float], float]


def paint_heatmap(
    heatmap: Heatmap,
    *,
    image: Image.Image | None = None,
    scale: Scale | None = None,
    opacity: float = 0.6,
    query: Cell | None = None,
    marks: Iterable[Cell] = (),
    links: Iterable[Link] = (),
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The picture of `draw_heatmap` without title and colour bar: `width` pixels wide, with one rectangle for each patch."""
    rows, cols = heatmap.grid
    scale = scale or Scale.of(heatmap.values, signed=heatmap.signed)
    width = max(width, cols)
    height = max(round(width * (image.height / image.width if image else rows / cols)), rows)
    painted = enlarged(colours(heatmap.values, scale, theme), height, width)  # (height, width, 3)
    picture = Image.fromarray(painted)
    if image is not None:
        # In grey, so that every hue in the picture is a value of the map.
        grey = ImageOps.grayscale(image).resize((width, height), Image.Resampling.LANCZOS).convert("RGB")
        picture = Image.blend(grey, picture, float(np.clip(opacity, 0, 1)))
    for mark in marks:
        outline(picture, box(mark, heatmap.grid, picture.size), width=1)
    if query is not None:
        outline(picture, box(query, heatmap.grid, picture.size))
    for link in links:
        _arrow(picture, *link)
    return picture


def _arrow(picture: Image.Image, start: tuple[float, float], end: tuple[float, float], strength: float) -> None:
    """Draws a curved arrow, white with a black outline, so that it is visible on every colour."""
    size = np.array(picture.size, float)
    first, last = (np.array(point[::-1]) * size for point in (start, end))  # (across, down) in pixels
    if np.hypot(*(last - first)) < 1:
        return
    across = np.array([-(last - first)[1], (last - first)[0]])
    bend = (first + last) / 2 + 0.2 * across
    way = np.linspace(0, 1, 24)[:, None]
    curve = (1 - way) ** 2 * first + 2 * way * (1 - way) * bend + way**2 * last  # (points, 2)
    tip, reach = np.arctan2(*(last - bend)[::-1]), 7 + 6 * strength
    wings = [last - reach * np.array([np.cos(tip + side), np.sin(tip + side)]) for side in (-0.45, 0.45)]
    pen = ImageDraw.Draw(picture)
    thick = 2 + round(3 * strength)
    for colour, width in (("#000000", thick + 3), ("#ffffff", thick)):
        for line in (curve, [wings[0], last, wings[1]]):
            pen.line([tuple(point) for point in line], fill=colour, width=width, joint="curve")


def draw_heatmap(
    heatmap: Heatmap,
    *,
    image: Image.Image | None = None,
    scale: Scale | None = None,
    opacity: float = 0.6,
    query: Cell | None = None,
    marks: Iterable[Cell] = (),
    links: Iterable[Link] = (),
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """A heat map with colour bar, numbers and name of the quantity, over the grey `image` if one is given.

    Args:
        heatmap: One value for each patch.
        image: The model input before normalisation, whose whole area is the grid.
        scale: By default the raw scale of this map; use the same scale for maps that are to be compared.
        opacity: Of the colours over the photograph, from 0 (photograph alone) to 1 (colours alone).
        query: (row, col) of the query's patch, framed.
        marks: (row, col) of further patches with thin frames, such as sinks.
        links: Arrows over the picture.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: For values that are not finite, and patches outside the grid.
    """
    scale = (scale or Scale.of(heatmap.values, signed=heatmap.signed)).counting(heatmap.values)
    picture = paint_heatmap(
        heatmap,
        image=image,
        scale=scale,
        opacity=opacity,
        query=query,
        marks=marks,
        links=links,
        width=width,
        theme=theme,
    )
    return sheet([picture, legend(scale, heatmap.label, picture.width, theme)], theme, title=title)


OFFSET_TICKS = 4  # on each side of the middle


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
    """A map over displacements from query to key, with zero displacement framed in the centre.

    Args:
        values: (2 rows - 1, 2 cols - 1).
        label: Name of the quantity.
        signed: Zero is the middle of the scale.
        scale: By default the raw scale of these values.
        step: (down, right) patches in one displacement.
        title: Written above.
        width: Wanted width in pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For an even number of rows or columns, and values that are not finite.
    """
    values = finite(values)
    if values.ndim != 2 or not all(size % 2 for size in values.shape):
        raise DrawError(f"A map over displacements has an odd number of rows and columns, not {values.shape}.")
    scale = (scale or Scale.of(values, signed=signed)).counting(values)
    size = theme.small
    reach = values.shape[0] // 2, values.shape[1] // 2
    left, top = int(font(size).getlength(signed_number(-reach[0] * step[0]))) + 12, line_height(size) + 4
    across = max(width - left, values.shape[1])
    painted = Image.fromarray(
        enlarged(colours(values, scale, theme), max(round(across * values.shape[0] / values.shape[1]), 1), across)
    )
    outline(painted, box(reach, values.shape, painted.size), width=2)
    picture = Image.new("RGB", (left + painted.width, top + painted.height), theme.background)
    picture.paste(painted, (left, top))
    pen = ImageDraw.Draw(picture)
    for offset in offset_ticks(reach[0]):
        y = top + (offset + reach[0] + 0.5) * painted.height / values.shape[0]
        pen.text((left - 6, y), signed_number(offset * step[0]), font=font(size), fill=theme.muted, anchor="rm")
    for offset in offset_ticks(reach[1]):
        x = left + (offset + reach[1] + 0.5) * painted.width / values.shape[1]
        pen.text((x, top - 4), signed_number(offset * step[1]), font=font(size), fill=theme.muted, anchor="mb")
    words = paragraph(
        "Patches from query to key: rows down, columns to the right. The query is in the middle.",
        picture.width,
        theme,
        quiet=True,
    )
    return sheet([picture, legend(scale, label, picture.width, theme), words], theme, title=title)


def offset_ticks(reach: int) -> list[int]:
    """Equally spaced displacements from -`reach` to `reach`, with zero."""
    every = max(1, round(reach / OFFSET_TICKS))
    outwards = range(0, reach + 1, every)
    return sorted({*outwards, *(-offset for offset in outwards)})


def signed_number(offset: int) -> str:
    return f"+{offset}" if offset > 0 else f"\N{MINUS SIGN}{-offset}" if offset else "0"
