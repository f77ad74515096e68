"""Values of more than 8 bits: one rule for every format, and files that are sound and not read are named for what they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.images import zoo
from vitviz.errors import ImageError
from vitviz.images import load_image, read_image

RAMP = np.array([[0, 1, 1000, 2048, 4095]])


def grey(content: bytes) -> list[int]:
    pixels = np.asarray(load_image(content))
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0].ravel().tolist()


def big_endian(values: np.ndarray) -> list[bytes]:
    return [row.astype(">u2").tobytes() for row in values.reshape(len(values), -1)]


def rgb_tiff(values: np.ndarray, sample_format: int = 1, **tags: int) -> bytes:
    height, width, bands = values.shape
    content = values.tobytes()
    own = {
        256: width,
        257: height,
        258: (8 * values.itemsize,) * bands,
        259: 1,
        262: 2,
        273: -1,
        277: bands,
        278: height,
    }
    own |= {279: len(content), 284: 1, 339: (sample_format,) * bands}
    return zoo.tiff(own | {int(tag): value for tag, value in tags.items()}, content)


def in_every_format(values: np.ndarray) -> dict[str, bytes]:
    """The same whole numbers from 0 to 32,767 in everything that can hold them."""
    found = {
        "16-bit PNG": zoo.encoded(values.astype(np.uint16), "PNG"),
        "uint16": zoo.grey_tiff(values.astype(np.uint16), 16),
        "int16": zoo.grey_tiff(values.astype(np.int16), 16, sample_format=2),
        "uint32": zoo.grey_tiff(values.astype(np.uint32), 32),
        "int32": zoo.grey_tiff(values.astype(np.int32), 32, sample_format=2),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        packed = io.BytesIO()
        Image.fromarray(values.astype(np.uint16)).save(packed, "TIFF", compression=compression)
        found[compression] = packed.getvalue()
    return found


@pytest.mark.parametrize("format", in_every_format(RAMP))
def test_12_bits_are_shown_the_same_whatever_holds_them(format):
    """By hand: value * 255 / 4095."""
    content = in_every_format(RAMP)[format]
    assert grey(content) == [0, 0, 62, 128, 255]
    assert read_image(content)[1] == "Its values fit into 12 bits, so 4,095 is shown white."


@settings(max_examples=40, deadline=None)
@given(bits=st.sampled_from([8, 10, 12, 14, 15]), seed=st.integers(0, 999))
def test_any_depth_in_any_format(bits, seed):
    """The same picture as the values divided by the full scale of 8, 10, 12, 14 or 16 bits, whichever first holds them."""
    values = np.random.default_rng(seed).integers(0, 1 << bits, (3, 4))
    full = next(2**depth - 1 for depth in (8, 10, 12, 14, 16) if values.max() < 2**depth)
    expected = np.floor(values * 255 / full + 0.5).astype(int).ravel()
    for name, content in in_every_format(values).items():
        assert np.abs(np.array(grey(content)) - expected).max() <= (0 if name in ("uint16", "16-bit PNG") else 1), name


def test_a_picture_that_fills_16_bits_is_what_8_bits_show():
    photo = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    photo[0, 0] = 255
    deep = photo.astype(np.uint16) * 257
    assert (np.asarray(load_image(zoo.png(5, 6, 16, 2, big_endian(deep)))) == photo).all()
    assert read_image(zoo.png(5, 6, 16, 2, big_endian(deep)))[1] == ""


@pytest.mark.parametrize("colour_type", [2, 4, 6])
@pytest.mark.parametrize("shift", [0, 2, 4, 6])
def test_colour_and_alpha_of_fewer_bits_than_16(colour_type, shift):
    """A photograph of 8 bits, moved up by a camera's bits: 8, 10, 12 and 14 in a PNG of 16."""
    channels = {2: 3, 4: 1, 6: 3}[colour_type]
    photo = np.random.default_rng(shift).integers(0, 256, (4, 5, channels))
    photo[0, 0] = 255
    deep = np.floor(photo * (2 ** (8 + shift) - 1) / 255 + 0.5).astype(np.uint16)
    if colour_type != 2:
        deep = np.concatenate([deep, np.full((4, 5, 1), 65535, np.uint16)], axis=2)
    pixels = np.asarray(load_image(zoo.png(5, 4, 16, colour_type, big_endian(deep))))
    assert (pixels == photo).all()


