"""Heat maps with their colour bar: over a photograph, or over displacements between query and key."""

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

Cell = tuple[int, int]
# From a query to a key, and how strong, 0 to 1: each end as shares (down, across) of the picture.
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
    """The picture of `draw_heatmap` without title and colour bar: `width` pixels wide, each patch one rectangle."""
    rows, cols = heatmap.grid
    scale = scale or Scale.of(heatmap.values, signed=heatmap.signed)
    width = max(width, cols)
    height = max(round(width * (image.height / image.width if image else rows / cols)), rows)
    painted = enlarged(colours(heatmap.values, scale, theme), height, width)  # (height, width, 3)
    picture = Image.fromarray(painted)
    if image is not None:
        # In grey, so that every hue in the picture is a value and none is the photograph's.
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
    """A bowed line with a head at its end, white in black, so that it can be seen on every colour."""
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
    """A heat map with its colour bar, numbers and quantity; over `image`, in grey, where one is given.

    Args:
        image: what the model saw, cropped and resized as it was: the grid is laid over all of it
        scale: the raw scale of this map where none is given; give one scale to all maps that are to be compared
        opacity: of the colours over the photograph, 0 (photograph alone) to 1 (colours alone)
        query: (row, col) of the patch the map belongs to, framed; marks: further patches, framed thinly (sinks)
        links: arrows over the picture
        width: pixels of the picture inside the margin

    Raises:
        DrawError: For values that are not finite and for patches outside the grid.
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
    """(2 rows - 1, 2 cols - 1) values, zero displacement in the middle and framed, with the displacements along two sides.

    Args:
        scale: the raw scale of these values where none is given
        step: (down, right) patches in one displacement
        width: pixels aimed at

    Raises:
        DrawError: For an even number of rows or columns and values that are not finite.
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
    """Even steps out from the middle, as far as the map goes."""
    every = max(1, round(reach / OFFSET_TICKS))
    outwards = range(0, reach + 1, every)
    return sorted({*outwards, *(-offset for offset in outwards)})


def signed_number(offset: int) -> str:
    return f"+{offset}" if offset > 0 else f"\N{MINUS SIGN}{-offset}" if offset else "0"
