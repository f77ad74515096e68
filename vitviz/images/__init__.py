"""Untrusted bytes to a safe RGB image: `load_image`, and `image_hash`, which identifies an image by its pixels.

Data flows one way: `source` (bytes in) -> `formats` (one allowed decoder, limits first) -> `colour` (any mode to sRGB
on white) -> upright. Nothing here changes a setting of Pillow, so any number of threads may load at once.
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


# As decoders say it that raise no MemoryError.
_NO_MEMORY = re.compile(r"out of memory|memory allocation|cannot allocate", re.IGNORECASE)


def load_image(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> Image.Image:
    """A photograph from anywhere as a plain Pillow image in mode RGB, upright, in sRGB, transparent parts on white.

    The content decides the format, never the name: JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF. Of several frames or pages
    the first is taken. Of values of more than 8 bits, 0 is black, and white is the full scale of the fewest bits (8, 10, 12,
    14 or 16) that hold the largest; floats within 0 and 1 are taken as they are; negative, larger and other float values are
    stretched from the smallest to the largest. `read_image` says which it was. Metadata (EXIF with its place and time,
    profiles, comments) is used and then dropped.

    Raises TypeError for a source of another type.

    Args:
        source: a path, the bytes of a file, or a binary file object; a file object that can seek is read from its beginning,
            wherever it stands, and left standing there

    Raises:
        ImageError: In a sentence that a user can act on and with no more of a path than the file's name, for what is
            no picture, is damaged or cut short, has more than 50 megapixels (by its header, before any pixel is
            decoded) or more than 100 MB.
    """
    return read_image(source)[0]


def read_image(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> tuple[Image.Image, str]:
    """The same, and one sentence on which value of the file is black and which white: "Its values fit into 12 bits, so 4,095
    is shown white."; "" for a picture of 8 bits, and for one that fills 16.
    """
    subject, content = read_source(source)
    try:
        image = decode(content, subject)
        turn = turn_of(image)
        rgb, said = to_rgb(image)
        del image  # fifty megapixels are 200 MB, and turning them takes as much again
        return upright(rgb, turn), said
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(_too_much(subject)) from error
    except Exception as error:
        if _NO_MEMORY.search(str(error)):
            raise ImageError(_too_much(subject)) from error
        # Decoders fed with hostile bytes raise nearly anything: SyntaxError, struct.error, KeyError, ...
        raise ImageError(f"{subject} is damaged or cut short and cannot be shown. Try another copy of it.") from error


def _too_much(subject: str) -> str:
    return f"{subject} needs more memory to decode than there is for it. Scale it down and try again."


def image_hash(image: Image.Image) -> str:
    """The sha256, in hex, over an image's mode, size and pixels (and palette, where it has one).

    The same for equal pictures wherever they came from; metadata does not count.
    """
    width, height = image.size
    digest = hashlib.sha256(f"{image.mode} {width} {height}\n".encode())
    if image.palette is not None:
        digest.update(bytes(image.getpalette(None) or []))
    for top in range(0, height, 256):  # in bands, so that a large image is never copied whole
        digest.update(image.crop((0, top, width, min(top + 256, height))).tobytes())
    return digest.hexdigest()
