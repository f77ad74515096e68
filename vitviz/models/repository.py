"""Repositories of the hub and folders: configurations, weights as one safetensors file, and models saved by timm.

timm's `save_for_hf` and `push_to_hf_hub` write a config.json and a model.safetensors, in a repository of the hub
("hf-hub:owner/name") or in a folder ("local-dir:folder").

timm's own loader opens files, URLs and pickles that a configuration names; here the configuration is untrusted text, and only
fields that describe the model are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timm.models import is_model_pretrained
from torch import nn

from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models.checkpoint import (
    MODEL_ARGS,
    CheckpointConfig,
    checked_config,
    imagenet_labels,
    is_model_arg,
    read_json,
)
from vitviz.models.hub import STILL_WORKS, NoSuchFile, fetch
from vitviz.models.names import WEIGHTS_FILE, ModelLocation, Source, is_file_name
from vitviz.models.registry import build, pretrained_cfg
from vitviz.models.weights import build_filled, how_to_convert, read_weights, sha256_of
from vitviz.progress import Progress

CONFIG, PROCESSOR, PROCESSORS = "config.json", "preprocessor_config.json", "processor_config.json"


def configuration(location: ModelLocation) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        HubError, ModelError: If there is none, or if it is not a JSON object.
    """
    if location.folder is not None and not (location.folder / CONFIG).is_file():
        raise ModelError(
            f"There is no folder with a {CONFIG} under {location.folder.name!r}. A folder holds what transformers' "
            "save_pretrained writes; a model of the hub is named as hf:owner/name."
        )
    return _read(_file(location, CONFIG))


def processor_settings(location: ModelLocation) -> dict[str, Any]:
    """The content of the image processor's configuration; empty if there is none."""
    found = _optional(location, PROCESSOR)
    if found is not None:
        return _read(found)
    found = _optional(location, PROCESSORS)  # the newer form, which also has the tokeniser's settings
    nested = {} if found is None else _read(found).get("image_processor", {})
    return nested if isinstance(nested, dict) else {}


def weights_file(location: ModelLocation, progress: Progress | None = None) -> Path:
    """The path of the weights as one safetensors file.

    Raises:
        HubError, ModelError: If there is none.
    """
    if location.folder is None:
        return fetch(_source(location, WEIGHTS_FILE), progress)
    path = location.folder / WEIGHTS_FILE
    if path.is_file():
        return path
    split = (location.folder / f"{WEIGHTS_FILE}.index.json").is_file()
    found = "its weights are split over several files" if split else f"it has no {WEIGHTS_FILE}"
    others = sorted(
        path for path in location.folder.iterdir() if is_file_name(path.name) and path.suffix != ".safetensors"
    )
    how = how_to_convert(others[0]) if others and not split else "Save the model again into one safetensors file."
    raise ModelError(f"The folder {location.folder.name!r} cannot be loaded: {found}. {how}")


def _optional(location: ModelLocation, file: str) -> Path | None:
    if location.folder is not None:
        return path if (path := location.folder / file).is_file() else None
    try:
        return fetch(_source(location, file))
    except NoSuchFile:  # the hub has said so; a hub out of reach is another error
        return None


def _file(location: ModelLocation, file: str) -> Path:
    return fetch(_source(location, file)) if location.folder is None else location.folder / file


def _source(location: ModelLocation, file: str) -> Source:
    assert location.repository is not None
    return Source(location.repository, location.revision, file)


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} is not an object of JSON, so it describes no model.")
    return found


# Arguments that change training only.
_OF_TRAINING = {"drop_rate", "drop_path_rate", "weight_init", "fix_init", "pretrained_strict", "strict_img_size"}
_FILLED_BY_TIMM = "they were brought into timm's form as timm does"


@dataclass(frozen=True)
class RepositoryConfig:
    """A validated config.json.

    Attributes:
        location: Where the files are.
        config: Its content in the form of a checkpoint's description.
    """

    location: ModelLocation
    config: CheckpointConfig

    @property
    def architecture(self) -> str:
        assert self.config.architecture is not None
        return self.config.architecture


def describe(location: ModelLocation) -> RepositoryConfig:
    """Reads and validates config.json, without the weights.

    Raises:
        ModelError: For an invalid field, which the message names.
        HubError: As `hub.fetch`.
        UnsupportedError: For a model of another library.
    """
    given = configuration(location)
    if "architecture" not in given and "model_type" in given:
        where = location.repository or "./folder"
        raise UnsupportedError(
            f"{_location_words(location)} was written by transformers and not by timm; ask for it as hf:{where}, with the "
            "extra vitviz[transformers]."
        )
    return RepositoryConfig(location, _config(given, location))


