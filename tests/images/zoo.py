"""Pictures made by hand for the image tests: small, of known pixels, some of them hostile. Nothing here uses vitviz."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

# Four flat quadrants of unlike colours: each of the eight orientations shows, and lossy formats keep their middles.
RED, GREEN, BLUE, SAND = (200, 30, 40), (20, 160, 60), (30, 50, 190), (230, 200, 120)
HEIGHT, WIDTH = 48, 80


def quadrants() -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: red and green above, blue and sand below."""
    above = np.concatenate([np.full((24, 32, 3), RED), np.full((24, 48, 3), GREEN)], axis=1)
    below = np.concatenate([np.full((24, 32, 3), BLUE), np.full((24, 48, 3), SAND)], axis=1)
    return np.concatenate([above, below]).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, form: str, **options: object) -> bytes:
    """A file's bytes. `form` is one of Pillow's writers or "HEIF"."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    if form == "HEIF":
        if isinstance(block := options.get("exif"), Image.Exif):
            options["exif"] = block.tobytes()  # its orientation becomes HEIF's own rotation and mirror boxes
        pillow_heif.encode(image.mode, image.size, image.tobytes(), stream, **{"quality": 95, "chroma": 444} | options)
    else:
        image.save(stream, form, **options)
    return stream.getvalue()


# How each format is written here, and by how much its quadrants' middles may then be off.
WRITERS: dict[str, tuple[Callable[[np.ndarray], bytes], int]] = {
    "png": (lambda pixels: encoded(pixels, "PNG"), 0),
    "bmp": (lambda pixels: encoded(pixels, "BMP"), 0),
    "tiff": (lambda pixels: encoded(pixels, "TIFF"), 0),
    "tiff-lzw": (lambda pixels: encoded(pixels, "TIFF", compression="tiff_lzw"), 0),
    "tiff-deflate": (lambda pixels: encoded(pixels, "TIFF", compression="tiff_adobe_deflate"), 0),
    "tiff-big": (lambda pixels: encoded(pixels, "TIFF", big_tiff=True), 0),
    "tiff-jpeg": (lambda pixels: encoded(pixels, "TIFF", compression="jpeg", quality=95), 6),
    "gif": (lambda pixels: encoded(pixels, "GIF"), 0),
    "webp-lossless": (lambda pixels: encoded(pixels, "WEBP", lossless=True), 0),
    "webp": (lambda pixels: encoded(pixels, "WEBP", quality=95), 6),
    "jpeg": (lambda pixels: encoded(pixels, "JPEG", quality=95), 6),
    "jpeg-progressive": (lambda pixels: encoded(pixels, "JPEG", quality=95, progressive=True), 6),
    "avif": (lambda pixels: encoded(pixels, "AVIF", quality=95, subsampling="4:4:4"), 6),
    "heic": (lambda pixels: encoded(pixels, "HEIF"), 6),
}


def exif(orientation: int) -> Image.Exif:
    """An EXIF block with an orientation, a camera and a place, as telephones write it."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Camera"
    block.get_ifd(0x8825)[2] = (52.0, 22.0, 12.0)  # latitude
    return block


