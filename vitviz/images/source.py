"""Reads a path, bytes or a file object to bytes, with a name that is safe to show."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from vitviz.errors import ImageError

MAX_BYTES = 100_000_000
_CHUNK = 1 << 20
_LONGEST_NAME = 80


def read_source(source: Any) -> tuple[str, bytes]:
    """(subject, content): the subject of messages, such as "The file 'cat.png'", and the bytes.

    Raises:
        ImageError: If the source cannot be read, or has more than MAX_BYTES.
        TypeError: For another type of source.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        subject, content = "The image", bytes(source)
    elif isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        subject = _subject(path)
        content = _read_path(Path(path), subject)
    elif hasattr(source, "read"):
        subject = _subject(getattr(source, "name", None))
        content = _read_stream(source, subject)
    else:
        raise TypeError(f"load_image takes a path, bytes or a binary file object, not {type(source).__name__}")
    if len(content) > MAX_BYTES:
        raise _too_many_bytes(subject)
    if not content:
        raise ImageError(f"{subject} is empty. Choose one with a picture in it.")
    return subject, content


def _subject(name: object) -> str:
    """The last part of a path, shortened and without control characters."""
    if not isinstance(name, str):  # an unnamed stream, or one named by its file descriptor
        return "The image"
    last = re.split(r"[\\/]", name)[-1]
    shown = "".join(character for character in last if character.isprintable())
    if len(shown) > _LONGEST_NAME:
        shown = f"{shown[: _LONGEST_NAME - 12]}...{shown[-9:]}"
    return f"The file '{shown}'" if shown else "The file"


def _read_path(path: Path, subject: str) -> bytes:
    # Errors of the operating system contain the full path: they are not chained, so that no log or traceback has it.
    try:
        if path.is_dir():
            raise ImageError(f"{subject} is a folder. Choose one picture in it.")
        if not path.exists():
            raise ImageError(f"{subject} does not exist. Check its name and place.")
        if not path.is_file():  # reading a pipe or a device might never end
            raise ImageError(f"{subject} is not a regular file. Choose a picture file.")
        with path.open("rb") as stream:
            return _read_all(stream, subject)
    except (OSError, ValueError):
        raise ImageError(f"{subject} cannot be opened. Check its name and that it may be read.") from None


def _read_stream(stream: Any, subject: str) -> bytes:
    """Reads a stream from its beginning and restores its position; one that is not seekable from its current position."""
    try:
        if not (hasattr(stream, "seekable") and stream.seekable()):
            return _read_all(stream, subject)
        position = stream.tell()
        try:
            stream.seek(0)
            return _read_all(stream, subject)
        finally:
            stream.seek(position)
    except (OSError, ValueError):  # ValueError: the stream is closed
        raise ImageError(f"{subject} cannot be read: the file object is closed or broken. Open it again.") from None


def _read_all(stream: Any, subject: str) -> bytes:
    parts: list[bytes] = []
    total = 0
    while part := stream.read(_CHUNK):  # a raw stream may return fewer bytes than requested
        if not isinstance(part, bytes):
            raise ImageError(f"{subject} was opened as text. Open it in binary mode, 'rb'.")
        parts.append(part)
        total += len(part)
        if total > MAX_BYTES:
            raise _too_many_bytes(subject)
    return b"".join(parts)


def _too_many_bytes(subject: str) -> ImageError:
    return ImageError(f"{subject} is larger than {MAX_BYTES // 1_000_000} MB. Save it smaller, as a JPEG for example.")
