"""Chooses one of the allowed decoders by a file's content, and checks every limit before pixels are decoded.

For intact files of unsupported variants the message describes the variant from the file's tags or markers.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from PIL import ExifTags, Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    COMPRESSION_INFO,
    IMAGELENGTH,
    IMAGEWIDTH,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    TILELENGTH,
    TILEWIDTH,
    ImageFileDirectory_v2,
    TiffImageFile,
)
from PIL.WebPImagePlugin import WebPImageFile

from vitviz.errors import ImageError
from vitviz.images.depth import raw_mode, sixteen_bits

_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
_ADVICE = {
    "bands": "Choose three of the bands, scale them to 0 to 255 and save them as an RGB PNG.",
    "numbers": "Scale the values to 0 to 255 and save them as a PNG.",
}


def described_tiff(content: bytes) -> str:
    """The end of a sentence that begins with "The file is"; "" if the tags are damaged.

    Example: "a TIFF of 13 bands of 16-bit unsigned integers, and only grey (1), RGB (3) and CMYK or RGBA (4) are read. ..."
    """
    try:
        tags = _tags(content)
        bands = int(tags.get(SAMPLESPERPIXEL, 1))
        bits = _whole(tags.get(BITSPERSAMPLE, (1,)))
        kinds = _whole(tags.get(SAMPLEFORMAT, (1,)))
        width, height = int(tags[IMAGEWIDTH]), int(tags[IMAGELENGTH])
    except Exception:  # errors of many types on hostile bytes
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
    """The end of the sentence for a compression that this build of Pillow does not support; "" for others."""
    number = tags.get(COMPRESSION, 1)
    if number in COMPRESSION_INFO and number not in _OFTEN_MISSING:
        return ""
    name = _NAMES.get(number) or COMPRESSION_INFO.get(number, f"number {number}")
    return (
        f"a TIFF with the compression {name}, which the Pillow installed here cannot read. Save it without compression."
    )


def described_jpeg(content: bytes) -> str:
    """The end of the sentence for a JPEG variant that common decoders do not support; "" for others and damaged files."""
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


# Start-of-frame markers -> variant; "" for those that decoders support.
_FRAMES = {0xC0: "", 0xC1: "", 0xC2: "", 0xC3: "lossless", 0xF7: "lossless (JPEG-LS)"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)
_NAMES = {34887: "LERC", 34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL"}
# Compressions that libtiff supports only if built with further libraries.
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


MAX_PIXELS = 50_000_000
# Key of `info` for the values of a picture of 16 bits a channel that uses fewer.
DEEP = "vitviz 16 bits"
# A progressive JPEG may have any number of scans, each over every pixel; cameras and encoders write about ten.
MAX_SCANNED_PIXELS = 40 * MAX_PIXELS

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

# Pillow's plugins are called by class and not through Image.open, so that no other decoder can be reached (some start an
# interpreter), and file names, Pillow's registry and its warnings have no effect.
DECODERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WebP": WebPImageFile,
    "AVIF": AvifImageFile,
    "HEIC": lambda stream: _heif(stream),
}

_Turn = Image.Transpose
_UPRIGHT = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}


def format_of(content: bytes) -> str | None:
    """The allowed format whose signature the content has, or None."""
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        length = min(int.from_bytes(content[:4], "big"), 256)
        brands = {content[at : at + 4] for at in (8, *range(16, length, 4))}  # major, (version), compatible ...
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIC"
    return None


def decode(content: bytes, subject: str) -> ImageFile:
    """The first frame, decoded, in the file's own mode.

    Raises:
        ImageError: For a format that is not allowed, and for an exceeded limit.
        Exception: Errors of any type for damaged bytes.
    """
    name = format_of(content)
    if name is None:
        known = ", ".join(list(DECODERS)[:-1])
        raise ImageError(f"{subject} is not a picture in a format that is read here ({known} or HEIC).")
    if name == "AVIF" and not features.check("avif"):
        raise ImageError(f"{subject} is an AVIF, and the Pillow installed here cannot read those. Convert it to JPEG.")
    try:
        image = _opened(name, content, subject)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_too_large(subject)) from error
    _check_size(image.size, subject)
    _check_effort(image, content, subject)
    deep = raw_mode(image)
    exact = image.info.get("transparency")
    _match_transparency(image)
    try:
        image.load()
    except Exception as error:
        if what := compression_of(image.tag_v2) if isinstance(image, TiffImageFile) else described_jpeg(content):
            raise ImageError(f"{subject} is {what}") from error
        raise
    _check_size(image.size, subject)  # a HEIC's coded size may differ from its header's
    values = sixteen_bits(image, deep, lambda: DECODERS[name](io.BytesIO(content)))
    if values is not None:
        image.info[DEEP] = values
        if exact is not None:
            image.info["transparency"] = exact
    return image


def _opened(name: str, content: bytes, subject: str) -> ImageFile:
    try:
        return DECODERS[name](io.BytesIO(content))
    except (SyntaxError, ValueError, OSError, TypeError, KeyError) as error:
        # Intact but unsupported: a TIFF with other numbers of bands or types of values, a JPEG of 12 bits.
        describe = {"TIFF": described_tiff, "JPEG": described_jpeg}.get(name)
        if describe is not None and (what := describe(content)):
            raise ImageError(f"{subject} is {what}") from error
        raise


def turn_of(image: ImageFile) -> Image.Transpose | None:
    """The transposition that makes a file's pixels upright, from its EXIF orientation."""
    # A damaged EXIF block raises errors of many types; intact pixels are shown nevertheless.
    with contextlib.suppress(Exception):
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def upright(pixels: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """The transposed pixels as an image without the file's metadata."""
    if turn is not None:
        pixels = pixels.transpose(turn)
    elif isinstance(pixels, ImageFile):
        pixels = pixels.copy()  # frees the file and its bytes
    pixels.info = {}
    return pixels


def _heif(stream: io.BytesIO) -> ImageFile:
    from pillow_heif import HeifImageFile  # imported only for such a file: loading libheif takes time

    return HeifImageFile(stream)


def _check_size(size: tuple[int, int], subject: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(subject, f" ({width:,} x {height:,})"))


def _too_large(subject: str, size: str = "") -> str:
    return f"{subject} has more than {MAX_PIXELS // 1_000_000} megapixels{size}. Scale it down and try again."


def _check_effort(image: ImageFile, content: bytes, subject: str) -> None:
    """Raises ImageError for small files that would take a decoder far more time or memory than their pixels need."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if tags.get(TILEWIDTH, 1) * tags.get(TILELENGTH, 1) > MAX_PIXELS:  # libtiff allocates whole tiles, even where empty
        raise ImageError(f"{subject} is a TIFF with oversized tiles. Save it again without them.")
    if image.info.get("progressive"):
        scans = content.count(b"\xff\xda")  # "start of scan" markers, which cannot occur in coded pixels
        if scans * image.width * image.height > MAX_SCANNED_PIXELS:
            raise ImageError(
                f"{subject} is a JPEG with {scans:,} scans, too many to decode. Save it again as an ordinary one."
            )


def _match_transparency(image: ImageFile) -> None:
    """Converts a PNG's transparent colour, which Pillow keeps in the file's bit depth, to the 8 bits of decoded pixels."""
    value = image.info.get("transparency")
    if not isinstance(image, PngImageFile) or not image.tile:
        return
    depth = image.tile[0].args
    if depth == "RGB;16B" and isinstance(value, tuple):
        image.info["transparency"] = tuple(channel >> 8 for channel in value)
    elif depth in ("L;2", "L;4") and isinstance(value, int):
        image.info["transparency"] = value * (85 if depth == "L;2" else 17)
