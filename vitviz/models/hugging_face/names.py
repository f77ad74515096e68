"""Names with the prefix "hf:": a repository on the hub, or a folder of one's own."""

from __future__ import annotations

from pathlib import Path

from vitviz.models.names import TRANSFORMERS, Place, repository_place

__all__ = ["Place", "is_named", "place_of"]


def is_named(name: str) -> bool:
    """Whether a name asks for a model of transformers."""
    return str(name).startswith(TRANSFORMERS)


def place_of(name: str) -> Place:
    """Of "hf:owner/name" or "hf:owner/name@revision", a repository; of any other path, as in "hf:./folder", a folder.

    Raises ModelError for a repository name that the hub does not allow.
    """
    rest = str(name).removeprefix(TRANSFORMERS)
    return repository_place(rest) or Place(folder=Path(rest).expanduser())
