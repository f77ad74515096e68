"""The photograph a session looks at: one of the gallery's, which everybody may share, or its own, which nobody else sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import streamlit as st
from PIL import Image

import vitviz
from vitviz.errors import ImageError
from vitviz.images import read_image
from vitviz.samples import Sample, samples
from vitviz.ui import services, session
from vitviz.ui.compute import Key
from vitviz.ui.selection import UPLOAD, Selection
from vitviz.ui.text import common as words
from vitviz.ui.waiting import answer

_UPLOAD = "own picture"


@dataclass(frozen=True, eq=False)
class Photo:
    """image: RGB; hash: of its pixels; scope: None for the gallery's, else the session that owns it; name: for snippets;
    values: which value is black and which white, as a sentence, where the file has more than 8 bits, else "".
    """

    image: Image.Image
    hash: str
    scope: str | None
    name: str
    values: str = ""

    @property
    def nbytes(self) -> int:
        return self.image.width * self.image.height * 3


def keep_upload(content: bytes) -> None:
    """Makes the bytes this session's own picture. They are not looked at yet."""
    st.session_state[_UPLOAD] = content


def has_upload() -> bool:
    return _UPLOAD in st.session_state


def current(selection: Selection) -> Photo:
    """The selected photograph. Raises ImageError where it cannot be shown."""
    return _own() if selection.image == UPLOAD and has_upload() else _sample(selection.image)


def _own() -> Photo:
    content: bytes = st.session_state[_UPLOAD]
    scope = session.current().name
    key = Key("photo", "", "", hashlib.sha256(content).hexdigest(), scope=scope)

    def read(_: object) -> Photo:
        image, values = read_image(content)
        return Photo(image, vitviz.image_hash(image), scope, words.SNIPPET_UPLOAD, values)

    photo: Photo = answer(services.queue(), key, "photographs", read, words.READING_IMAGE)
    return photo


def _sample(name: str) -> Photo:
    sample = sample_named(name)

    def read(_: object) -> Photo:
        image = vitviz.load_image(sample.path)
        return Photo(image, vitviz.image_hash(image), None, f"assets/samples/{sample.file}")

    key = Key("photo", "", "", f"sample {sample.id}")
    photo: Photo = answer(services.queue(), key, "photographs", read, words.READING_IMAGE)
    return photo


def sample_named(name: str) -> Sample:
    """The gallery's photograph of that name, the first one for "". Raises ImageError where there is none of that name."""
    found = next((sample for sample in samples() if sample.id == name), None) if name else samples()[0]
    if found is None:
        raise ImageError(words.NO_SAMPLE)
    return found