def test_half_transparent_colour_of_12_bits():
    deep = np.array([[[4095, 0, 0, 32768], [0, 4095, 0, 65535], [0, 0, 4095, 0]]], np.uint16)
    pixels = np.asarray(load_image(zoo.png(3, 1, 16, 6, big_endian(deep))))[0].tolist()
    assert pixels[1:] == [[0, 255, 0], [255, 255, 255]] and abs(pixels[0][1] - 127) <= 1


def test_colour_of_12_bits_in_a_tiff():
    values = np.random.default_rng(1).integers(0, 4096, (3, 4, 3))
    values[0, 0] = 4095
    assert (np.asarray(load_image(rgb_tiff(values.astype("<u2")))) == np.floor(values * 255 / 4095 + 0.5)).all()


@pytest.mark.parametrize(
    ("values", "bits", "kind", "expected"),
    [
        (np.array([[-100, 0, 100]], np.int8), 8, 2, [0, 128, 255]),
        (np.array([[0, 60, 127]], np.int8), 8, 2, [0, 60, 127]),
        (np.array([[-1000, 0, 1000]], np.int16), 16, 2, [0, 128, 255]),
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), 32, 1, [0, 128, 255]),
        (np.array([[10**6, 10**6 + 51, 10**6 + 255]], np.int32), 32, 2, [0, 51, 255]),
        (np.array([[7, 7]], np.uint16), 16, 1, [7, 7]),
        (np.array([[0, 0]], np.uint16), 16, 1, [0, 0]),
    ],
)
def test_signed_and_large_values(values, bits, kind, expected):
    assert grey(zoo.grey_tiff(values, bits, sample_format=kind)) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (rgb_tiff(np.zeros((4, 4, 13), np.uint16)), "13 bands of 16-bit unsigned integers"),
        (rgb_tiff(np.zeros((4, 4, 2), np.uint16)), "2 bands of 16-bit"),
        (rgb_tiff(np.zeros((4, 4, 8), np.float32), 3), "8 bands of 32-bit floats"),
        (rgb_tiff(np.zeros((4, 4, 3), np.float32), 3), "3 bands of 32-bit floats"),
        (rgb_tiff(np.zeros((4, 4, 3), np.int16), 2), "3 bands of 16-bit signed integers"),
        (zoo.grey_tiff(np.zeros((4, 4)), 64, sample_format=3), "64-bit floats"),
        (zoo.grey_tiff(np.zeros((4, 4), np.float16), 16, sample_format=3), "16-bit floats"),
        (zoo.grey_tiff(np.zeros((4, 4), np.uint64), 64), "64-bit unsigned"),
        (zoo.grey_tiff(np.zeros((4, 4), np.complex64), 64, sample_format=6), "64-bit complex floats"),
    ],
)
def test_a_tiff_that_is_no_picture_is_named_for_what_it_is(content, words):
    with pytest.raises(ImageError, match=rf"{words}.*PNG") as caught:
        load_image(content)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(("number", "name"), [(34887, "LERC"), (34712, "JPEG 2000"), (9999, "number 9999")])
def test_a_compression_that_is_not_read_is_named(number, name):
    tags = {256: 4, 257: 4, 258: 8, 259: number, 262: 1, 273: -1, 277: 1, 278: 4, 279: 16}
    with pytest.raises(ImageError, match=f"compression {name}.*without compression"):
        load_image(zoo.tiff(tags, bytes(16)))


@pytest.mark.parametrize(
    ("marker", "bits", "words"), [(0xC0, 12, "12 bits a value"), (0xC3, 8, "lossless"), (0xF7, 8, "JPEG-LS")]
)
def test_a_jpeg_of_another_kind_is_named(marker, bits, words):
    jpeg = bytearray(zoo.encoded(Image.new("RGB", (16, 16)), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 1], jpeg[at + 4] = marker, bits
    with pytest.raises(ImageError, match=words):
        load_image(bytes(jpeg))


def test_a_tiff_that_is_cut_short_is_still_damaged():
    with pytest.raises(ImageError, match="damaged or cut short"):
        load_image(zoo.grey_tiff(np.zeros((40, 40), np.uint16), 16)[:-100])
