"""Decodes untrusted bytes to RGB images: `load_image`, and `image_hash`, the hash of an image's pixels.

The steps are `source` (bytes), `formats` (limits, then one allowed decoder), `colour` (any mode to sRGB on white) and
rotation by EXIF orientation. Settings of Pillow are not changed, so that several threads may load images at the same time.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import BinaryIO

from PIL import Image

from vitviz.errors import ImageError
from vitviz.images.colour import to_rgb
from vitviz.images.formats import MAX_PIXELS, decode, turn_of, upright
from vitviz.images.source import MAX_BYTES, read_source

__all__ = ["MAX_BYTES", "MAX_PIXELS", "image_hash", "load_image", "read_image"]


# Messages of decoders that do not raise MemoryError when an allocation fails.
_NO_MEMORY = re.compile(r"out of memory|memory allocation|cannot allocate", re.IGNORECASE)


def load_image(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> Image.Image:
    """Loads a photograph as a Pillow image in mode RGB, upright, in sRGB, with transparent parts on white.

    The format follows from the content, not from the name: JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF. Of several frames
    or pages the first is read. For values of more than 8 bits, black is 0 and white is the full scale of the smallest of 8,
    10, 12, 14 and 16 bits that holds the largest value; floats from 0 to 1 are unchanged; negative, larger and other float
    values are scaled from the smallest to the largest. `read_image` reports the scale. Metadata (EXIF with place and time,
    profiles, comments) is used for decoding and then dropped.

    Args:
        source: A path, the bytes of a file, or a binary file object. A seekable file object is read from its beginning, and its
            position is restored.

    Returns:
        The image (height, width, 3), 8 bits for each channel.

    Raises:
        ImageError: For data that is not a picture, is damaged or truncated, has more than 50 megapixels (by its header, before
            pixels are decoded) or more than 100 MB. The message has the file's name without its path.
        TypeError: For a source of another type.
    """
    return read_image(source)[0]


def read_image(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> tuple[Image.Image, str]:
    """(image, sentence): `load_image`, and a sentence on the values shown black and white.

    The sentence is "" for a picture of 8 bits and for one that uses all 16: "Its values fit into 12 bits, so
    4,095 is shown white."
    """
    subject, content = read_source(source)
    try:
        image = decode(content, subject)
        turn = turn_of(image)
        rgb, said = to_rgb(image)
        del image  # 50 megapixels take 200 MB, and rotating them as much again
        return upright(rgb, turn), said
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(_too_much(subject)) from error
    except Exception as error:
        if _NO_MEMORY.search(str(error)):
            raise ImageError(_too_much(subject)) from error
        # Decoders raise errors of many types on hostile bytes: SyntaxError, struct.error, KeyError, ...
        raise ImageError(f"{subject} is damaged or cut short and cannot be shown. Try another copy of it.") from error


def _too_much(subject: str) -> str:
    return f"{subject} needs more memory to decode than there is for it. Scale it down and try again."


def image_hash(image: Image.Image) -> str:
    """Identifies an image by its mode, size, pixels and palette; metadata do not count.

    Args:
        image: Any image of Pillow.

    Returns:
        The sha256 as 64 hexadecimal digits.
    """
    width, height = image.size
    digest = hashlib.sha256(f"{image.mode} {width} {height}\n".encode())
    if image.palette is not None:
        digest.update(bytes(image.getpalette(None) or []))
    for top in range(0, height, 256):  # in bands, so that a large image is not copied as a whole
        digest.update(image.crop((0, top, width, min(top + 256, height))).tobytes())
    return digest.hexdigest()
