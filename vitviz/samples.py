"""The gallery: photographs that come with vitviz, each with its author, licence and source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from vitviz.assets import asset_path
from vitviz.errors import ImageError
from vitviz.images import load_image

_AGAIN = "Install or clone vitviz again; pictures of your own can be opened meanwhile."


@dataclass(frozen=True)
class Sample:
    """One photograph of the gallery, as `assets/samples/samples.json` describes it.

    Attributes:
        id: Name in links and on the command line.
        shows: The embedded model's label for what it shows; "" if it has none.
        file: File name in assets/samples.
        sha256: Hash of `file`.
        title, alt: Display name and alternative text.
        author, licence: The author to credit, and the licence's short name.
        terms: The sentence that grants the licence.
        terms_from: The file that `terms` is quoted from.
        source: Where the photograph was first published.
        packaged_in: The package and file it was taken from.
        packaged_sha256: Hash of that file.
        changes: How that file was changed.
        note: Further remarks; may be empty.
    """

    id: str
    shows: str
    file: str
    title: str
    alt: str
    author: str
    licence: str
    terms: str
    terms_from: str
    source: str
    packaged_in: str
    packaged_sha256: str
    changes: str
    note: str
    sha256: str

    @property
    def path(self) -> Path:
        return _asset(self.file)

    @property
    def credit(self) -> str:
        """One line of credit for a caption."""
        return f"{self.title}. {self.author}. {self.licence}."


@cache
def samples() -> tuple[Sample, ...]:
    """The gallery in order: photographs of the embedded model's classes first, then the others.

    Raises:
        ImageError: If the list or all photographs are missing from this installation, or the list is damaged.
    """
    try:
        described = json.loads(_asset("samples.json").read_text(encoding="utf-8"))
        found = tuple(Sample(**fields) for fields in described)
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise ImageError(
            f"The gallery's list of photographs, assets/samples/samples.json, is damaged. {_AGAIN}"
        ) from error
    if not found:
        raise ImageError(f"The gallery's list of photographs, assets/samples/samples.json, is empty. {_AGAIN}")
    return found


def _asset(name: str) -> Path:
    try:
        return asset_path("samples", name)
    except FileNotFoundError as missing:
        raise ImageError(f"The gallery cannot be shown: {missing}.") from missing


def load_sample(name: str) -> Image.Image:
    """Loads a photograph of the gallery.

    Args:
        name: Its id.

    Returns:
        The image in mode RGB, upright.

    Raises:
        ImageError: For an unknown id; the message lists those that exist.
    """
    for sample in samples():
        if sample.id == name:
            return load_image(sample.path)
    known = ", ".join(sample.id for sample in samples())
    raise ImageError(f"There is no sample called {name!r}. The samples are {known}.")
