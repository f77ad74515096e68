"""Names with the prefix "hf:": a repository on the hub, or a folder of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PREFIX = "hf:"

# OWNER/NAME or NAME, and after an @ the revision. Nothing that fits it can be a path upwards or away.
_PART = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}"
_REPOSITORY = re.compile(rf"({_PART}(?:/{_PART})?)(?:@({_PART}))?")


@dataclass(frozen=True)
class Place:
    """Where a model's files are: in a repository at a revision, or in a folder."""

    repository: str | None = None
    revision: str = "main"
    folder: Path | None = None


def is_named(name: str) -> bool:
    """Whether a name asks for a model of transformers."""
    return str(name).startswith(PREFIX)


def place_of(name: str) -> Place:
    """Of "hf:owner/name" or "hf:owner/name@revision", a repository; of any other path, as in "hf:./folder", a folder."""
    rest = str(name).removeprefix(PREFIX)
    found = _REPOSITORY.fullmatch(rest)
    if found:
        return Place(repository=found[1], revision=found[2] or "main")
    return Place(folder=Path(rest).expanduser())
