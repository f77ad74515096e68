"""`load_image` shows a picture right or says in one sentence why not: formats, orientations, limits, damage."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin, features

from tests.images import zoo
from tests.images.checks import FILES, MIDDLES, SHOWN, pixels_of, refusal
from vitviz import image_hash, load_image
from vitviz.errors import ImageError
from vitviz.images import MAX_BYTES, formats

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged files


def assert_loads_or_refuses(content: bytes) -> None:
    """Any other exception than ImageError goes through and fails the test."""
    with contextlib.suppress(ImageError):
        pixels_of(content)


def assert_shows_quadrants(source: object, tolerance: int) -> None:
    found = pixels_of(source)
    assert found.shape == SHOWN.shape
    for middle in MIDDLES:
        assert np.abs(found[middle].astype(int) - SHOWN[middle]).max() <= tolerance, middle


class TestFormats:
    @pytest.mark.parametrize("name", zoo.WRITERS)
    def test_each_is_read(self, name: str) -> None:
        write, tolerance = zoo.WRITERS[name]
        assert_shows_quadrants(write(SHOWN), tolerance)
        if tolerance == 0:
            assert (pixels_of(write(SHOWN)) == SHOWN).all()

    @pytest.mark.parametrize("name", ["holiday.pdf", "holiday.txt", "holiday.eps", "holiday"])
    def test_the_content_decides_and_not_the_name(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(zoo.encoded(SHOWN, "PNG"))
        assert (pixels_of(path) == SHOWN).all()

    @pytest.mark.parametrize("form", ["EPS", "PDF", "PPM", "ICO", "TGA", "JPEG2000", "PCX"])
    def test_others_are_refused_though_pillow_knows_them(self, tmp_path: Path, form: str) -> None:
        path = tmp_path / "holiday.png"
        path.write_bytes(zoo.encoded(SHOWN, form))
        assert "not a picture in a format that is read here" in refusal(path)

    @pytest.mark.parametrize(
        ("form", "options"),
        [
            ("GIF", {}),
            ("PNG", {}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
        ],
    )
    def test_the_first_of_several_frames_is_shown(self, form: str, options: dict[str, object]) -> None:
        others = [Image.new("RGB", (zoo.WIDTH, zoo.HEIGHT), colour) for colour in ("black", "white", "yellow")]
        moving = zoo.encoded(SHOWN, form, save_all=True, append_images=others, **options)
        assert Image.open(io.BytesIO(moving)).n_frames == 4
        assert (pixels_of(moving) == SHOWN).all()

    @pytest.mark.parametrize("name", ["avif", "heic"])
    def test_the_compatible_brands_tell_avif_from_heic(self, name: str) -> None:
        write, tolerance = zoo.WRITERS[name]
        file = write(SHOWN)
        assert_shows_quadrants(file[:8] + b"mif1" + file[12:], tolerance)  # "some picture", as the major brand

    def test_the_first_of_several_photographs_in_one_jpeg(self) -> None:
        assert_shows_quadrants(
            zoo.encoded(SHOWN, "MPO", save_all=True, append_images=[Image.new("RGB", (80, 48))], quality=95), 6
        )

    def test_avif_without_a_decoder_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        avif = zoo.encoded(SHOWN, "AVIF")
        monkeypatch.setattr(features, "check", lambda name: name != "avif")
        assert "Convert it to JPEG" in refusal(avif)


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(
        ("form", "options"),
        [
            ("JPEG", {"quality": 95}),
            ("PNG", {}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("AVIF", {"quality": 95}),
            ("HEIF", {}),
        ],
    )
    def test_each_is_turned_upright_exactly_once(self, form: str, options: dict[str, object], orientation: int) -> None:
        stored = zoo.stored_as(SHOWN, orientation)
        assert_shows_quadrants(zoo.encoded(stored, form, exif=zoo.exif(orientation), **options), 8)

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_one_that_does_not_exist_changes_nothing(self, orientation: int) -> None:
        assert (pixels_of(zoo.encoded(SHOWN, "PNG", exif=zoo.exif(orientation))) == SHOWN).all()

    @pytest.mark.parametrize(
        "block",
        [b"", b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"],
    )
    def test_a_broken_exif_block_does_not_spoil_the_pixels(self, block: bytes) -> None:
        assert_shows_quadrants(zoo.encoded(SHOWN, "JPEG", exif=block, quality=95), 6)
        assert (pixels_of(zoo.encoded(SHOWN, "PNG", exif=block)) == SHOWN).all()

    def test_place_and_camera_are_dropped(self) -> None:
        image = load_image(zoo.encoded(SHOWN, "JPEG", exif=zoo.exif(6)))
        assert dict(image.getexif()) == {}
        assert b"Camera" not in zoo.encoded(image, "PNG")


class TestLimits:
    @pytest.fixture
    def no_decoding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def loaded(self: ImageFile.ImageFile) -> None:
            raise AssertionError("pixels were decoded")

        for decoder in (ImageFile.ImageFile, *(d for d in formats.DECODERS.values() if isinstance(d, type))):
            monkeypatch.setattr(decoder, "load", loaded)

    @pytest.mark.usefixtures("no_decoding")
    @pytest.mark.parametrize("side", [60_000, 7_072])  # 7,071 squared is just below 50 million
    @pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WebP", "JPEG"])
    def test_too_many_pixels_are_refused_by_the_header(self, form: str, side: int) -> None:
        big, small = side.to_bytes(4, "big"), side.to_bytes(4, "little")
        if form == "PNG":
            file = zoo.png(side, side, 1, 0, [b"\0"])
        elif form == "GIF":
            file = zoo.gif_of_size(side, side)
        elif form == "BMP":
            bitmap = zoo.encoded(SHOWN, "BMP")
            file = bitmap[:18] + small + small + bitmap[26:]
        elif form == "TIFF":
            file = zoo.tiff({256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: -1, 277: 1, 278: side, 279: 1}, b"\0")
        elif form == "WebP":
            side = min(side, 1 << 14)  # as large as the format goes
            lossless = zoo.encoded(SHOWN, "WEBP", lossless=True)
            file = lossless[:21] + ((side - 1) | (side - 1) << 14).to_bytes(4, "little") + lossless[25:]
        else:
            jpeg = zoo.encoded(SHOWN, "JPEG")
            at = jpeg.index(b"\xff\xc0") + 5
            file = jpeg[:at] + big[2:] + big[2:] + jpeg[at + 4 :]
        message = refusal(file)
        assert "more than 50 megapixels" in message
        assert f"{side:,} x {side:,}" in message or (form, side) == ("WebP", 1 << 14)  # refused by Pillow itself

    def test_just_below_the_limit_is_read(self) -> None:
        image = load_image(zoo.encoded(Image.new("1", (7_071, 7_071), 1), "PNG"))
        assert image.size == (7_071, 7_071)
        assert image.getpixel((7_070, 7_070)) == (255, 255, 255)

    def test_no_pixels(self) -> None:
        refusal(zoo.png(0, 0, 8, 0, []))
        refusal(zoo.png(0, 5, 8, 0, [b""] * 5))
        refusal(zoo.gif_of_size(0, 0))
        refusal(zoo.tiff({256: 0, 257: 5, 258: 8, 259: 1, 262: 1, 273: -1, 277: 1, 278: 5, 279: 1}, b"\0"))

    def test_a_stream_without_end_is_given_up(self) -> None:
        class Endless(io.RawIOBase):
            handed_over = 0

            def read(self, size: int = -1) -> bytes:
                self.handed_over += size
                assert self.handed_over < 2 * MAX_BYTES
                return bytes(size)

        assert "larger than 100 MB" in refusal(Endless())

    def test_too_many_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "holiday.png"
        with path.open("wb") as stream:
            stream.write(zoo.encoded(SHOWN, "PNG"))
            stream.truncate(MAX_BYTES + 1)
        assert "larger than 100 MB" in refusal(path)
        with path.open("rb") as stream:
            assert "larger than 100 MB" in refusal(stream)
            assert stream.tell() == 0
        assert "larger than 100 MB" in refusal(bytes(MAX_BYTES + 1))

    @pytest.mark.parametrize(
        "chunk",
        [
            (b"zTXt", b"Comment\0\0" + zoo.zlib.compress(bytes(80_000_000), 9)),
            (b"iTXt", b"Comment\0\1\0\0\0" + zoo.zlib.compress(bytes(80_000_000), 9)),
            (b"iCCP", b"profile\0\0" + zoo.zlib.compress(bytes(80_000_000), 9)),
        ],
        ids=["zTXt", "iTXt", "iCCP"],
    )
    def test_text_that_swells(self, chunk: tuple[bytes, bytes]) -> None:
        assert len(chunk[1]) < 100_000
        assert "damaged" in refusal(zoo.png(1, 1, 8, 0, [b"\0"], chunk))

    def test_many_texts_that_swell_together(self) -> None:
        chunk = (b"zTXt", b"Comment\0\0" + zoo.zlib.compress(bytes(1_000_000), 9))
        assert "damaged" in refusal(zoo.png(1, 1, 8, 0, [b"\0"], *[chunk] * 80))

    def test_a_small_tiff_of_a_huge_tile(self) -> None:
        tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: 40_000, 323: 40_000, 324: -1}
        content = zoo.zlib.compress(bytes(10_000))
        assert "oversized tiles" in refusal(zoo.tiff(tags | {325: len(content)}, content))

    def test_tiles_of_the_usual_size_are_read(self) -> None:
        content = bytes(range(256)) + bytes(256)  # two tiles of 16 x 16
        tags = {256: 20, 257: 10, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16, 325: (256, 256)}
        at = 8 + 2 + 12 * (len(tags) + 1) + 4
        found = pixels_of(zoo.tiff(tags | {324: (at, at + 256)}, content))
        assert found.shape == (10, 20, 3)
        assert found[9, 15, 0] == 159
        assert found[9, 16, 0] == 0

    def test_a_progressive_jpeg_of_endless_scans(self) -> None:
        assert load_image(zoo.jpeg_of_scans(20)).size == (512, 512)
        assert "scans" in refusal(zoo.jpeg_of_scans(8_000))

    def test_a_heic_that_lies_about_its_size(self) -> None:
        heic = zoo.encoded(Image.new("RGB", (500, 250)), "HEIF")
        size = (500).to_bytes(4, "big") + (250).to_bytes(4, "big")
        assert heic.count(size) == 1
        refusal(heic.replace(size, (40).to_bytes(4, "big") * 2))

    def test_a_picture_that_is_larger_once_it_is_decoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """libheif refuses a coded size that is not its header's; the check after decoding relies on no such thing."""

        class Growing(formats.PngImageFile):
            def load(self) -> object:
                loaded = super().load()
                self._size = (20_000, 20_000)
                return loaded

        monkeypatch.setitem(formats.DECODERS, "PNG", Growing)
        assert "has more than 50 megapixels (20,000 x 20,000)" in refusal(zoo.encoded(SHOWN, "PNG"))

    def test_of_endless_frames_only_the_first_is_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moving = zoo.encoded(SHOWN, "GIF")
        frame = moving[moving.index(b",") : -1]
        file = moving[:-1] + frame * 20_000 + b";"
        seeks: list[int] = []
        monkeypatch.setattr(formats.GifImageFile, "seek", lambda self, frame: seeks.append(frame))
        assert (pixels_of(file) == SHOWN).all()
        assert not any(seeks)

    def test_of_endless_directories_only_the_first_is_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        file = zoo.grey_tiff(SHOWN[..., 0], 8)
        at, start = 10 + 12 * file[8], len(file)  # where the first names the next, and where they begin
        nexts = [*range(start + 18, start + 18 * 20_000, 18), start]  # the last leads to the first
        more = b"".join(struct.pack("<HHHIII", 1, 256, 4, 1, 9, there) for there in nexts)
        loaded: list[int] = []
        real = formats.ImageFileDirectory_v2.load
        monkeypatch.setattr(
            formats.ImageFileDirectory_v2, "load", lambda self, stream: loaded.append(1) or real(self, stream)
        )
        found = pixels_of(file[:at] + struct.pack("<I", start) + file[at + 4 :] + more)
        assert (found == SHOWN[..., :1]).all()
        assert len(loaded) < 10

    @pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF"])
    @pytest.mark.parametrize("tail", [b"PK\3\4 PK\5\6", b"<svg onload='x'/>", b"%PDF-1.7 trailer", b"\xff\xd8\xff\xe0"])
    def test_what_is_another_file_as_well_is_the_picture_that_it_begins_as(self, form: str, tail: bytes) -> None:
        assert (pixels_of(zoo.encoded(SHOWN, form) + tail + bytes(100)) == SHOWN).all()


