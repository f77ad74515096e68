"""Every mode that a file can have to RGB as a browser would show it: in sRGB and on white."""

from __future__ import annotations

import io
import logging

import numpy as np
from PIL import Image, ImageChops, ImageCms
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

_LOG = logging.getLogger(__name__)
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image) -> Image.Image:
    """A decoded file (any mode, with its `info`) as an image in mode RGB, in sRGB, its transparent parts on white."""
    if image.mode.startswith("I;16"):
        colour, alpha = _from_16_bit(image)
    elif image.mode in ("I", "F"):
        colour, alpha = _from_unbounded(image), None
    else:
        colour, alpha = _split_alpha(image)
    rgb = _to_srgb(colour, image.info.get("icc_profile"))
    if alpha is None:
        return rgb
    ground = Image.new("RGB", rgb.size, "white")
    ground.paste(rgb, mask=alpha)
    return ground


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour in mode L, RGB or CMYK, and its alpha in mode L where some part may be transparent."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        both = image.convert("LA" if grey else "RGBA")
        return both.convert("L" if grey else "RGB"), both.getchannel("A")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Adobe writes ink upside down, and Pillow turns every CMYK JPEG over as if Adobe had written it.
        return ImageChops.invert(image), None
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None  # as it is: converting would copy, and fifty megapixels are 200 MB
    return image.convert("L" if grey else "RGB"), None


def _from_16_bit(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """16-bit grey by its full scale (12-bit by that), and alpha where a PNG declares one grey transparent."""
    values = np.asarray(image)  # (height, width) uint16
    tags = getattr(image, "tag_v2", {})
    full = 4095 if tags.get(BITSPERSAMPLE) == (12,) else 65535
    levels = np.minimum((np.arange(65536) * 255 + full // 2) // full, 255).astype(np.uint8)
    if tags.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
        levels = 255 - levels
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
    return Image.fromarray(levels[values]), alpha


def _from_unbounded(image: Image.Image) -> Image.Image:
    """32-bit integers and floats, for which no file says what white is: from the smallest to the largest value found.

    Floats that all lie within 0 and 1 follow the one common convention and are not stretched. Values that are not
    numbers are black.
    """
    values = np.asarray(image).astype(np.float32)  # (height, width), a copy
    finite = np.isfinite(values)
    low = float(np.min(values, where=finite, initial=np.inf))
    high = float(np.max(values, where=finite, initial=-np.inf))
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values -= low
    values *= 255 / (high - low) if high > low else 0.0
    grey = np.rint(values, out=values).astype(np.uint8)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey)


def _to_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """By the embedded ICC profile where it is valid and fits the channels, otherwise by Pillow's plain conversion."""
    if profile:
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if colour.mode == "L" and embedded.profile.xcolor_space.strip() == "RGB":
                colour = colour.convert("RGB")
            return _through(embedded, colour)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            _LOG.debug("an embedded colour profile is broken or unfitting and was left aside: %s", error)
    return colour if colour.mode == "RGB" else colour.convert("RGB")


def _through(profile: ImageCms.ImageCmsProfile, colour: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        colour.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if colour.mode == "RGB" and _changes_nothing(transform):
        return colour
    converted = ImageCms.applyTransform(colour, transform)
    assert converted is not None  # only None when asked to work in place
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under any name, by what it does to a lattice of 18 x 18 x 18 colours.

    The many files called sRGB differ in their last digits, which would move pixels by one; sRGB photographs, nearly all
    there are, stay as they were decoded.
    """
    steps = np.arange(0, 256, 15, dtype=np.uint8)  # 0, 15, ..., 255
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, len(steps), 3)  # (324, 18, 3)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    return bool(np.abs(converted.astype(int) - lattice).max() <= 2)