def _location_words(location: ModelLocation) -> str:
    return location.repository or f"The folder {location.folder.name!r}"  # type: ignore[union-attr]


def _config(given: Mapping[str, Any], location: ModelLocation) -> CheckpointConfig:
    """A timm configuration in the form of a checkpoint's description, validated by the same rules."""
    cfg = given.get("pretrained_cfg", given)  # in older files all fields are on one level
    if not isinstance(cfg, Mapping):
        raise ModelError(f"In config.json of {_location_words(location)}, pretrained_cfg has to be an object.")
    args = given.get("model_args") or {}
    if not isinstance(args, Mapping):
        raise ModelError(f"In config.json of {_location_words(location)}, model_args has to be an object.")
    args = {name: value for name, value in args.items() if name not in _OF_TRAINING and value is not None}
    classes = args.pop("num_classes", given.get("num_classes", cfg.get("num_classes")))
    # Further arguments of timm's builder: booleans, strings and numbers of MODEL_ARGS, none of which names a file.
    if unknown := sorted(
        str(name) for name, value in args.items() if name not in MODEL_ARGS or not is_model_arg(name, value)
    ):
        raise UnsupportedError(
            f"{_location_words(location)} was built with the argument {unknown[0][:40]!r}, which is not taken from a file here."
        )
    preprocessing = {
        ours: cfg[theirs]
        for ours, theirs in (
            ("mean", "mean"),
            ("std", "std"),
            ("interpolation", "interpolation"),
            ("crop_fraction", "crop_pct"),
        )
        if cfg.get(theirs) is not None
    }
    described = {
        "architecture": given.get("architecture", cfg.get("architecture")),
        "num_classes": classes,
        "labels": _labels(given, cfg, classes),
        "preprocessing": preprocessing,
        "model_args": args,
    }
    config = checked_config({name: value for name, value in described.items() if value is not None}, "config.json")
    if config.architecture is None:
        raise ModelError(f"config.json of {_location_words(location)} does not say which architecture it describes.")
    if cfg.get("crop_mode") == "squash":
        config.preprocessing["framing"] = "squash"  # type: ignore[index]
    return config


def _labels(given: Mapping[str, Any], cfg: Mapping[str, Any], classes: Any) -> list[str] | None:
    """One label for each class if the file names all of them, else None."""
    names = given.get("label_names", cfg.get("label_names", given.get("labels", cfg.get("labels"))))
    words = given.get("label_descriptions", cfg.get("label_descriptions"))
    if isinstance(names, Mapping):
        names = [names.get(str(index)) for index in range(len(names))]
    if not isinstance(names, list) or len(names) != classes or not all(isinstance(name, str) for name in names):
        return None
    said = [words.get(name, name) for name in names] if isinstance(words, Mapping) else names
    return [word if isinstance(word, str) else name for word, name in zip(said, names, strict=True)]


def load_weights(described: RepositoryConfig, progress: Progress | None) -> tuple[nn.Module, tuple[str, ...], str]:
    """(module, changes that made the weights fit, sha256).

    Raises:
        ModelError: For weights that do not fit; the message names the tensors.
        HubError: If they cannot be downloaded.
    """
    location, config = described.location, described.config
    path = weights_file(location, progress)
    what, state = f"The weights of {_location_words(location)}", read_weights(path)
    try:
        module, notes = build_filled(described.architecture, config.build_args(), state, None, what)
    except ModelError as error:
        # timm translates weights of other code to its own names, as for a name of its registry.
        overlay = {"file": str(path), "num_classes": config.num_classes}
        try:
            module = build(
                described.architecture,
                pretrained=True,
                pretrained_cfg_overlay={name: value for name, value in overlay.items() if value is not None},
                **config.build_args(),
            )
        except ModelError:
            raise (ModelError(str(error)) if location.folder else HubError(f"{error} {STILL_WORKS}")) from error
        notes = (f"{what} are not in the names of timm's modules; {_FILLED_BY_TIMM}.",)
    return module, notes, sha256_of(path)


def labels_of(described: RepositoryConfig) -> tuple[str, ...] | None:
    """The file's own labels; for repositories of timm's own models, which are in its registry, those of ImageNet."""
    owner, _, name = (described.location.repository or "").partition("/")
    if described.config.labels is None and owner == "timm" and is_model_pretrained(name):
        return imagenet_labels(pretrained_cfg(name))
    return described.config.labels
