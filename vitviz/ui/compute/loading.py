"""From a selection to its loaded model and its image: of the gallery, shared by all sessions, or a session's own upload."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import streamlit as st
from PIL import Image

import vitviz
from vitviz.capture.cost import need_room_for_weights
from vitviz.errors import ImageError, ModelError, UnsupportedError
from vitviz.models import Cnn, Model, convolutional, load_cnn, load_model, resized
from vitviz.models.hugging_face.detectors import Detector, load_detector
from vitviz.models.limits import limited
from vitviz.models.load import is_missing
from vitviz.models.names import TRANSFORMERS, require_published
from vitviz.models.registry import curated
from vitviz.samples import Sample, samples
from vitviz.ui.compute import JobProgress, Key, consent, services
from vitviz.ui.compute.results import size_of
from vitviz.ui.compute.services import answer
from vitviz.ui.selection import MODEL_NAME, UPLOAD, Selection
from vitviz.ui.server import session, uploads
from vitviz.ui.server.settings import settings
from vitviz.ui.server.uploads import Upload
from vitviz.ui.text import common as words

# Whoever runs the server names a folder of .safetensors files here; users choose among them by name only.
CHECKPOINTS = "VITVIZ_CHECKPOINTS"
FILE = "file:"
OFFERED = 4  # of each kind, where something else is offered
_LARGE = "models too large for the store"


@cache
def embedded() -> Model:
    """The embedded model, read once and kept as long as the server runs."""
    return load_model("embedded")


def checkpoints() -> tuple[str, ...]:
    """Names of the checkpoints in the server's folder, without their ending; none where no folder was named."""
    return tuple(name for name in _stems() if MODEL_NAME.fullmatch(FILE + name))


def checkpoints_left_out() -> int:
    """How many files of that folder have names that no link can carry."""
    return len(_stems()) - len(checkpoints())


def _stems() -> tuple[str, ...]:
    folder = os.environ.get(CHECKPOINTS, "")
    return tuple(sorted(path.stem for path in Path(folder).glob("*.safetensors"))) if folder else ()


def on_disk() -> tuple[str, ...]:
    """Models that need no network: the embedded one, some whose weights are here, and some of the server's checkpoints."""
    here = [entry.name for entry in curated() if may_load(entry.name) and not is_missing(entry.name)]
    return (
        "embedded",
        *[name for name in here if name != "embedded"][:OFFERED],
        *map(FILE.__add__, checkpoints()[:OFFERED]),
    )


def may_load(name: str) -> bool:
    """Whether the operator lets a model of that name be loaded."""
    return settings().may_load(name, _curated)


@cache
def _curated() -> frozenset[str]:
    return frozenset(entry.name for entry in curated())


def plain_model(selection: Selection) -> Selection:
    """The same model at its own size."""
    return replace(selection, size=0)


def model_of(selection: Selection) -> Model:
    """The selected model at the selected size.

    Raises ModelError or UnsupportedError, also for what the operator has switched off, and `consent.ConsentRequired` for a
    large one that this session has not agreed to.
    """
    if selection.size > settings().max_size:
        raise UnsupportedError(words.SIZE_OFF.format(side=settings().max_size))
    key = Key("model", selection.model, selection.weights, params=(("file", _version(selection.model)),))
    if selection.model != "embedded" and key not in services.models().results:
        consent.require_weights(replace(key, what="weight bytes"), _source(selection), selection.weights == "trained")
    own: Model = answer(
        services.models(),
        key,
        f"load {selection.model}",
        lambda progress: _load(selection, progress),
        words.LOADING_MODEL.format(model=selection.model),
    )
    if not services.models().results.keeps(key):
        _hold(own)
    if max(own.input_size) > settings().max_size:
        raise ModelError(words.MODEL_TOO_LARGE.format(side=settings().max_size))
    return at_size(own, (selection.size, selection.size)) if selection.size else own


def may_load_cnn(name: str) -> bool:
    """Whether the operator lets a convolutional network of that name be loaded; the embedded one always may be."""
    return name == convolutional.EMBEDDED or settings().may_load(name, lambda: frozenset(convolutional.SUGGESTED))


