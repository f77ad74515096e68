"""The files of a model of transformers, from the hub or a folder: descriptions, and weights from safetensors only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitviz.errors import ModelError
from vitviz.models.checkpoint import read_json
from vitviz.models.hub import NoSuchFile, Progress, fetch
from vitviz.models.names import Place, is_file_name
from vitviz.models.source import WEIGHTS_FILE, Source
from vitviz.models.weights import how_to_convert

CONFIG, PROCESSOR, PROCESSORS = "config.json", "preprocessor_config.json", "processor_config.json"


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
    others = sorted(
        path for path in place.folder.iterdir() if is_file_name(path.name) and path.suffix != ".safetensors"
    )
    how = how_to_convert(others[0]) if others and not split else "Save the model again into one safetensors file."
    raise ModelError(f"The folder {place.folder.name!r} cannot be loaded: {found}. {how}")


def _optional(place: Place, file: str) -> Path | None:
    if place.folder is not None:
        return path if (path := place.folder / file).is_file() else None
    try:
        return fetch(_source(place, file))
    except NoSuchFile:  # only the hub's own word counts: out of reach is not absent
        return None


def _file(place: Place, file: str) -> Path:
    return fetch(_source(place, file)) if place.folder is None else place.folder / file


def _source(place: Place, file: str) -> Source:
    assert place.repository is not None
    return Source(place.repository, place.revision, file)


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is not an object of JSON, so it describes no model.")
    return found
