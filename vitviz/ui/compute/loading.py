"""From a selection to its loaded model, and from names to convolutional networks and detectors beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import streamlit as st

from vitviz.capture.cost import need_memory_for_weights
from vitviz.errors import ModelError, UnsupportedError
from vitviz.models import Cnn, Model, convolutional, load_cnn, load_model, resized
from vitviz.models.hugging_face.detectors import Detector, load_detector
from vitviz.models.limits import limited
from vitviz.models.load import is_missing
from vitviz.models.names import TRANSFORMERS, require_published
from vitviz.models.registry import curated
from vitviz.ui.compute import JobProgress, Key, consent, services
from vitviz.ui.compute.results import size_of
from vitviz.ui.compute.services import answer
from vitviz.ui.selection import MODEL_NAME, Selection
from vitviz.ui.server.settings import settings
from vitviz.ui.text import common as words

# The operator names a folder of .safetensors files in this variable; visitors choose among them by name only.
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
        lambda progress: load(selection, progress),
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
        ModelError: For what the operator has switched off, and for what cannot be had or read.
        UnsupportedError: For another kind of model, or where there is not enough memory.
        consent.ConsentRequired: As `model_of`, for a large download.
    """
    if not may_load(name):
        raise ModelError(words.MODEL_OFF.format(model=name))
    if not name.startswith(TRANSFORMERS):
        raise ModelError(words.NO_DETECTOR.format(model=name))
    require_published(name)
    key = Key("detector", name, "trained")
    if key not in services.models().results:
        consent.require_download(replace(key, what="download bytes of a detector"), name)

    def load(progress: JobProgress) -> Detector:
        with limited(services.download_limits()):
            return load_detector(name, progress=progress)

    note = words.LOADING_MODEL.format(model=name)
    found: Detector = answer(services.models(), key, f"load {name}", load, note)
    if not services.models().results.keeps(key):
        _hold(found)
    return found


def at_size(model: Model, size: tuple[int, int]) -> Model:
    """The model at (height, width) pixels.

    Raises:
        UnsupportedError: Where it does not take them.
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
    need_memory_for_weights(model.name, size_of(model), model.device)
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


def load(selection: Selection, progress: JobProgress) -> Model:
    """Loads the model of a selection anew, within the operator's limits; `model_of` keeps what was loaded.

    Raises:
        ModelError: Where there is no such model or it cannot be loaded.
        Cancelled: Once no visitor waits.
    """
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
