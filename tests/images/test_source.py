"""What a picture is read from: paths, bytes, files and streams; and what is no source."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from tests.images import zoo
from tests.images.checks import SHOWN, pixels_of, refusal
from vitviz import load_image
from vitviz.errors import ImageError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged files


class TestSources:
    def test_path_string_and_bytes(self, tmp_path: Path) -> None:
        content = zoo.encoded(SHOWN, "PNG")
        path = tmp_path / "holiday.png"
        path.write_bytes(content)
        for source in (path, str(path), content, bytearray(content), memoryview(content)):
            assert (pixels_of(source) == SHOWN).all()

    def test_a_file_object_is_read_whole_and_left_where_it_stood(self, tmp_path: Path) -> None:
        path = tmp_path / "holiday.png"
        path.write_bytes(zoo.encoded(SHOWN, "PNG"))
        for stream in (io.BytesIO(path.read_bytes()), path.open("rb")):
            stream.seek(11)
            assert (pixels_of(stream) == SHOWN).all()
            assert stream.tell() == 11
            stream.seek(0, os.SEEK_END)
            assert (pixels_of(stream) == SHOWN).all()
            assert not stream.closed
            stream.close()

    def test_a_file_object_stays_where_it_stood_after_an_error_too(self) -> None:
        stream = io.BytesIO(b"nonsense")
        stream.seek(3)
        refusal(stream)
        assert stream.tell() == 3

    def test_a_stream_that_cannot_seek_and_hands_over_little_at_a_time(self) -> None:
        ends = os.pipe()
        with open(ends[0], "rb", buffering=0) as reader, open(ends[1], "wb") as writer:
            feeding = threading.Thread(target=lambda: (writer.write(zoo.encoded(SHOWN, "BMP")), writer.close()))
            feeding.start()
            assert (pixels_of(reader) == SHOWN).all()
            feeding.join()

    def test_wrong_objects(self, tmp_path: Path) -> None:
        for wrong in (None, 7, SHOWN, Image.fromarray(SHOWN)):
            with pytest.raises(TypeError, match="path, bytes or a binary file object"):
                load_image(wrong)
        closed = io.BytesIO(b"")
        closed.close()
        assert "closed" in refusal(closed)
        assert "binary mode" in refusal(io.StringIO("text"))

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert "does not exist" in refusal(tmp_path / "holiday.png")
        assert "is a folder" in refusal(tmp_path)
        (tmp_path / "empty.png").touch()
        assert refusal(tmp_path / "empty.png").startswith("The file 'empty.png' is empty")
        assert "is empty" in refusal(b"")
        assert "is empty" in refusal(io.BytesIO())
        refusal("")
        refusal("a\0b.png")
        refusal("x" * 5000)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "holiday.png")
        assert "not a regular file" in refusal(tmp_path / "holiday.png")

    def test_no_path_of_the_server_in_any_message_or_chained_error(self, tmp_path: Path) -> None:
        folder = tmp_path / "secret"
        folder.mkdir()
        (folder / "fake.png").write_bytes(b"nonsense")
        (folder / "cut.png").write_bytes(zoo.encoded(SHOWN, "PNG")[:60])
        (folder / "loop.png").symlink_to(folder / "loop.png")
        for name in ("fake.png", "cut.png", "loop.png", "none.png", "a\0b.png", "x" * 300):
            with pytest.raises(ImageError) as caught:
                load_image(folder / name)
            error: BaseException | None = caught.value
            while error is not None:
                assert "secret" not in str(error)
                error = error.__cause__
            with pytest.raises(ImageError) as caught, (folder / "fake.png").open("rb") as stream:
                load_image(stream)
            assert str(caught.value).startswith("The file 'fake.png' ")

    def test_names_are_made_harmless(self) -> None:
        stream = io.BytesIO(b"nonsense")
        stream.name = "C:\\secret\\ev\nil\u202egnp.exe"
        assert refusal(stream).startswith("The file 'evilgnp.exe' ")
        stream.name = "n" * 4000 + ".png"
        assert "nnnn.png' is" in refusal(stream)
