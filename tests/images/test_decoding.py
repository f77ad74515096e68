"""`Decoders`: what a file may take, what happens to one that takes more, and what everybody else notices of it."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import fuzz_images
from tests.images import zoo
from vitviz.errors import Cancelled, ImageError
from vitviz.images import decoding, read_image
from vitviz.images.decoding import Decoders

SHOWN = zoo.quadrants()
PNG = zoo.encoded(SHOWN, "PNG")
# Files that a decoder works on for far longer than the half second that these tests allow.
SLOW = {
    "EXIF parts": lambda: zoo.jpeg_of_exif_parts(1_500),
    "fill bytes": lambda: zoo.jpeg_of_fill_bytes(20_000_000),
    "line ends": lambda: zoo.bmp_of_line_ends(7_000),
}


@pytest.fixture(scope="module", autouse=True)
def processor_time_decides() -> Iterator[None]:
    """On a machine that does other things too, whose clock would give up sound files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "PATIENCE", 60.0)
        yield


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    found = Decoders(seconds=0.5)
    found.start()
    yield found
    found.close()


@pytest.fixture(scope="module")
def usual() -> Iterator[Decoders]:
    """With the limits of the app, for what has to arrive however busy the machine is."""
    found = Decoders()
    found.start()
    yield found
    found.close()


