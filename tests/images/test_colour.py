"""Colours as a viewer shows them: modes, transparency and profiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.images import zoo
from tests.images.checks import MIDDLES, SHOWN, pixels_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged files


def row_of(source: object) -> list[tuple[int, int, int]]:
    return [tuple(int(channel) for channel in pixel) for pixel in pixels_of(source)[0]]


def greys_of(source: object) -> list[int]:
    row = row_of(source)
    assert all(len(set(pixel)) == 1 for pixel in row)
    return [pixel[0] for pixel in row]


class TestModes:
    def test_one_bit(self) -> None:
        assert greys_of(zoo.encoded(Image.fromarray(np.array([[True, False, True]])), "PNG")) == [255, 0, 255]
        assert greys_of(zoo.encoded(Image.fromarray(np.array([[True, False, True]])), "TIFF")) == [255, 0, 255]

    def test_grey(self) -> None:
        assert greys_of(zoo.encoded(np.array([[0, 77, 255]], np.uint8), "PNG")) == [0, 77, 255]

    @pytest.mark.parametrize("depth", [2, 4])
    def test_grey_of_few_bits(self, depth: int) -> None:
        assert (
            greys_of(zoo.png(2, 1, depth, 0, [{2: b"\x60", 4: b"\x3a"}[depth]])) == {2: [85, 170], 4: [51, 170]}[depth]
        )

    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    def test_16_bit_grey_is_scaled_and_not_clipped(self, form: str) -> None:
        values = np.array([[0, 255, 257, 32768, 65278, 65535]], np.uint16)
        # v * 255 / 65535 = v / 257
        assert greys_of(zoo.encoded(values, form)) == [0, 1, 1, 128, 254, 255]

    def test_16_bit_grey_in_the_other_byte_order(self) -> None:
        image = Image.frombytes("I;16B", (3, 1), b"\x00\x00\x80\x00\xff\xff")
        assert greys_of(zoo.encoded(image, "TIFF")) == [0, 128, 255]

    def test_12_bit_grey_uses_its_own_full_scale(self) -> None:
        assert greys_of(zoo.grey_tiff(np.array([[0, 1000, 2048, 4095]]), 12)) == [0, 62, 128, 255]

    def test_16_bit_grey_whose_zero_is_white(self) -> None:
        assert greys_of(zoo.grey_tiff(np.array([[0, 257, 65535]], np.uint16), 16, photometric=0)) == [255, 254, 0]

    def test_32_bit_grey_is_stretched_over_its_values(self) -> None:
        values = np.array([[-70000, 0, 35000, 70000]], np.int32)
        assert greys_of(zoo.grey_tiff(values, 32, sample_format=2)) == [0, 128, 191, 255]

    def test_floats_within_0_and_1_are_taken_as_they_are(self) -> None:
        assert greys_of(zoo.encoded(np.array([[0.2, 0.6]], np.float32), "TIFF")) == [51, 153]

    def test_other_floats_are_stretched(self) -> None:
        assert greys_of(zoo.encoded(np.array([[-20.0, 230.0, 480.0]], np.float32), "TIFF")) == [0, 128, 255]
        assert greys_of(zoo.grey_tiff(np.array([[-20.0, 230.0, 480.0]], np.float32), 32, 0, 3)) == [255, 127, 0]

    def test_what_is_not_a_number_is_black_and_infinity_is_the_end(self) -> None:
        values = np.array([[np.nan, -np.inf, 0.6, np.inf]], np.float32)
        assert greys_of(zoo.encoded(values, "TIFF")) == [0, 0, 153, 255]
        assert greys_of(zoo.encoded(np.full((1, 2), np.nan, np.float32), "TIFF")) == [0, 0]
        assert greys_of(zoo.encoded(np.full((1, 2), 7.0, np.float32), "TIFF")) == [0, 0]

    def test_16_bit_colour(self) -> None:
        pixel = b"\x12\x34\x56\x78\x9a\xbc"
        assert row_of(zoo.png(1, 1, 16, 2, [pixel])) == [(0x12, 0x56, 0x9A)]

    def test_palette(self) -> None:
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
        image.putpalette([*zoo.RED, *zoo.GREEN, *zoo.BLUE])
        for form in ("PNG", "GIF", "BMP", "TIFF"):
            assert row_of(zoo.encoded(image, form)) == [zoo.RED, zoo.GREEN, zoo.BLUE], form

    @pytest.mark.parametrize("form", ["TIFF", "JPEG"])
    def test_cmyk(self, form: str) -> None:
        image = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
        assert pixels_of(zoo.encoded(image, form))[16, 16].tolist() == [255, 0, 0]

    def test_cmyk_jpeg_is_upside_down_only_if_adobe_wrote_it(self) -> None:
        ink = Image.new("CMYK", (32, 32), (0, 255, 255, 64))
        by_adobe = zoo.encoded(ink, "JPEG", quality=100)
        plain = zoo.jpeg_without_adobe_marker(
            zoo.encoded(Image.eval(ink, lambda value: 255 - value), "JPEG", quality=100)
        )
        assert pixels_of(by_adobe)[16, 16].tolist() == pixels_of(plain)[16, 16].tolist() == [191, 0, 0]

    def test_lab(self) -> None:
        # sRGB (119, 119, 119) is L* = 50; Pillow keeps L* * 255 / 100, and 128 for a and b of 0
        (neutral,) = row_of(zoo.encoded(Image.new("LAB", (1, 1), (128, 128, 128)), "TIFF"))
        assert np.abs(np.subtract(neutral, 119)).max() <= 2
        (reddish,) = row_of(zoo.encoded(Image.new("LAB", (1, 1), (128, 180, 128)), "TIFF"))
        assert reddish[0] > 150 > 100 > reddish[1]

    def test_ycbcr(self) -> None:
        image = Image.new("YCbCr", (16, 16), (128, 128, 128))
        assert pixels_of(zoo.encoded(image, "TIFF"))[0, 0].tolist() == [128, 128, 128]


class TestTransparency:
    """Seen through, everything is white: shown = colour * alpha / 255 + 255 * (1 - alpha / 255)."""

    @pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
    def test_colour_with_alpha(self, form: str) -> None:
        image = Image.new("RGBA", (3, 1))
        for column, alpha in enumerate((0, 51, 255)):
            image.putpixel((column, 0), (200, 100, 0, alpha))
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        assert row_of(zoo.encoded(image, form, **options)) == [(255, 255, 255), (244, 224, 204), (200, 100, 0)]

    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    def test_grey_with_alpha(self, form: str) -> None:
        image = Image.new("LA", (3, 1))
        for column, alpha in enumerate((0, 51, 255)):
            image.putpixel((column, 0), (100, alpha))
        assert greys_of(zoo.encoded(image, form)) == [255, 224, 100]

    def test_16_bit_with_alpha(self) -> None:
        grey = b"\x64\x00\x00\x00" + b"\x64\x00\xff\xff"
        assert greys_of(zoo.png(2, 1, 16, 4, [grey])) == [255, 100]
        colour = b"\xc8\x00\x64\x00\x00\x00" + b"\x33\x00"
        assert row_of(zoo.png(1, 1, 16, 6, [colour])) == [(244, 224, 204)]

    @pytest.mark.parametrize("form", ["AVIF", "HEIF"])
    def test_photographs_with_alpha(self, form: str) -> None:
        alpha = np.full((zoo.HEIGHT, zoo.WIDTH, 1), 255, np.uint8)
        alpha[:24] = 0
        found = pixels_of(zoo.encoded(np.concatenate([SHOWN, alpha], axis=2), form)).astype(int)
        assert found[12, 16].min() >= 250
        assert np.abs(found[36, 16] - zoo.BLUE).max() <= 8

    def test_palette_with_one_clear_colour(self) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        image.putpalette([*zoo.RED, *zoo.GREEN])
        for form in ("PNG", "GIF"):
            assert row_of(zoo.encoded(image, form, transparency=0)) == [(255, 255, 255), zoo.GREEN], form

    def test_palette_with_an_alpha_for_each_colour(self) -> None:
        palette = (b"PLTE", bytes([200, 100, 0, *zoo.GREEN]))
        file = zoo.png(2, 1, 8, 3, [b"\0\1"], palette, (b"tRNS", bytes([51, 255])))
        assert row_of(file) == [(244, 224, 204), zoo.GREEN]

    def test_palette_with_alpha_beside_it(self) -> None:
        image = Image.new("PA", (2, 1))
        image.putpalette([200, 100, 0, *zoo.GREEN])
        image.putpixel((0, 0), (0, 51))
        image.putpixel((1, 0), (1, 255))
        assert row_of(zoo.encoded(image, "TIFF")) == [(244, 224, 204), zoo.GREEN]

    @pytest.mark.parametrize(
        ("depth", "row", "clear", "expected"),
        [
            (1, b"\x40", 0, [255, 255]),  # 0 is clear, 1 is white
            (1, b"\x40", 1, [0, 255]),
            (2, b"\x60", 1, [255, 170]),
            (4, b"\x3a", 3, [255, 170]),
            (8, b"\x03\x04", 3, [255, 4]),
            (16, b"\x12\x34\xff\xff", 0x1234, [255, 255]),
            (16, b"\x0f\xff\x08\x00", 0x0FFF, [255, 128]),  # 12 bits in 16: 2,048 of 4,095
        ],
    )
    def test_one_clear_grey_in_every_depth(self, depth: int, row: bytes, clear: int, expected: list[int]) -> None:
        assert greys_of(zoo.png(2, 1, depth, 0, [row], (b"tRNS", clear.to_bytes(2, "big")))) == expected

    def test_one_clear_colour(self) -> None:
        clear = (b"tRNS", b"\0\xc8\0\x64\0\x00")
        assert row_of(zoo.png(2, 1, 8, 2, [bytes([200, 100, 0, 200, 100, 1])], clear)) == [(255,) * 3, (200, 100, 1)]
        deep = b"\x12\x34\x56\x78\x9a\xbc"
        assert row_of(zoo.png(2, 1, 16, 2, [deep + b"\1\0\2\0\3\0"], (b"tRNS", deep))) == [(255,) * 3, (1, 2, 3)]


class TestProfiles:
    @pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG"])
    def test_a_profile_is_obeyed(self, form: str) -> None:
        profile = {"icc_profile": zoo.swapped_profile()}
        options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "JPEG": {"quality": 95}}.get(form, {})
        found = pixels_of(zoo.encoded(SHOWN, form, **profile, **options)).astype(int)
        for middle in MIDDLES:
            assert np.abs(found[middle] - SHOWN[middle][[1, 0, 2]]).max() <= 8, middle

    @pytest.mark.parametrize("shift", [0, 40])
    def test_srgb_changes_no_pixel_whoever_rounded_it(self, shift: int) -> None:
        colours = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        assert (pixels_of(zoo.encoded(colours, "PNG", icc_profile=zoo.shifted_profile(shift))) == colours).all()

    def test_a_profile_a_little_off_srgb_is_obeyed(self) -> None:
        (red,) = row_of(zoo.encoded(np.array([[zoo.RED]], np.uint8), "PNG", icc_profile=zoo.shifted_profile(1_000)))
        # 1000 / 65536 less of X, times 3.134 (red from X, sRGB's matrix for D50), times the light of 200, which is 0.578:
        # red's light falls by 0.028 to 0.550, and that is 195.7
        assert red[0] == pytest.approx(195.7, abs=1.5)

    def test_cmyk(self) -> None:
        # by the profile cyan ink is the grey of L* = 128 / 2.55 = 50.2, and sRGB (119, 119, 119) has L* = 50.0
        ink = zoo.encoded(Image.new("CMYK", (1, 1), (255, 0, 0, 0)), "TIFF", icc_profile=zoo.ink_profile())
        assert np.abs(np.subtract(greys_of(ink), 119)).max() <= 2

    def test_grey(self) -> None:
        # sRGB's curve at half the light: 1.055 * 0.50196 ** (1 / 2.4) - 0.055 = 0.737, times 255 is 188
        file = zoo.encoded(np.full((2, 2), 128, np.uint8), "PNG", icc_profile=zoo.linear_grey_profile())
        assert np.abs(pixels_of(file).astype(int) - 188).max() <= 1

    def test_a_colour_profile_on_grey_pixels(self) -> None:
        file = zoo.encoded(np.array([[0, 90, 255]], np.uint8), "PNG", icc_profile=zoo.srgb_profile())
        assert greys_of(file) == [0, 90, 255]
        file = zoo.encoded(np.array([[0, 128, 255]], np.uint8), "PNG", icc_profile=zoo.linear_profile())
        assert np.abs(np.subtract(greys_of(file), [0, 188, 255])).max() <= 1

    def test_with_alpha(self) -> None:
        image = Image.new("RGBA", (1, 1), (200, 30, 40, 51))
        (pixel,) = row_of(zoo.encoded(image, "PNG", icc_profile=zoo.swapped_profile()))
        # (30, 200, 40) at a fifth over white
        assert np.abs(np.subtract(pixel, (210, 244, 212))).max() <= 2

    @pytest.mark.parametrize(
        "profile",
        [
            b"x",
            b"not a profile" * 40,
            zoo.srgb_profile()[:200],
            zoo.srgb_profile()[:16] + b"CMYK" + zoo.srgb_profile()[20:],
            zoo.linear_grey_profile(),
            zoo.swapped_profile().replace(b"rXYZ", b"????"),
        ],
        ids=["one byte", "text", "cut short", "claims CMYK", "grey for colour", "red missing"],
    )
    def test_a_broken_or_unfitting_profile_is_left_aside(self, profile: bytes) -> None:
        assert (pixels_of(zoo.encoded(SHOWN, "PNG", icc_profile=profile)) == SHOWN).all()
