"""`Decoders`: decodes untrusted files in separate processes with limits on time and memory.

A decoder may run for minutes, allocate gigabytes or crash on hostile bytes, and a thread cannot be stopped. The processes are
started in advance, import only Python's library, numpy and Pillow, have an environment without the server's secrets, write no
file, and are killed and replaced when a file exceeds a limit.

A request is the length of a file (8 bytes) and its bytes. The answer is either `IMAGE`, width, height, the length of a
sentence, the sentence and the pixels, or `REFUSED`, 0, 0, a length and a sentence. Answers are validated; an answer of another
form counts as a crash.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from PIL import Image

from vitviz.errors import ImageError
from vitviz.images import MAX_BYTES, MAX_PIXELS, read_image

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

# Limits for one file: processor time in seconds, and memory in bytes.
SECONDS, NBYTES = 5.0, 500_000_000
# Limit of wall-clock time as a multiple of the processor time, since the processor has other work.
PATIENCE = 2.0
# Files decoded at the same time, in all and of one sender: many hostile files of one sender delay no other sender.
MOST, SHARE = 4, 1
# Added to the niceness of the processes, so that pages have priority over decoding.
NICER = 5
# Idle processes that are kept, 40 MB each.
KEPT = 2
# A process is replaced after this number of files, which frees memory that a decoder leaks.
FILES = 200
# Importing numpy and Pillow takes 0.2 s on an idle machine.
START_SECONDS = 60.0
STEP_SECONDS = 0.05

# What a process writes: READY at its start, and before each answer `HEAD` with one of the kinds IMAGE and REFUSED.
READY, IMAGE, REFUSED = b"ready\n", 1, 2
_LENGTH, HEAD = struct.Struct(">Q"), struct.Struct(">BIII")
_LONGEST_SENTENCE = 2_000
_BAND_BYTES = 1 << 22
_DAMAGED_OR_TOO_LARGE = (
    "The image is damaged, or needs more memory to decode than there is for it. Try another copy of it, or a smaller "
    "one."
)
# Environment variables that a process inherits; the server's secrets are not among them.
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR", "TEMP")
_SET_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from vitviz.images.decoding import serve; serve(float(sys.argv[2]), int(sys.argv[3]))"
)


class _Ended(Exception):
    """A process closed its pipe, or its answer had another form."""


class _Decoder:
    """One process and the two pipes to it."""

    def __init__(self, seconds: float, nbytes: int) -> None:
        self.files = 0
        self._ready = False
        inherited = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), str(seconds), str(nbytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # messages of decoders may quote the file
            env=inherited | _SET_VARIABLES,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._from: BinaryIO = self._process.stdout  # type: ignore[assignment]

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        """Waits until the process has imported its modules."""
        if not self._ready:
            if self._from.readline(len(READY)) != READY:
                raise _Ended
            self._ready = True

    def decode(self, content: bytes) -> tuple[Image.Image, str]:
        """(image, sentence) of a file. Raises ImageError for a refused picture, _Ended or OSError if the process failed."""
        self.files += 1
        self._to.write(_LENGTH.pack(len(content)))
        self._to.write(content)
        self._to.flush()
        kind, width, height, length = HEAD.unpack(self._exactly(HEAD.size))
        if length > _LONGEST_SENTENCE:
            raise _Ended
        sentence = self._exactly(length).decode("utf-8", "replace")
        if kind == REFUSED:
            raise ImageError(sentence)
        if kind != IMAGE or not 0 < width * height <= MAX_PIXELS:
            raise _Ended
        image = Image.new("RGB", (width, height))
        for top, bottom in _bands(width, height):
            pixels = self._exactly((bottom - top) * width * 3)
            image.paste(Image.frombytes("RGB", (width, bottom - top), pixels), (0, top))
        return image, sentence

    def _exactly(self, size: int) -> bytes:
        found = self._from.read(size)
        if len(found) != size:
            raise _Ended
        return found

    def out_of_time(self) -> bool:
        """Whether the process was ended by its limit of processor time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(1.0) == -getattr(signal, "SIGPROF", 0) != 0
        return False

    def end(self) -> None:
        """Kills the process; a waiting reader gets the end of the pipe."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()


class Decoders:
    """A pool of decoding processes, safe to use from every thread.

    Args:
        seconds: Limit of processor time for one file; the limit of wall-clock time is twice as much.
        nbytes: Limit of memory for one file in addition to that of an idle process; on Linux only.
        most: Files decoded at the same time; further files wait.
        kept: Idle processes that are kept.
        share: Files of one sender decoded at the same time.
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        nbytes: int = NBYTES,
        most: int = MOST,
        kept: int = KEPT,
        share: int = SHARE,
    ) -> None:
        self.seconds, self.nbytes, self.most, self.kept, self.share = seconds, nbytes, most, kept, share
        self._places = threading.Condition()
        self._decoding: Counter[str] = Counter()  # sender -> files being decoded
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        # Whether the last attempt to start a process succeeded.
        self.able = True

    def start(self) -> None:
        """Starts the processes that are kept, without waiting for them."""
        with contextlib.suppress(OSError):  # reported with the first file
            while len(self._idle) < self.kept:
                self._put(self._started())

    def read(
        self, content: bytes, check: Callable[[], None] = lambda: None, sender: str = ""
    ) -> tuple[Image.Image, str]:
        """`vitviz.images.read_image` in another process.

        Args:
            content: A file's bytes.
            check: Called several times a second while the file waits and is decoded; an exception that it raises ends
                the decoding.
            sender: Identifies the sender for `share`; "" if unknown.

        Returns:
            The picture in mode RGB, and a sentence on its values.

        Raises:
            ImageError: As `read_image`, and for a file that exceeds a limit.
        """
        if not content or len(content) > MAX_BYTES:
            return read_image(content)  # raises without decoding
        with self.place(sender, check):
            return self._read(content, check)

    def close(self) -> None:
        """Ends the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()

    @property
    def under_way(self) -> dict[str, int]:
        """How many files of each sender are decoded now."""
        with self._places:
            return dict(self._decoding)

    @property
    def pids(self) -> list[int]:
        """Process ids of the idle processes."""
        with self._lock:
            return [decoder.pid for decoder in self._idle]

    @contextlib.contextmanager
    def place(self, sender: str, check: Callable[[], None]) -> Iterator[None]:
        """Waits for a slot of this sender, and holds it inside the `with` block."""

        def taken() -> bool:
            if self._decoding.total() >= self.most or (sender and self._decoding[sender] >= self.share):
                return False
            self._decoding[sender] += 1
            return True

        while True:
            with self._places:
                if self._places.wait_for(taken, STEP_SECONDS):
                    break
            check()
        try:
            yield
        finally:
            with self._places:
                self._decoding[sender] -= 1
                if not self._decoding[sender]:
                    del self._decoding[sender]
                self._places.notify_all()

    def _read(self, content: bytes, check: Callable[[], None]) -> tuple[Image.Image, str]:
        try:
            decoder = self._take()
        except OSError as error:
            _LOG.error("no process to decode a picture can be started: %s", error)
            raise ImageError("Pictures cannot be read on this server at the moment. Try again in a minute.") from error
        sound = False
        try:
            self._wait(decoder.await_ready, START_SECONDS, check)
            found = self._wait(lambda: decoder.decode(content), self.seconds * PATIENCE, check)
            sound = True
            return found
        except ImageError:
            sound = True
            raise
        except TimeoutError:
            raise ImageError(self._too_long()) from None
        except (_Ended, OSError):
            if decoder.out_of_time():
                raise ImageError(self._too_long()) from None
            raise ImageError(
                "The image made its decoder fail. Save it again as an ordinary JPEG or PNG, or try another copy of it."
            ) from None
        finally:
            self._give_back(decoder, sound)

    def _too_long(self) -> str:
        return (
            f"The image takes longer than {self.seconds:g} seconds to decode. Save it again as an ordinary JPEG or PNG."
        )

    def _wait(self, work: Callable[[], T], seconds: float, check: Callable[[], None]) -> T:
        """Runs `work` in a thread and returns its result; the thread is abandoned after `seconds`, or if `check` raises."""
        results: list[T | Exception] = []
        done = threading.Event()

        def run() -> None:
            try:
                results.append(work())
            except Exception as error:
                results.append(error)
            done.set()

        until = time.monotonic() + seconds
        threading.Thread(target=run, name="decoding", daemon=True).start()
        while not done.wait(STEP_SECONDS):
            check()
            if time.monotonic() > until:
                raise TimeoutError
        (found,) = results
        if isinstance(found, Exception):
            raise found
        return found

    def _take(self) -> _Decoder:
        with self._lock:
            while self._idle:
                decoder = self._idle.pop()
                if decoder.alive:
                    return decoder
        return self._started()

    def _started(self) -> _Decoder:
        self.able = False
        decoder = _Decoder(self.seconds, self.nbytes)
        self.able = True
        return decoder

    def _give_back(self, decoder: _Decoder, sound: bool) -> None:
        if sound and decoder.files < FILES:
            self._put(decoder)
        else:
            decoder.end()
            self.start()

    def _put(self, decoder: _Decoder) -> None:
        with self._lock:
            if len(self._idle) < self.kept:
                self._idle.append(decoder)
                return
        decoder.end()


def _bands(width: int, height: int) -> list[tuple[int, int]]:
    """(top, bottom) rows of horizontal bands, so that a picture is never copied as a whole."""
    rows = max(1, _BAND_BYTES // (3 * width))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def serve(seconds: float, nbytes: int) -> None:
    """Main function of a process: decodes one file after the other until its input ends, each within the limits."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # output that a library prints must not be read as an answer
    with contextlib.suppress(ImportError):
        import pillow_heif  # noqa: F401  imported before, so that its memory does not count for the first file
    limit_time, near_limit = _limits(nbytes)
    answers.write(READY)
    answers.flush()
    while head := requests.read(_LENGTH.size):
        limit_time(seconds)
        content = requests.read(*_LENGTH.unpack(head))
        try:
            image, said = read_image(content)
        except ImageError as error:
            # A decoder whose allocation failed may report a damaged file.
            doubtful = isinstance(error.__cause__, Exception) and "memory" not in str(error) and near_limit()
            _answer(answers, REFUSED, (0, 0), _DAMAGED_OR_TOO_LARGE if doubtful else str(error))
        else:
            _answer(answers, IMAGE, image.size, said)
            for top, bottom in _bands(*image.size):
                answers.write(image.crop((0, top, image.width, bottom)).tobytes())
            del image
        answers.flush()