DAMAGED = {
    "text": b"once upon a time",
    "html": b"<!DOCTYPE html><html><img src='cat.png'></html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "zip": b"PK\3\4" + bytes(60),
    "film": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(60),
    "noise": bytes(np.random.default_rng(1).integers(0, 256, 5_000, dtype=np.uint8)),
    "zeros": bytes(5_000),
    "only a jpeg's beginning": b"\xff\xd8\xff\xe0",
    "only a png's beginning": b"\x89PNG\r\n\x1a\n",
    "only a gif's beginning": b"GIF89a",
    "a word that begins like a bitmap": b"BMW has made this car since 1975, and people like it",
    "only a tiff's beginning": b"II*\0\x08\0\0\0",
    "a tiff that points at itself": b"II*\0\x08\0\0\0\1\0" + bytes(12) + b"\x08\0\0\0",
    "only a webp's beginning": b"RIFF\x10\0\0\0WEBPVP8L",
    "an empty heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "an empty avif": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    "png without pixels": zoo.png(4, 4, 8, 0, []),
    "png of an unknown colour type": zoo.png(4, 4, 8, 5, [b"1234"] * 4),
    "png without its palette": zoo.png(4, 1, 8, 3, [b"1234"])[:20],
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGED)
    def test_fakes(self, name: str) -> None:
        refusal(DAMAGED[name])

    @pytest.mark.parametrize("name", zoo.WRITERS)
    def test_cut_short_anywhere(self, name: str) -> None:
        noise = np.random.default_rng(2).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        whole = zoo.WRITERS[name][0](noise)
        expected = pixels_of(whole)
        cuts = {
            *range(1, 64, 7),
            *np.linspace(64, len(whole) - 1, 40).astype(int).tolist(),
            *range(len(whole) - 12, len(whole)),
        }
        refused = 0
        for cut in sorted(cuts):
            try:
                found = pixels_of(whole[:cut])
            except ImageError:
                refused += 1
            else:
                assert np.array_equal(found, expected), f"{cut} of {len(whole)} bytes show another picture"
        assert refused > 45

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        name=st.sampled_from(sorted(zoo.WRITERS)),
        changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
        early=st.booleans(),
    )
    def test_changed_bytes_load_or_are_refused(self, name: str, changes: list[tuple[float, int]], early: bool) -> None:
        file = bytearray(FILES[name])
        reach = min(len(file), 200) if early else len(file)  # headers are where the trouble is
        for place, value in changes:
            file[int(place * reach)] = value
        assert_loads_or_refuses(bytes(file))

    @settings(max_examples=100, deadline=None)
    @given(name=st.sampled_from(sorted(zoo.WRITERS)), tail=st.binary(max_size=300), keep=st.integers(4, 40))
    def test_nonsense_after_a_right_beginning(self, name: str, tail: bytes, keep: int) -> None:
        assert_loads_or_refuses(FILES[name][:keep] + tail)


