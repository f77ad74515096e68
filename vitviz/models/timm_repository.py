"""Models that timm's `save_for_hf` or `push_to_hf_hub` wrote: a config.json and a model.safetensors, in a repository of the
hub ("hf-hub:owner/name") or in a folder ("local-dir:folder").

timm's own loader would follow a configuration to files, addresses and pickles; here it is read as text from outside, and only
what describes the model is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from timm.models import is_model_pretrained
from torch import nn

from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models.build import build, pretrained_cfg
from vitviz.models.checkpoint import MODEL_ARGS, CheckpointConfig, checked_config, is_model_arg
from vitviz.models.fit import build_filled
from vitviz.models.hub import STILL_WORKS, Progress
from vitviz.models.hugging_face.files import configuration, weights_file
from vitviz.models.labels import imagenet_labels
from vitviz.models.names import Place
from vitviz.models.weights import read_weights, sha256_of

# Arguments that change training only.
_OF_TRAINING = {"drop_rate", "drop_path_rate", "weight_init", "fix_init", "pretrained_strict", "strict_img_size"}
_FILLED_BY_TIMM = "they were brought into timm's form as timm does"


@dataclass(frozen=True)
class Described:
    """What a config.json says: where the files are, and the description in the form of a checkpoint's."""

    place: Place
    config: CheckpointConfig

    @property
    def architecture(self) -> str:
        assert self.config.architecture is not None
        return self.config.architecture


def describe(place: Place) -> Described:
    """Reads the small file alone. Raises ModelError that names the field at fault, HubError as `hub.fetch`, UnsupportedError
    for a model of another library.
    """
    given = configuration(place)
    if "architecture" not in given and "model_type" in given:
        where = place.repository or "./folder"
        raise UnsupportedError(
            f"{_name(place)} was written by transformers and not by timm; ask for it as hf:{where}, with the extra "
            "vitviz[transformers]."
        )
    return Described(place, _config(given, place))


def _name(place: Place) -> str:
    return place.repository or f"The folder {place.folder.name!r}"  # type: ignore[union-attr]


def _config(given: Mapping[str, Any], place: Place) -> CheckpointConfig:
    """In the form of a checkpoint's description, validated by its rules."""
    cfg = given.get("pretrained_cfg", given)  # older files have everything on one level
    if not isinstance(cfg, Mapping):
        raise ModelError(f"In config.json of {_name(place)}, pretrained_cfg has to be an object.")
    args = given.get("model_args") or {}
    if not isinstance(args, Mapping):
        raise ModelError(f"In config.json of {_name(place)}, model_args has to be an object.")
    args = {name: value for name, value in args.items() if name not in _OF_TRAINING and value is not None}
    classes = args.pop("num_classes", given.get("num_classes", cfg.get("num_classes")))
    # Further arguments of the builder are switches, words and numbers; those that could name a file are none of these.
    if unknown := sorted(
        str(name) for name, value in args.items() if name not in MODEL_ARGS or not is_model_arg(name, value)
    ):
        raise UnsupportedError(
            f"{_name(place)} was built with the argument {unknown[0][:40]!r}, which is not taken from a file here."
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
        raise ModelError(f"config.json of {_name(place)} does not say which architecture it describes.")
    if cfg.get("crop_mode") == "squash":
        config.preprocessing["framing"] = "squash"  # type: ignore[index]
    return config


def _labels(given: Mapping[str, Any], cfg: Mapping[str, Any], classes: Any) -> list[str] | None:
    """One label a class where the file has a name for each, else None."""
    names = given.get("label_names", cfg.get("label_names", given.get("labels", cfg.get("labels"))))
    words = given.get("label_descriptions", cfg.get("label_descriptions"))
    if isinstance(names, Mapping):
        names = [names.get(str(index)) for index in range(len(names))]
    if not isinstance(names, list) or len(names) != classes or not all(isinstance(name, str) for name in names):
        return None
    said = [words.get(name, name) for name in names] if isinstance(words, Mapping) else names
    return [word if isinstance(word, str) else name for word, name in zip(said, names, strict=True)]


def load_weights(described: Described, progress: Progress | None) -> tuple[nn.Module, tuple[str, ...], str]:
    """(module, what was done to make the weights fit, sha256). Raises ModelError or HubError with what does not fit."""
    place, config = described.place, described.config
    path = weights_file(place, progress)
    what, state = f"The weights of {_name(place)}", read_weights(path)
    try:
        module, notes = build_filled(described.architecture, config.build_args(), state, None, what)
    except ModelError as error:
        # Weights that other code wrote are brought into timm's names by timm, as for a name of its registry.
        overlay = {"file": str(path), "num_classes": config.num_classes}
        try:
            module = build(
                described.architecture,
                pretrained=True,
                pretrained_cfg_overlay={name: value for name, value in overlay.items() if value is not None},
                **config.build_args(),
            )
        except ModelError:
            raise (ModelError(str(error)) if place.folder else HubError(f"{error} {STILL_WORKS}")) from error
        notes = (f"{what} are not in the names of timm's modules; {_FILLED_BY_TIMM}.",)
    return module, notes, sha256_of(path)


def labels_of(described: Described) -> tuple[str, ...] | None:
    """The file's own labels; ImageNet's for one of timm's own repositories, whose names are those of its registry."""
    owner, _, name = (described.place.repository or "").partition("/")
    if described.config.labels is None and owner == "timm" and is_model_pretrained(name):
        return imagenet_labels(pretrained_cfg(name))
    return described.config.labels