def cnn_of(name: str) -> Cnn:
    """The convolutional network of that name, loaded by the rules of `model_of`.

    Raises ModelError, HubError or UnsupportedError, and `consent.ConsentRequired` as `model_of`.
    """
    key = Key("convolutional network", name, "trained")
    if name != convolutional.EMBEDDED:
        if not may_load_cnn(name):
            raise ModelError(words.MODEL_OFF.format(model=name))
        require_published(name)
        if key not in services.models().results:
            consent.require_weights(replace(key, what="weight bytes"), name, True)

    def load(progress: JobProgress) -> Cnn:
        with limited(services.download_limits()):
            return load_cnn(name, progress=progress)

    found: Cnn = answer(services.models(), key, f"load {name}", load, words.LOADING_MODEL.format(model=name))
    if not services.models().results.keeps(key):
        _hold(found)
    return found


def detector_of(name: str) -> Detector:
    """A trained detector of transformers by its name on the hub, by the same rules as any model.

    Raises:
        ModelError: for what the operator has switched off, and for what cannot be had or read.
        UnsupportedError: for another kind of model.
    """
    if not may_load(name):
        raise ModelError(words.MODEL_OFF.format(model=name))
    if not name.startswith(TRANSFORMERS):
        raise ModelError(words.NO_DETECTOR.format(model=name))
    require_published(name)

    def load(progress: JobProgress) -> Detector:
        with limited(services.download_limits()):
            return load_detector(name, progress=progress)

    note = words.LOADING_MODEL.format(model=name)
    key = Key("detector", name, "trained")
    found: Detector = answer(services.models(), key, f"load {name}", load, note)
    if not services.models().results.keeps(key):
        _hold(found)
    return found


def at_size(model: Model, size: tuple[int, int]) -> Model:
    """The model at (height, width) pixels.

    Raises:
        UnsupportedError: where it does not take them.
    """
    if size == model.input_size:
        return model
    key = Key("model", model.name, model.fingerprint, size=size, params=(("from", model.input_size),))
    if not model.dynamic_size:
        copied: Model = answer(
            services.copies(), key, f"load {model.name}", lambda _: _copy(model, size), words.COMPUTING
        )
        if not services.copies().results.keeps(key):
            _hold(copied)
        return copied
    # One module for all sizes: only the layout takes a moment the first time, and it is kept without the module.
    answer(
        services.queue(),
        replace(key, what="layout"),
        f"run {model.name}",
        lambda _: resized(model, size).layout,
        words.COMPUTING,
    )
    return resized(model, size)


def _copy(model: Model, size: tuple[int, int]) -> Model:
    need_room_for_weights(model.name, size_of(model), model.device)
    return resized(model, size)


@contextmanager
def holding() -> Iterator[None]:
    """Around a run of a page: models too large for the store stay loaded from one run to the next that shows them."""
    before: list[Model | Cnn] = st.session_state.get(_LARGE, [])
    st.session_state[_LARGE] = []
    try:
        yield
    except BaseException:  # overtaken by the next run, perhaps before the model was asked for
        st.session_state[_LARGE] += before
        raise
    finally:
        before.clear()  # Streamlit keeps the list itself until the next run


def _hold(model: Model | Cnn | Detector) -> None:
    if _LARGE in st.session_state:
        st.session_state[_LARGE].append(model)


def _source(selection: Selection) -> str:
    """What `load_model` is given for the model. Raises ModelError for one that may not be loaded here."""
    if not may_load(selection.model):
        raise ModelError(words.MODEL_OFF.format(model=selection.model))
    if selection.model.startswith(FILE):
        return _path(selection.model.removeprefix(FILE))
    require_published(
        selection.model
    )  # the library takes paths; what a link or a search field asks for never becomes one
    return selection.model


def _load(selection: Selection, progress: JobProgress) -> Model:
    name, untrained = _source(selection), selection.weights == "random"
    if selection.model.startswith(FILE):
        return load_model(name, weights="random" if untrained else None, check=progress.check)
    if name == "embedded" and not untrained:
        return embedded()
    with limited(services.download_limits()):
        return load_model(
            name, weights="random" if untrained else "pretrained", progress=progress, check=progress.check
        )


def _path(stem: str) -> str:
    # Only what the folder lists is opened, so that no name in a link can lead anywhere else.
    if stem not in checkpoints():
        raise ModelError(
            "There is no checkpoint of that name in the server's folder. Choose another model in the sidebar."
        )
    return str(Path(os.environ[CHECKPOINTS]) / f"{stem}.safetensors")


