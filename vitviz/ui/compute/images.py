"""From a selection to its image: one of the gallery, shared by all sessions, or a picture of the session's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from PIL import Image

import vitviz
from vitviz.errors import ImageError
from vitviz.samples import Sample, samples
from vitviz.ui.compute import JobProgress, Key, services
from vitviz.ui.compute.services import answer
from vitviz.ui.selection import UPLOAD, Selection
from vitviz.ui.server import session, uploads
from vitviz.ui.server.uploads import Upload
from vitviz.ui.text import common as words

# The name of a second picture of one's own, which some pages show beside the selected one.
SECOND = "second-upload"
UPLOADS = {UPLOAD: "own picture", SECOND: "second picture"}  # name -> where it is in the session
_REFUSED = "why a picture was not taken"


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as it was loaded.

    Attributes:
        image: RGB.
        hash: Of its pixels.
        scope: None for the gallery's, else the session that owns it.
        name: Its name in the Python code of figures.
        values: Which value is black and which white, as a sentence, where the file has more than 8 bits, else "".
        note: How large it was where the browser scaled it down, else "".
    """

    image: Image.Image
    hash: str
    scope: str | None
    name: str
    values: str = ""
    note: str = ""

    @property
    def nbytes(self) -> int:
        return self.image.width * self.image.height * 3


@dataclass(frozen=True)
class Refused:
    """Why a photograph cannot be read, kept in its place, so that the file is not tried again in every run."""

    reason: str


def keep_upload(
    content: bytes, name: str = UPLOAD, scaled: tuple[int, int] | None = None, *, counted: bool = True
) -> bool:
    """Makes a file this browser's own picture, for callbacks. One that cannot be read changes nothing, and `refusal` says why.

    Args:
        scaled: (width, height) of a picture that the browser scaled down before.
        counted: Whether the server has counted its bytes as they came; what comes by way of a component is counted here.
    """
    own = session.current()
    if not counted and not session.may_send(len(content)):
        st.session_state[_REFUSED] = words.ENOUGH_PICTURES
        return False
    key, lane, read = _reading(content, name, scaled)
    with services.queue().submit(key, lane, read) as ticket:
        found = ticket.result()
    if isinstance(found, Refused):
        st.session_state[_REFUSED] = found.reason
        return False
    known = st.session_state.get(UPLOADS[name])
    if known is None or known.content != content:
        services.queue().results.clear_scope(own.name, but=key)  # what was computed of the last one
    st.session_state[UPLOADS[name]] = uploads.kept().keep(own.visitor, name, content, scaled)
    return True


def refusal() -> str:
    """Why the picture that was sent last was refused, returned once; "" where it was taken."""
    return str(st.session_state.pop(_REFUSED, ""))


def has_upload(name: str = UPLOAD) -> bool:
    """Whether this browser sent a picture, in this tab or earlier in another, and has not deleted it."""
    own, key = session.current(), UPLOADS[name]
    known = st.session_state.get(key)
    if known is not None and not uploads.kept().holds(own.visitor, known):
        del st.session_state[key]
        known = None
    if known is None and (found := uploads.kept().find(own.visitor, name)) is not None:
        known = st.session_state[key] = found
    return known is not None


def forget_uploads() -> None:
    """Deletes this browser's pictures and all results that were computed from them."""
    for name in session.forget_pictures():
        services.queue().results.clear_scope(name)
    for key in UPLOADS.values():
        st.session_state.pop(key, None)


def image_of(selection: Selection) -> InputImage:
    """The selected photograph.

    Raises:
        ImageError: Where it cannot be shown.
    """
    name = selection.image
    return _own_image(name) if name in UPLOADS and has_upload(name) else _known_sample_image(name)


def _own_image(name: str) -> InputImage:
    own: Upload = st.session_state[UPLOADS[name]]
    key, lane, read = _reading(own.content, name, own.scaled)
    uploads.kept().find(session.current().visitor, name)  # it is in use
    found: InputImage | Refused = answer(services.queue(), key, lane, read, words.READING_IMAGE)
    if isinstance(found, Refused):
        raise ImageError(found.reason)
    return found


def _reading(
    content: bytes, name: str, scaled: tuple[int, int] | None
) -> tuple[Key, str, Callable[[JobProgress], InputImage | Refused]]:
    """Key, lane and work that read a picture of one's own."""
    own = session.current()
    scope, sender = own.name, own.visitor or own.name  # the same in all tabs of a browser
    key = Key(
        "image", "", "", hashlib.sha256(content).hexdigest(), params=(("name", name), ("scaled", scaled)), scope=scope
    )

    def read(progress: JobProgress) -> InputImage | Refused:
        try:
            image, values = services.decoders().read(content, progress.check, sender)
        except ImageError as error:
            return Refused(str(error))
        called = words.SNIPPET_UPLOAD if name == UPLOAD else words.SNIPPET_SECOND
        note = "" if scaled is None else words.SCALED.format(width=scaled[0], height=scaled[1])
        return InputImage(image, vitviz.image_hash(image), scope, called, values, note)

    # A lane for each session: a file that takes long delays its own session alone.
    return key, f"photographs {scope}", read


def sample_image(name: str) -> InputImage:
    """A photograph of the gallery by its name; the first one for ""."""
    sample = sample_named(name)
    image = vitviz.load_image(sample.path)
    return InputImage(image, vitviz.image_hash(image), None, f"assets/samples/{sample.file}")


def _known_sample_image(name: str) -> InputImage:
    key = Key("image", "", "", f"sample {sample_named(name).id}")
    image: InputImage = answer(services.queue(), key, "photographs", lambda _: sample_image(name), words.READING_IMAGE)
    return image


def sample_named(name: str) -> Sample:
    """The gallery's photograph of that name, the first one for "".

    Raises:
        ImageError: Where there is none of that name.
    """
    found = next((sample for sample in samples() if sample.id == name), None) if name else samples()[0]
    if found is None:
        raise ImageError(words.NO_SAMPLE)
    return found
