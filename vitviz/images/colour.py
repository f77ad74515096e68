"""Converts images of every mode to RGB as a browser would show them: in sRGB and on white."""

from __future__ import annotations

import io
import logging

import numpy as np
from PIL import Image, ImageChops, ImageCms
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from vitviz.images.depth import said_of, to_8_bits
from vitviz.images.formats import DEEP

_LOG = logging.getLogger(__name__)
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """Converts a decoded file of any mode, with its `info`.

    Returns:
        (image in mode RGB, in sRGB, with transparent parts on white; a sentence on the values shown black and white, or "").
    """
    values = _deep_values(image)
    if values is None:
        colour, alpha = _split_alpha(image)
    else:
        colour, alpha = _from_deep(image, values)
    rgb = _to_srgb(colour, image.info.get("icc_profile"))
    if alpha is not None:
        rgb.paste("white", mask=ImageChops.invert(alpha))  # in place: 50 megapixels take 200 MB
    said = (
        ""
        if values is None
        else said_of(values[..., :3] if values.ndim == 3 and values.shape[2] > 2 else _grey(values))
    )
    return rgb, said


def _deep_values(image: Image.Image) -> np.ndarray | None:
    """Values of more than 8 bits, or signed ones: (height, width) or (height, width, channels); None for unsigned bytes."""
    if DEEP in image.info:
        return image.info[DEEP]
    signed = 2 in getattr(image, "tag_v2", {}).get(SAMPLEFORMAT, ())
    values = np.asarray(image) if signed or image.mode in ("I", "F") or image.mode.startswith("I;16") else None
    if values is None:
        return None
    if image.mode in ("L", "RGB") and signed:
        return values.view(np.int8)  # the same shape
    if image.mode == "I" and image.format == "TIFF" and not signed:
        return values.view(np.uint32)  # the same shape; Pillow stores unsigned values as signed
    if image.mode == "I;16" and signed:
        return values.view(np.int16)  # the same shape
    return values


def _from_deep(image: Image.Image, values: np.ndarray) -> tuple[Image.Image, Image.Image | None]:
    """(colour in mode L or RGB by the rule of `depth`, alpha from a channel or a transparent value, or None)."""
    alpha = None
    colours = values
    if values.ndim == 3 and values.shape[2] in (2, 4):
        alpha = Image.fromarray((values[..., -1] >> 8).astype(np.uint8))
        colours = values[..., :3] if values.shape[2] == 4 else values[..., 0]
    transparent = image.info.get("transparency")
    if alpha is None and isinstance(transparent, int | tuple):
        clear = colours == np.asarray(transparent)
        alpha = Image.fromarray(np.where(clear.all(-1) if colours.ndim == 3 else clear, 0, 255).astype(np.uint8))
    shown = to_8_bits(colours)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
        shown = 255 - shown
    return Image.fromarray(shown), alpha


def _grey(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 2 else values[..., 0]


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(colour in mode L, RGB or CMYK; alpha in mode L if some part may be transparent, or None)."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        mode = "LA" if grey else "RGBA"
        both = image if image.mode == mode else image.convert(mode)
        return both.convert("L" if grey else "RGB"), both.getchannel("A")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Adobe stores inverted CMYK values, and Pillow inverts every CMYK JPEG as if it were Adobe's.
        return ImageChops.invert(image), None
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None  # not converted, which would copy: 50 megapixels take 200 MB
    return image.convert("L" if grey else "RGB"), None


def _to_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts by the embedded ICC profile if it is valid and fits the channels, otherwise by Pillow's own conversion."""
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
    assert converted is not None  # None only for a conversion in place
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB under any name, by its effect on a lattice of 18 x 18 x 18 colours.

    Variants of sRGB profiles differ in their last digits, which would change pixels by one; photographs with such a profile,
    the great majority, are not converted.
    """
    steps = np.arange(0, 256, 15, dtype=np.uint8)  # 0, 15, ..., 255
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, len(steps), 3)  # (324, 18, 3)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    return bool(np.abs(converted.astype(int) - lattice).max() <= 2)
