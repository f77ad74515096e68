"""One allowed decoder, chosen by the content, with every limit checked before it may touch a pixel."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from PIL import ExifTags, Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vitviz.errors import ImageError
from vitviz.images.depth import raw_mode, sixteen_bits
from vitviz.images.unread import compression_of, described_jpeg, described_tiff

MAX_PIXELS = 50_000_000
# Under this key of `info` lie the values of a picture of 16 bits a channel that does not fill them.
DEEP = "vitviz 16 bits"
# A progressive JPEG may visit every pixel in each of any number of scans; cameras and encoders write about ten.
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

# Pillow's plugins are called by class and not through Image.open: no other decoder can be reached (some start an
# interpreter), no file name has a say, and neither Pillow's registry nor its warnings are involved.
_DECODERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
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
    """The format that the first bytes announce, one of those allowed, or None."""
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
    """The first frame, decoded, in whatever mode the file has.

    Raises ImageError for a format that is not allowed and for a limit passed; anything at all for damaged bytes.
    """
    name = format_of(content)
    if name is None:
        known = ", ".join(list(_DECODERS)[:-1])
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
    values = sixteen_bits(image, deep, lambda: _DECODERS[name](io.BytesIO(content)))
    if values is not None:
        image.info[DEEP] = values
        if exact is not None:
            image.info["transparency"] = exact
    return image


def _opened(name: str, content: bytes, subject: str) -> ImageFile:
    try:
        return _DECODERS[name](io.BytesIO(content))
    except (SyntaxError, ValueError, OSError, TypeError, KeyError) as error:
        # A TIFF may hold numbers of any kind in any number of bands, a JPEG 12 bits: sound, and not read here.
        describe = {"TIFF": described_tiff, "JPEG": described_jpeg}.get(name)
        if describe is not None and (what := describe(content)):
            raise ImageError(f"{subject} is {what}") from error
        raise


def upright(pixels: Image.Image, original: Image.Image) -> Image.Image:
    """`pixels` turned and mirrored as the EXIF orientation of the file it came from asks for, as a plain image."""
    turn = None
    # A broken EXIF block, which fails in many ways, is no reason to refuse sound pixels.
    with contextlib.suppress(Exception):
        turn = _UPRIGHT.get(original.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is not None:
        pixels = pixels.transpose(turn)
    elif pixels is original:
        pixels = pixels.copy()  # lets go of the file and its bytes
    pixels.info = {}
    return pixels


def _heif(stream: io.BytesIO) -> ImageFile:
    from pillow_heif import HeifImageFile  # only for those who bring one: loading libheif takes a moment

    return HeifImageFile(stream)


def _check_size(size: tuple[int, int], subject: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(subject, f" ({width:,} x {height:,})"))


def _too_large(subject: str, size: str = "") -> str:
    return f"{subject} has more than {MAX_PIXELS // 1_000_000} megapixels{size}. Scale it down and try again."


def _check_effort(image: ImageFile, content: bytes, subject: str) -> None:
    """Refuses small files that would make a decoder work or allocate far beyond the pixels they show."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if tags.get(TILEWIDTH, 1) * tags.get(TILELENGTH, 1) > MAX_PIXELS:  # libtiff allocates whole tiles, even where empty
        raise ImageError(f"{subject} is a TIFF with oversized tiles. Save it again without them.")
    if image.info.get("progressive"):
        scans = content.count(b"\xff\xda")  # "start of scan"; cannot occur within coded pixels
        if scans * image.width * image.height > MAX_SCANNED_PIXELS:
            raise ImageError(
                f"{subject} is a JPEG with {scans:,} scans, too many to decode. Save it again as an ordinary one."
            )


def _match_transparency(image: ImageFile) -> None:
    """A PNG's transparent colour, which Pillow keeps in the file's bit depth, in the 8 bits of the pixels it makes."""
    value = image.info.get("transparency")
    if not isinstance(image, PngImageFile) or not image.tile:
        return
    depth = image.tile[0].args
    if depth == "RGB;16B" and isinstance(value, tuple):
        image.info["transparency"] = tuple(channel >> 8 for channel in value)
    elif depth in ("L;2", "L;4") and isinstance(value, int):
        image.info["transparency"] = value * (85 if depth == "L;2" else 17)