def stored_as(shown: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores for `shown`, element by element from the EXIF 2.3 table of where row 0 and column 0 lie."""
    height, width = shown.shape[:2]
    source: Callable[[int, int], tuple[int, int]] = {
        1: lambda r, c: (r, c),  # row 0 top, column 0 left
        2: lambda r, c: (r, width - 1 - c),  # top, right
        3: lambda r, c: (height - 1 - r, width - 1 - c),  # bottom, right
        4: lambda r, c: (height - 1 - r, c),  # bottom, left
        5: lambda r, c: (c, r),  # left, top
        6: lambda r, c: (c, width - 1 - r),  # right, top
        7: lambda r, c: (height - 1 - c, width - 1 - r),  # right, bottom
        8: lambda r, c: (height - 1 - c, r),  # left, bottom
    }[orientation]
    rows, columns = (width, height) if orientation >= 5 else (height, width)
    return np.array([[shown[source(r, c)] for c in range(columns)] for r in range(rows)], dtype=np.uint8)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: Iterable[bytes], *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG chunk by chunk, in depths and colour types that common writers lack; `extra` comes before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        *extra,
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def tiff(tags: dict[int, int | tuple[int, ...]], content: bytes) -> bytes:
    """A little-endian TIFF tag by tag, all of them 32-bit; the value -1 stands for where `content` lies."""
    at = 8 + 2 + 12 * len(tags) + 4
    directory, overflow = b"", b""
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = b"".join(struct.pack("<I", at if v == -1 else v) for v in values)
        if len(values) > 1:
            place = at + len(content) + len(overflow)
            overflow += packed
            packed = struct.pack("<I", place)
        directory += struct.pack("<HHI", tag, 4, len(values)) + packed
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + directory + b"\0\0\0\0" + content + overflow


def grey_tiff(values: np.ndarray, bits: int, photometric: int = 1, sample_format: int = 1) -> bytes:
    """Grey of any depth in one strip; `photometric` 0 means that 0 is white."""
    height, width = values.shape
    content = values.tobytes() if bits != 12 else _packed_12_bit(values)
    layout = {256: width, 257: height, 258: bits, 262: photometric, 339: sample_format}
    return tiff(layout | {259: 1, 273: -1, 277: 1, 278: height, 279: len(content)}, content)


def _packed_12_bit(values: np.ndarray) -> bytes:
    bits = "".join(f"{int(value):012b}" for value in values.ravel())
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB whose red and green primaries have changed places: what is stored as red is green to the eye."""
    head, rest = srgb_profile()[:400], srgb_profile()[400:]
    return head.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ") + rest


def shifted_profile(shift: int) -> bytes:
    """sRGB whose red primary has `shift` / 65536 less of X."""
    profile = bytearray(srgb_profile())
    entry = profile.index(b"rXYZ")
    (at,) = struct.unpack_from(">I", profile, entry + 4)
    (x,) = struct.unpack_from(">i", profile, at + 8)
    struct.pack_into(">i", profile, at + 8, x - shift)
    return bytes(profile)


def linear_profile() -> bytes:
    """sRGB's primaries with gamma 1."""
    profile = bytearray(srgb_profile())
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        (at,) = struct.unpack_from(">I", profile, profile.index(tag) + 4)
        profile[at : at + 12] = b"curv" + bytes(8)  # no entries: the identity
    return bytes(profile)


def linear_grey_profile() -> bytes:
    """Grey with gamma 1."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": b"curv" + bytes(8)})  # a curve of no entries is the identity


def ink_profile() -> bytes:
    """CMYK in which cyan alone is a middle grey, black is black, and the other inks are invisible."""
    inks = [(c, k) for c in (0, 1) for _ in range(4) for k in (0, 1)]  # the corners, the last ink changing fastest
    corners = b"".join(bytes([0 if k else 128 if c else 255, 128, 128]) for c, k in inks)  # Lab, 8 bits each
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + corners + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table, b"A2B1": table})


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC 2 profile from the contents of its tags; those that every profile needs are added."""
    white = struct.pack(">iii", 63190, 65536, 54061)  # D50 in 15.16 fixed point
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": b"XYZ \0\0\0\0" + white} | tags
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, kind, space, connection)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def gif_of_size(width: int, height: int) -> bytes:
    """A GIF whose one frame claims to be that large."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0" + b"\x02\x02\x4c\x01\0" + b";"


def jpeg_without_adobe_marker(jpeg: bytes) -> bytes:
    """Cuts the APP14 segment out of a JPEG."""
    at = jpeg.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", jpeg, at + 2)
    return jpeg[:at] + jpeg[at + 2 + length :]


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG that repeats one of its scans until it has at least that many."""
    jpeg = encoded(Image.new("L", (512, 512), 128), "JPEG", progressive=True)
    starts = [at for at in range(len(jpeg)) if jpeg[at : at + 2] == b"\xff\xda"]
    return jpeg[:-2] + jpeg[starts[1] : starts[2]] * scans + jpeg[-2:]


def jpeg_of_exif_parts(parts: int, size: int = 65_000) -> bytes:
    """A sound JPEG whose EXIF block goes on over so many segments: a reader that joins them one by one copies all of what it
    has each time.
    """
    jpeg = encoded(quadrants(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", size + 8) + b"Exif\0\0" + bytes(size)
    return jpeg[:2] + segment * parts + jpeg[2:]


def jpeg_of_fill_bytes(count: int) -> bytes:
    """A sound JPEG with so many fill bytes, which the format allows, in front of one marker."""
    jpeg = encoded(quadrants(), "JPEG")
    return jpeg[:2] + b"\xff" * count + jpeg[2:]


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of 8 bits, run-length encoded, whose runs are these bytes."""
    palette = bytes(4 * 256)
    at = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", at + len(runs), 0, 0, at) + info + palette + runs


def bmp_of_line_ends(lines: int) -> bytes:
    """A small BMP that claims 49 megapixels and has one pixel in each line: a decoder written in Python fills the lines up byte
    by byte.
    """
    return bmp_of_runs(7_000, 7_000, b"\x01\x01\0\0" * lines)


def flat_webp(width: int, height: int) -> bytes:
    """A WebP of one colour: a few hundred bytes, whatever its size."""
    return encoded(Image.new("RGB", (width, height), SAND), "WEBP", lossless=True, method=0)


def mutated(content: bytes, seed: int) -> bytes:
    """A file with a few bytes changed, put in, taken out, repeated or cut off, told by the seed alone."""
    random = np.random.default_rng(seed)
    found = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        at = int(random.integers(0, max(1, min(len(found), 4096 if random.random() < 0.7 else len(found)))))
        length = int(random.integers(1, 17))
        kind = int(random.integers(0, 6))
        if kind == 0:
            found[at : at + 1] = random.bytes(1)
        elif kind == 1:
            found[at:at] = random.bytes(length)
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:  # the largest and the smallest numbers
            found[at : at + 4] = (b"\xff" if random.random() < 0.5 else b"\0") * 4
        elif kind == 4:
            found[at:at] = found[at : at + length] * int(random.integers(1, 200))
        else:
            del found[max(at, 16) :]
    return bytes(found)