def _version(name: str) -> tuple[tuple[int, int], ...]:
    """Size and time of a checkpoint's files, so that one which was replaced is read again; () for any other model."""
    stem = name.removeprefix(FILE)
    if not name.startswith(FILE) or stem not in checkpoints():
        return ()
    path = Path(_path(stem))
    files = [each for each in (path, path.with_suffix(".json")) if each.is_file()]
    return tuple((each.stat().st_size, each.stat().st_mtime_ns) for each in files)


# The name of a second picture of one's own, which some pages show beside the selected one.
SECOND = "second-upload"
_UPLOADS = {UPLOAD: "own picture", SECOND: "second picture"}  # name -> where it is in the session
_REFUSED = "why a picture was not taken"


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as it was loaded.

    Attributes:
        image: RGB.
        hash: of its pixels.
        scope: None for the gallery's, else the session that owns it.
        name: how Python code that makes a figure again calls it.
        values: which value is black and which white, as a sentence, where the file has more than 8 bits, else "".
        note: how large it was where the browser scaled it down, else "".
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
    """In a photograph's place: the sentence that says why there is none, so that the file is not tried again in every run."""

    reason: str


def keep_upload(
    content: bytes, name: str = UPLOAD, scaled: tuple[int, int] | None = None, *, counted: bool = True
) -> bool:
    """Makes a file this browser's own picture, for callbacks. One that cannot be read changes nothing, and `refusal` says why.

    Args:
        scaled: (width, height) of a picture that the browser scaled down before.
        counted: whether the server has counted its bytes as they came; what comes by way of a component is counted here.
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
    known = st.session_state.get(_UPLOADS[name])
    if known is None or known.content != content:
        services.queue().results.let_go(own.name, but=key)  # what was computed of the last one
    st.session_state[_UPLOADS[name]] = uploads.kept().keep(own.visitor, name, content, scaled)
    return True


def refusal() -> str:
    """Why the picture that was sent last was not taken, once; "" where it was."""
    return str(st.session_state.pop(_REFUSED, ""))


def has_upload(name: str = UPLOAD) -> bool:
    """Whether this browser sent a picture and has not asked for it to be forgotten: in this tab, or a while ago in another."""
    own, key = session.current(), _UPLOADS[name]
    known = st.session_state.get(key)
    if known is not None and not uploads.kept().holds(own.visitor, known):
        del st.session_state[key]
        known = None
    if known is None and (found := uploads.kept().find(own.visitor, name)) is not None:
        known = st.session_state[key] = found
    return known is not None


def forget_uploads() -> None:
    """Nothing is left of this browser's pictures, nor of what was computed of them here."""
    session.forget_pictures()
    services.queue().results.let_go(session.current().name)
    for key in _UPLOADS.values():
        st.session_state.pop(key, None)


def image_of(selection: Selection) -> InputImage:
    """The selected photograph.

    Raises:
        ImageError: where it cannot be shown.
    """
    name = selection.image
    return _own_image(name) if name in _UPLOADS and has_upload(name) else _sample_image(name)


def _own_image(name: str) -> InputImage:
    own: Upload = st.session_state[_UPLOADS[name]]
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
    scope = session.current().name
    key = Key(
        "image", "", "", hashlib.sha256(content).hexdigest(), params=(("name", name), ("scaled", scaled)), scope=scope
    )

    def read(progress: JobProgress) -> InputImage | Refused:
        try:
            image, values = services.decoders().read(content, progress.check)
        except ImageError as error:
            return Refused(str(error))
        called = words.SNIPPET_UPLOAD if name == UPLOAD else words.SNIPPET_SECOND
        note = "" if scaled is None else words.SCALED.format(width=scaled[0], height=scaled[1])
        return InputImage(image, vitviz.image_hash(image), scope, called, values, note)

    # A lane for each session: whoever sends a file that takes long waits for it alone.
    return key, f"photographs {scope}", read


def _sample_image(name: str) -> InputImage:
    sample = sample_named(name)

    def read(_: object) -> InputImage:
        image = vitviz.load_image(sample.path)
        return InputImage(image, vitviz.image_hash(image), None, f"assets/samples/{sample.file}")

    key = Key("image", "", "", f"sample {sample.id}")
    image: InputImage = answer(services.queue(), key, "photographs", read, words.READING_IMAGE)
    return image


def sample_named(name: str) -> Sample:
    """The gallery's photograph of that name, the first one for "".

    Raises:
        ImageError: where there is none of that name.
    """
    found = next((sample for sample in samples() if sample.id == name), None) if name else samples()[0]
    if found is None:
        raise ImageError(words.NO_SAMPLE)
    return found
