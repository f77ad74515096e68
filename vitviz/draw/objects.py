"""Objects on a picture: boxes, masks, clusters and colours of patches, and the square of a receptive field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from vitviz.draw.cells import enlarged
from vitviz.draw.scale import rgb
from vitviz.draw.theme import font
from vitviz.errors import DrawError

# Okabe and Ito 2008: distinguishable for colour-blind readers, on light and dark backgrounds. Without their black, which a grey
# photograph contains, and with five more, each further from all others than the closest two of theirs.
COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#6600ee", "#661100", "#bbff99", "#000066", "#66ffff"),
)
DIMMED = 0.3  # factor of the brightness outside a mask
Corners = tuple[float, float, float, float]


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of object or cluster `index`; colours repeat after twelve."""
    return rgb(COLOURS[index % len(COLOURS)])


def paint_boxes(
    picture: Image.Image,
    boxes: Sequence[Corners],
    names: Sequence[str] = (),
    scale: float = 1.0,
    size_of_names: int = 14,
) -> Image.Image:
    """A copy of the picture with boxes, each in its own colour between two thin contrasting lines.

    Args:
        picture: RGB; it is not modified.
        boxes: (left, top, right, bottom) in pixels of `picture`.
        names: Text beside each box; none by default.
        scale: Factor by which the picture is enlarged first.
        size_of_names: Font size in pixels.

    Raises:
        DrawError: If there are names, but not one for each box.
    """
    if names and len(names) != len(boxes):
        raise DrawError(f"{len(names)} names cannot be written beside {len(boxes)} boxes.")
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    painted = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(painted)
    letters = font(size_of_names)
    for index, corners in enumerate(boxes):
        left, top, right, bottom = (round(side * scale) for side in corners)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, size[0]) - 1, min(bottom, size[1]) - 1
        if right <= left or bottom <= top:
            continue
        for inset, colour, width in ((0, (0, 0, 0), 1), (1, colour_of(index), 3), (4, (255, 255, 255), 1)):
            if right - left > 2 * inset and bottom - top > 2 * inset:
                pen.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=colour, width=width)
        if names:
            text = pen.textbbox((0, 0), names[index], font=letters)
            wide, high = text[2] + 8, text[3] + 6
            at = (min(left, max(size[0] - wide, 0)), top - high if top >= high else top)
            pen.rectangle((at[0], at[1], at[0] + wide, at[1] + high), fill=(0, 0, 0))
            pen.text((at[0] + 4, at[1] + 3), names[index], font=letters, fill=(255, 255, 255))
    return painted


def paint_mask(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """The picture in dimmed grey outside a mask.

    Args:
        picture: RGB.
        mask: Boolean, (rows, cols) of patches or (height, width) of pixels; it is enlarged to the picture.

    Raises:
        DrawError: For a mask with more cells than the picture has pixels.
    """
    inside = _enlarged(mask, picture)
    pixels = np.asarray(picture.convert("RGB"))
    grey = (np.asarray(ImageOps.grayscale(picture))[..., None] * DIMMED).repeat(3, 2)
    return Image.fromarray(np.where(inside[..., None], pixels, grey).astype(np.uint8))


def paint_clusters(picture: Image.Image, labels: np.ndarray, opacity: float = 0.6) -> Image.Image:
    """Clusters (rows, cols) of patches in colours over the grey picture; patches labelled -1 have no colour."""
    large = _enlarged(labels, picture)
    grey = np.asarray(ImageOps.grayscale(picture).convert("RGB")).astype(np.float32)
    palette = np.array([colour_of(index) for index in range(max(int(labels.max()) + 1, 1))], np.float32)
    mixed = (1 - opacity) * grey + opacity * palette[large.clip(0)]
    return Image.fromarray(np.where(large[..., None] < 0, grey, mixed).round().astype(np.uint8))


def paint_colours(colours: np.ndarray, width: int, height: int) -> Image.Image:
    """Colours (rows, cols, 3) in [0, 1] as a picture, with one rectangle for each cell.

    Raises:
        DrawError: For another shape or values that are not finite.
    """
    if colours.ndim != 3 or colours.shape[2] != 3 or not np.isfinite(colours).all():
        raise DrawError(f"Colours are finite numbers (rows, cols, 3), not an array of shape {colours.shape}.")
    pixels = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(enlarged(pixels, height, width))


def field_levels(gradient: np.ndarray) -> np.ndarray:
    """(height, width) uint8: brightness of a receptive field, 255 from the 99th percentile of its positive entries on.

    Brightness is the square root of the gradient, so that weak parts are visible.
    """
    above = gradient[gradient > 0]
    end = float(np.quantile(above, 0.99)) if above.size else 1.0
    return (255 * np.sqrt(np.clip(gradient / end, 0, 1))).round().astype(np.uint8)


def _enlarged(values: np.ndarray, picture: Image.Image) -> np.ndarray:
    """(rows, cols) -> (height, width) of the picture."""
    if values.ndim != 2 or values.shape[0] > picture.height or values.shape[1] > picture.width:
        raise DrawError(
            f"Values of shape {values.shape} do not lie over a picture of {picture.width} x {picture.height}."
        )
    return enlarged(values, picture.height, picture.width)