def refusal(decoders: Decoders, content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decoders.read(content)
    return str(caught.value)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("name", zoo.WRITERS)
def test_a_picture_is_the_same_as_in_this_process(usual: Decoders, name: str) -> None:
    content = zoo.WRITERS[name][0](SHOWN)
    image, said = usual.read(content)
    expected, expected_said = read_image(content)
    assert (np.asarray(image) == np.asarray(expected)).all()
    assert said == expected_said


def test_a_tall_and_a_wide_picture_arrive_whole(usual: Decoders) -> None:
    for shape in ((1, 40_000), (40_000, 1), (1_500, 1_300)):
        pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        assert (np.asarray(usual.read(zoo.encoded(pixels, "PNG", compress_level=0))[0]) == pixels).all()


def test_what_is_refused_here_is_refused_there_in_the_same_words(usual: Decoders) -> None:
    for content in (b"", b"no picture", PNG[:60], zoo.gif_of_size(9_000, 9_000)):
        with pytest.raises(ImageError) as here:
            read_image(content)
        assert refusal(usual, content) == str(here.value)


def test_the_sentence_on_deep_values_arrives(usual: Decoders) -> None:
    content = zoo.encoded(np.array([[0, 4_095]], np.uint16), "PNG")
    assert usual.read(content)[1] == "Its values fit into 12 bits, so 4,095 is shown white."


def test_place_and_camera_stay_in_the_other_process(usual: Decoders) -> None:
    image, _ = usual.read(zoo.encoded(SHOWN, "JPEG", exif=zoo.exif(6)))
    assert image.info == {} and dict(image.getexif()) == {}
    assert image.size == (48, 80)


@pytest.mark.parametrize("name", SLOW)
def test_a_file_that_takes_too_long_is_given_up_and_its_process_replaced(decoders: Decoders, name: str) -> None:
    decoders.read(PNG)
    before = set(decoders.pids)
    assert re.fullmatch(r"The image takes longer than 0.5 seconds to decode\. .*\.", refusal(decoders, SLOW[name]()))
    after = set(decoders.pids)
    assert len(before - after) == len(after - before) == 1
    assert all(gone(pid) for pid in before - after)
    assert (np.asarray(decoders.read(PNG)[0]) == SHOWN).all()


def test_a_file_is_given_up_by_the_clock_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PATIENCE", 0.005)
    decoders = Decoders(seconds=30.0, kept=0)  # 0.15 s on the clock, of a file that takes 18 s of the processor
    assert refusal(decoders, SLOW["line ends"]()).startswith("The image takes longer than 30 seconds")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the size of a process is known on Linux only")
def test_a_file_that_takes_too_much_memory_is_refused_within_the_limit() -> None:
    decoders = Decoders(seconds=20, nbytes=100_000_000, kept=1)
    large = Image.new("RGB", (6_000, 6_000))  # 144 MB
    try:
        decoders.start()
        for content in (zoo.flat_webp(3_500, 3_500), zoo.encoded(large, "PNG", compress_level=1)):
            assert "needs more memory" in refusal(decoders, content)
        (pid,) = decoders.pids
        with open(f"/proc/{pid}/status") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024
        assert peak < 100_000_000 + 60_000_000  # and what it has when idle
        assert (np.asarray(decoders.read(PNG)[0]) == SHOWN).all()
    finally:
        decoders.close()


def test_others_do_not_wait_for_a_file_that_takes_long(decoders: Decoders) -> None:
    slow = threading.Thread(target=lambda: refusal(decoders, SLOW["line ends"]()))
    slow.start()
    time.sleep(0.1)
    assert (np.asarray(decoders.read(PNG)[0]) == SHOWN).all()
    assert slow.is_alive()
    slow.join()


def test_who_sends_five_hostile_files_waits_and_nobody_else_does() -> None:
    """One of them is decoded at a time, so that there is a place for another visitor's file however long they take."""
    decoders = Decoders(kept=1)
    looked, over, asked, ended = threading.Semaphore(0), threading.Event(), [], []

    def hold() -> None:
        looked.release()
        over.wait()  # a file under way keeps its place meanwhile, as one that the decoder works on
        raise Cancelled("the test is over")

    def hostile() -> None:
        with pytest.raises(Cancelled):
            decoders.read(SLOW["line ends"](), hold, "one visitor")
        ended.append(1)

    def patient() -> None:
        asked.append(1)
        if len(asked) > 400:
            raise Cancelled("there was no place for 20 s")

    threads = [threading.Thread(target=hostile) for _ in range(5)]
    try:
        for thread in threads:
            thread.start()
        assert all(looked.acquire(timeout=20) for _ in threads)
        assert decoders.under_way == {"one visitor": 1} and not ended
        assert (np.asarray(decoders.read(PNG, patient, "another visitor")[0]) == SHOWN).all()
    finally:
        over.set()
        for thread in threads:
            thread.join()
        decoders.close()
    assert len(ended) == 5 and not decoders.under_way, "all places are free again"


def test_files_without_a_named_sender_share_what_there_is() -> None:
    decoders = Decoders(most=2, share=1)
    place = decoders.place
    with place("", lambda: None), place("", lambda: None), pytest.raises(Cancelled), place("one", refuse_to_wait):
        pass
    assert not decoders.under_way


def refuse_to_wait() -> None:
    raise Cancelled("there is no place")


def test_a_file_that_nobody_waits_for_any_more_is_given_up(decoders: Decoders) -> None:
    asked = []

    def check() -> None:
        asked.append(time.monotonic())
        if len(asked) > 1:
            raise Cancelled("its sender left")

    decoders.read(PNG)
    before = set(decoders.pids)
    with pytest.raises(Cancelled):
        decoders.read(SLOW["line ends"](), check)
    assert len(before - set(decoders.pids)) == 1


def test_a_process_that_is_killed_is_a_sentence_and_a_new_process(decoders: Decoders) -> None:
    def kill() -> None:
        running = before - set(decoders.pids)
        for pid in running:
            os.kill(pid, signal.SIGKILL)

    decoders.read(PNG)
    before = set(decoders.pids)
    with pytest.raises(ImageError, match="made its decoder fail"):
        decoders.read(SLOW["line ends"](), kill)
    for pid in decoders.pids:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert (np.asarray(decoders.read(PNG)[0]) == SHOWN).all()


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(decoding.subprocess, "Popen", refuse)
    decoders = Decoders()
    assert decoders.able
    assert "cannot be read on this server at the moment" in refusal(decoders, PNG)
    assert not decoders.able


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        decoding.HEAD.pack(decoding.IMAGE, 60_000, 60_000, 0),
        decoding.HEAD.pack(decoding.IMAGE, 0, 5, 0),
        decoding.HEAD.pack(decoding.REFUSED, 0, 0, 1 << 30),
        decoding.HEAD.pack(9, 5, 5, 0),
        decoding.HEAD.pack(decoding.IMAGE, 5, 5, 0) + bytes(3),
    ],
)
def test_an_answer_of_another_form_is_not_believed(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    program = f"import sys; sys.stdout.buffer.write({decoding.READY + answer!r}); sys.stdout.flush(); sys.stdin.read(9)"
    monkeypatch.setattr(decoding, "PROGRAM", program)
    decoders = Decoders(kept=0)
    assert "made its decoder fail" in refusal(decoders, PNG)


def test_the_process_knows_no_secret_loads_nothing_heavy_and_lets_pages_go_first(
    monkeypatch: pytest.MonkeyPatch, decoders: Decoders
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    own = Decoders(kept=1)
    try:
        own.start()
        own.read(PNG)
        (pid,) = own.pids
        with open(f"/proc/{pid}/environ", "rb") as environment, open(f"/proc/{pid}/maps") as maps:
            assert b"hf_secret" not in environment.read()
            assert not re.search(r"torch|streamlit", maps.read())
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)
        limits = Path(f"/proc/{pid}/limits").read_text()
        for what in ("file size", "core file size"):
            assert re.search(rf"^Max {what} +0 +0 ", limits, re.MULTILINE), "no file is written"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n", "the first to go where memory ends"
    finally:
        own.close()


def test_500_mutated_files_end_in_a_picture_or_a_sentence() -> None:
    """The short form of `scripts/fuzz_images.py`: none takes more than 5 s of the processor or 500 MB."""
    decoders = Decoders(kept=1)
    try:
        found = fuzz_images.fuzz(fuzz_images.mutants(500), decoders)
    finally:
        decoders.close()
    assert found.failures() == []
    assert 50 < found.pictures < 450 and len(found.processor) == 500
    assert found.processor[0] > 0 and found.growth > 0, "it was measured"


def test_a_file_that_takes_too_much_fails_the_fuzz_run() -> None:
    decoders = Decoders(kept=1)
    files = [("large", zoo.flat_webp(1_500, 1_500)), ("small", PNG)]  # 6.75 MB of pixels
    try:
        found = fuzz_images.fuzz(files, decoders)
    finally:
        decoders.close()
    assert found.failures() == [] and found.processor[0] > found.processor[1]
    assert 6_750_000 < found.growth < 50_000_000
    (said,) = found.failures(nbytes=6_000_000)
    assert said.startswith("a decoder grew by ")
    (said,) = found.failures(seconds=found.processor[0] / 2)
    assert "of processor time" in said


def test_a_file_that_is_given_up_fails_the_fuzz_run() -> None:
    own = Decoders(seconds=0.3, kept=1)
    try:
        found = fuzz_images.fuzz([("slow", SLOW["line ends"]()), ("small", PNG)], own)
    finally:
        own.close()
    (said,) = found.failures()
    assert said.startswith("slow: The image takes longer") and found.pictures == 1
    assert found.failures(seconds=0.1)[1:], "what a process took that has ended counts as well"