class TestNeighbours:
    """Others in the same process, who have settings of their own, notice nothing."""

    def test_no_setting_of_pillow_is_touched(self) -> None:
        def settings_of_pillow() -> tuple[object, ...]:
            return (
                Image.MAX_IMAGE_PIXELS,
                ImageFile.LOAD_TRUNCATED_IMAGES,
                PngImagePlugin.MAX_TEXT_CHUNK,
                PngImagePlugin.MAX_TEXT_MEMORY,
                sorted(Image.OPEN),
                list(Image.ID),
            )

        before = settings_of_pillow()
        for file in (*FILES.values(), *DAMAGED.values()):
            assert_loads_or_refuses(file)
        assert settings_of_pillow() == before

    @pytest.mark.filterwarnings("error")
    def test_no_warning_reaches_the_log_for_an_oversized_picture(self) -> None:
        assert "more than 50 megapixels" in refusal(zoo.png(12_000, 12_000, 1, 0, [b"\0"]))

    def test_many_threads_at_once(self) -> None:
        expected = {name: pixels_of(file) for name, file in FILES.items()}

        def load(turn: int) -> bool:
            name = sorted(FILES)[turn % len(FILES)]
            if turn % 3 == 0:
                refusal(FILES[name][:30])
            return np.array_equal(pixels_of(FILES[name]), expected[name])

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(load, range(200)))

    def test_torch_and_streamlit_stay_out(self) -> None:
        script = (
            "import sys, vitviz.images\n"
            "assert not {'torch', 'timm', 'streamlit', 'pillow_heif'} & set(sys.modules), 'a wall is down'"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


class TestHash:
    def test_is_sha256_over_mode_size_and_pixels(self) -> None:
        expected = hashlib.sha256(b"RGB 80 48\n" + SHOWN.tobytes()).hexdigest()
        assert image_hash(Image.fromarray(SHOWN)) == expected

    def test_bands_make_no_difference(self) -> None:
        tall = np.random.default_rng(5).integers(0, 256, (700, 3, 3), dtype=np.uint8)
        assert image_hash(Image.fromarray(tall)) == hashlib.sha256(b"RGB 3 700\n" + tall.tobytes()).hexdigest()

    def test_is_the_same_from_every_lossless_file(self) -> None:
        lossless = [name for name, (_, tolerance) in zoo.WRITERS.items() if tolerance == 0]
        assert len({image_hash(load_image(FILES[name])) for name in lossless}) == 1

    def test_differs_by_pixel_shape_mode_and_palette(self) -> None:
        changed = SHOWN.copy()
        changed[7, 7, 1] ^= 1
        palette = Image.new("P", (80, 48))
        other = palette.copy()
        palette.putpalette([1, 2, 3])
        other.putpalette([3, 2, 1])
        images = [
            Image.fromarray(SHOWN),
            Image.fromarray(changed),
            Image.fromarray(SHOWN.reshape(80, 48, 3)),
            Image.fromarray(SHOWN).convert("L"),
            Image.fromarray(SHOWN).convert("RGBA"),
            palette,
            other,
        ]
        assert len({image_hash(image) for image in images}) == len(images)
