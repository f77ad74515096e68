"""Files that are sound and cannot be shown: what a TIFF or JPEG holds, from its tags or markers, in place of "damaged"."""

from __future__ import annotations

import io
from typing import Any

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    COMPRESSION_INFO,
    IMAGELENGTH,
    IMAGEWIDTH,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
)

_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
_ADVICE = {
    "bands": "Choose three of the bands, scale them to 0 to 255 and save them as an RGB PNG.",
    "numbers": "Scale the values to 0 to 255 and save them as a PNG.",
}


def described_tiff(content: bytes) -> str:
    """How a sentence goes on after "The file is", or "" where the tags are damaged as well.

    Such as: "a TIFF of 13 bands of 16-bit unsigned integers, and only grey (1), RGB (3) and CMYK or RGBA (4) are read. ..."
    """
    try:
        tags = _tags(content)
        bands = int(tags.get(SAMPLESPERPIXEL, 1))
        bits = _whole(tags.get(BITSPERSAMPLE, (1,)))
        kinds = _whole(tags.get(SAMPLEFORMAT, (1,)))
        width, height = int(tags[IMAGEWIDTH]), int(tags[IMAGELENGTH])
    except Exception:  # hostile bytes raise nearly anything
        return ""
    if not bits or bands < 1 or width < 1 or height < 1 or not all(1 <= count <= 128 for count in bits):
        return ""
    if "compression" in (said := compression_of(tags)):
        return said
    kind = _KINDS.get(kinds[0] if kinds else 1, "numbers of an unknown kind")
    same = len(set(bits)) == 1
    numbers = f"{bits[0]}-bit {kind}" if same else f"bands of different depth ({', '.join(map(str, bits[:6]))} bits)"
    if bands == 1:
        return f"a TIFF of {numbers}, which are not read here. {_ADVICE['numbers']}"
    of = f"{bands:,} bands of {numbers}" if same else f"{bands:,} {numbers}"
    if bands in (3, 4):
        return f"a TIFF of {of}; colour is read in 8 or 16 bits of unsigned integers. {_ADVICE['numbers']}"
    return f"a TIFF of {of}, and only grey (1 band), RGB (3) and RGBA or CMYK (4) are read. {_ADVICE['bands']}"


def compression_of(tags: Any) -> str:
    """How the sentence goes on for a compression that Pillow does not know or was built without; "" for any other."""
    number = tags.get(COMPRESSION, 1)
    if number in COMPRESSION_INFO and number not in _OFTEN_MISSING:
        return ""
    name = _NAMES.get(number) or COMPRESSION_INFO.get(number, f"number {number}")
    return (
        f"a TIFF with the compression {name}, which the Pillow installed here cannot read. Save it without compression."
    )


def described_jpeg(content: bytes) -> str:
    """How the sentence goes on for a kind of JPEG that no ordinary decoder takes; "" for any other, and for damaged ones."""
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            bits, kind = content[at + 4], _FRAMES[marker]
            if kind:
                return f"a {kind} JPEG, which is not read here. Save it as an ordinary JPEG or as a PNG."
            return f"a JPEG of {bits} bits a value; 8 are read. Save it as a PNG." if bits in (12, 16) else ""
        at += 2 + length
    return ""


# Markers that begin a frame: "" for those that decoders take.
_FRAMES = {0xC0: "", 0xC1: "", 0xC2: "", 0xC3: "lossless", 0xF7: "lossless (JPEG-LS)"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)
_NAMES = {34887: "LERC", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}
# Compressions that libtiff has only where other libraries were there when it was built.
_OFTEN_MISSING = {34712, 34887, 34925, 50000, 50001, 50002}


def _tags(content: bytes) -> Any:
    big = content[2:3] in (b"+",) or content[3:4] in (b"+",)
    tags = ImageFileDirectory_v2(content[: 16 if big else 8])
    stream = io.BytesIO(content)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def _whole(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in (value if isinstance(value, tuple) else (value,)))