def _answer(answers: BinaryIO, kind: int, size: tuple[int, int], sentence: str) -> None:
    text = sentence[: _LONGEST_SENTENCE // 4].encode()
    answers.write(HEAD.pack(kind, *size, len(text)) + text)


def _limits(nbytes: int) -> tuple[Callable[[float], None], Callable[[], bool]]:
    """Sets limits on this process that cannot be raised again.

    Returns:
        (function that sets the limit of processor time for the next file, function that returns whether memory is near
        its limit).
    """
    try:
        import resource
    except ImportError:  # Windows: the parent process limits the time
        return (lambda seconds: None), (lambda: False)
    os.nice(NICER)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where the machine has no memory left, the kernel ends this process and not the server
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written to disk
    now = _most_memory()
    if now is not None:
        resource.setrlimit(resource.RLIMIT_AS, (now + nbytes, now + nbytes))

    def limit_time(seconds: float) -> None:
        # RLIMIT_CPU counts whole seconds from the start of the process; the timer is exact, and its signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, seconds)

    return limit_time, lambda: now is not None and (_most_memory() or 0) > now + nbytes // 3


def _most_memory() -> int | None:
    """Peak address space of this process in bytes; None except on Linux."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/status") as status:
        return int(status.read().partition("VmPeak:")[2].split()[0]) * 1024
    return None
