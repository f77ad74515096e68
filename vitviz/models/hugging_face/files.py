"""The files of a model of transformers, from the hub or a folder: descriptions, and weights from safetensors only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vitviz.errors import HubError, ModelError
from vitviz.models.hub import NoSuchFile, Progress, cached, fetch
from vitviz.models.hugging_face.names import Place
from vitviz.models.source import WEIGHTS_FILE, Source

CONFIG, PROCESSOR, PROCESSORS = "config.json", "preprocessor_config.json", "processor_config.json"
_MAX_JSON_BYTES = 8 << 20


def configuration(place: Place) -> dict[str, Any]:
    """What config.json says. Raises HubError or ModelError where there is none, or it is no object of JSON."""
    if place.folder is not None and not (place.folder / CONFIG).is_file():
        raise ModelError(
            f"There is no folder with a {CONFIG} under {place.folder.name!r}. A folder holds what transformers' "
            "save_pretrained writes; a model of the hub is named as hf:owner/name."
        )
    return _read(_file(place, CONFIG))


def processor_settings(place: Place) -> dict[str, Any]:
    """What the image processor's description says; empty where there is none."""
    found = _optional(place, PROCESSOR)
    if found is not None:
        return _read(found)
    found = _optional(place, PROCESSORS)  # the newer form, with the tokeniser's settings beside
    nested = {} if found is None else _read(found).get("image_processor", {})
    return nested if isinstance(nested, dict) else {}


def weights_file(place: Place, progress: Progress | None = None) -> Path:
    """The path of the weights as one safetensors file. Raises HubError or ModelError where there is none."""
    if place.folder is None:
        return fetch(_source(place, WEIGHTS_FILE), progress)
    path = place.folder / WEIGHTS_FILE
    if path.is_file():
        return path
    split = (place.folder / f"{WEIGHTS_FILE}.index.json").is_file()
    found = "its weights are split over several files" if split else f"it has no {WEIGHTS_FILE}"
    raise ModelError(
        f"The folder {place.folder.name!r} cannot be loaded: {found}. Other formats are not read, because opening them may "
        "run code; save the model with save_pretrained into one safetensors file."
    )


def _optional(place: Place, file: str) -> Path | None:
    if place.folder is not None:
        return path if (path := place.folder / file).is_file() else None
    try:
        return fetch(_source(place, file))
    except NoSuchFile:
        return None
    except HubError:
        # Descriptions come before weights: where the weights came and this did not, the repository does not have it.
        if cached(_source(place, WEIGHTS_FILE)) is None:
            raise
        return None


def _file(place: Place, file: str) -> Path:
    return fetch(_source(place, file)) if place.folder is None else place.folder / file


def _source(place: Place, file: str) -> Source:
    assert place.repository is not None
    return Source(place.repository, place.revision, file)


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ModelError(f"{path.name} is larger than {_MAX_JSON_BYTES >> 20} MB, so it describes no model.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is not an object of JSON, so it describes no model.")
    return found
