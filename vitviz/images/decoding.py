"""Untrusted files are decoded in a process of their own, under limits of time and memory: `Decoders`.

A decoder fed with hostile bytes may run for minutes, take gigabytes or crash, and a thread in which it does so cannot be
stopped. The processes here are started ahead, import nothing but Python, numpy and Pillow, get an environment without the
server's secrets, write no file, and are killed and replaced when a file passes a limit.

A request is the length of a file (8 bytes) and its bytes. The answer is either `_IMAGE`, width, height, the length of a
sentence, the sentence and the pixels, or `_REFUSED`, 0, 0, a length and a sentence. All of it is validated: what is not of
this form counts as a crash.
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

# Of processor time, and of memory.
SECONDS, NBYTES = 5.0, 500_000_000
# A file may take so many times its seconds on the clock, since the processor has other work as well.
PATIENCE = 2.0
# At once of everybody, and of one sender: who sends many hostile files waits for them, and nobody else does.
MOST, SHARE = 4, 1
# What is added to the niceness of the processes, so that pages are answered before pictures are decoded.
NICER = 5
# Kept while idle, 40 MB each.
KEPT = 2
# A process is replaced after so many files, so that what a decoder leaks is given back.
FILES = 200
# Importing numpy and Pillow takes 0.2 s on an idle machine.
START_SECONDS = 60.0
STEP_SECONDS = 0.05

_READY, _IMAGE, _REFUSED = b"ready\n", 1, 2
_LENGTH, _HEAD = struct.Struct(">Q"), struct.Struct(">BIII")
_LONGEST_SENTENCE = 2_000
_BAND_BYTES = 1 << 22
_DAMAGED_OR_TOO_LARGE = (
    "The image is damaged, or needs more memory to decode than there is for it. Try another copy of it, or a smaller "
    "one."
)
# The environment that a process gets; above all none of the server's secrets.
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR", "TEMP")
_SET_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from vitviz.images.decoding import serve; serve(float(sys.argv[2]), int(sys.argv[3]))"
)


class _Ended(Exception):
    """A process closed its side or answered in another form."""


class _Decoder:
    """One process and the two pipes to it."""

    def __init__(self, seconds: float, nbytes: int) -> None:
        self.files = 0
        self._ready = False
        inherited = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, json.dumps(sys.path), str(seconds), str(nbytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders' remarks quote the file
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
        """Waits until its imports are done."""
        if not self._ready:
            if self._from.readline(len(_READY)) != _READY:
                raise _Ended
            self._ready = True

    def decode(self, content: bytes) -> tuple[Image.Image, str]:
        """Raises ImageError for a picture that was refused, _Ended or OSError where the process failed."""
        self.files += 1
        self._to.write(_LENGTH.pack(len(content)))
        self._to.write(content)
        self._to.flush()
        kind, width, height, length = _HEAD.unpack(self._exactly(_HEAD.size))
        if length > _LONGEST_SENTENCE:
            raise _Ended
        sentence = self._exactly(length).decode("utf-8", "replace")
        if kind == _REFUSED:
            raise ImageError(sentence)
        if kind != _IMAGE or not 0 < width * height <= MAX_PIXELS:
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
        """Whether the process ended because a file took more processor time than it may."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(1.0) == -getattr(signal, "SIGPROF", 0) != 0
        return False

    def end(self) -> None:
        """Kills the process; a reader meets the end of the pipe."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()


class Decoders:
    """A few processes that decode, safe to use from every thread.

    Args:
        seconds: of processor time that one file may take, and twice as many on the clock.
        nbytes: of memory that one file may take beyond what an idle process has; on Linux.
        most: files decoded at once; further ones wait.
        kept: processes kept while idle.
        share: files of one sender decoded at once.
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
        self._decoding: Counter[str] = Counter()  # files under way, by sender
        self._lock = threading.Lock()
        self._idle: list[_Decoder] = []
        # Whether the last process that was wanted could be started.
        self.able = True

    def start(self) -> None:
        """Starts the processes that are kept, without waiting for them."""
        with contextlib.suppress(OSError):  # the first file will say so
            while len(self._idle) < self.kept:
                self._put(self._started())

    def read(
        self, content: bytes, check: Callable[[], None] = lambda: None, sender: str = ""
    ) -> tuple[Image.Image, str]:
        """As `vitviz.images.read_image`, in another process.

        Args:
            content: a file's bytes.
            check: called several times a second while the file waits and is decoded; what it raises ends the decoding.
            sender: whose files wait for one another beyond their share; "" for a file that nobody is named for.

        Returns:
            The picture in mode RGB and a sentence on its values.

        Raises:
            ImageError: for what `read_image` refuses, and for a file that passes a limit.
        """
        if not content or len(content) > MAX_BYTES:
            return read_image(content)  # refused before anything is decoded
        with self._place(sender, check):
            return self._read(content, check)

    def close(self) -> None:
        """Ends the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.end()

    @property
    def pids(self) -> list[int]:
        """Of the processes that wait for a file."""
        with self._lock:
            return [decoder.pid for decoder in self._idle]

    @contextlib.contextmanager
    def _place(self, sender: str, check: Callable[[], None]) -> Iterator[None]:
        """One of the places there are, once there is one for this sender."""

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
        """What `work` returns or raises, from a thread that is left behind where it takes longer or `check` raises."""
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
    """(top, bottom) rows of pieces of a picture, so that none is copied whole."""
    rows = max(1, _BAND_BYTES // (3 * width))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def serve(seconds: float, nbytes: int) -> None:
    """The process: decodes one file after the other until its input ends. seconds, nbytes: what each may take."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    with contextlib.suppress(ImportError):
        import pillow_heif  # noqa: F401  now, so that its memory does not count as a file's
    limit_time, near_limit = _limits(nbytes)
    answers.write(_READY)
    answers.flush()
    while head := requests.read(_LENGTH.size):
        limit_time(seconds)
        content = requests.read(*_LENGTH.unpack(head))
        try:
            image, said = read_image(content)
        except ImageError as error:
            # A decoder that was given no memory may call the file damaged.
            doubtful = isinstance(error.__cause__, Exception) and "memory" not in str(error) and near_limit()
            _answer(answers, _REFUSED, (0, 0), _DAMAGED_OR_TOO_LARGE if doubtful else str(error))
        else:
            _answer(answers, _IMAGE, image.size, said)
            for top, bottom in _bands(*image.size):
                answers.write(image.crop((0, top, image.width, bottom)).tobytes())
            del image
        answers.flush()


def _answer(answers: BinaryIO, kind: int, size: tuple[int, int], sentence: str) -> None:
    text = sentence[: _LONGEST_SENTENCE // 4].encode()
    answers.write(_HEAD.pack(kind, *size, len(text)) + text)


def _limits(nbytes: int) -> tuple[Callable[[float], None], Callable[[], bool]]:
    """Limits this process for good.

    Returns:
        What limits the processor time of the next file, and what says whether a file has come near the limit of memory.
    """
    try:
        import resource
    except ImportError:  # Windows: the parent process limits the time
        return (lambda seconds: None), (lambda: False)
    os.nice(NICER)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written to disk
    now = _most_memory()
    if now is not None:
        resource.setrlimit(resource.RLIMIT_AS, (now + nbytes, now + nbytes))

    def limit_time(seconds: float) -> None:
        # Exact, where RLIMIT_CPU counts whole seconds and from the start of the process; the signal ends the process.
        signal.setitimer(signal.ITIMER_PROF, seconds)

    return limit_time, lambda: now is not None and (_most_memory() or 0) > now + nbytes // 3


def _most_memory() -> int | None:
    """Bytes of address space that this process has had at most; None elsewhere than on Linux."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/status") as status:
        return int(status.read().partition("VmPeak:")[2].split()[0]) * 1024
    return None
