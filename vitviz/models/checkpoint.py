"""The description of a checkpoint: a JSON file beside a safetensors file. Nothing is unpickled.

The JSON has the checkpoint's name with the extension .json. All fields except the first are optional:

    architecture   a name of timm's registry, without a pretrained tag
    num_classes    outputs of the classifier; by default timm's number for the architecture
    problem_type   what the outputs are, with the names of transformers: "single_label_classification" (exactly one class
                   applies: softmax), "multi_label_classification" (labels are independent: sigmoid), "regression" (numbers),
                   or "features" (no classifier). By default a sigmoid for one output, a softmax for more, and features if there
                   are no labels and timm's configuration for the architecture is an image tower (CLIP) with as many outputs
    labels         the outputs' names in order: a list of strings, or the name of a UTF-8 text file beside the checkpoint with
                   one name a line (with a tab, the text after it is the display name)
    input_size     [height, width] in pixels
    preprocessing  mean and std (one number for each channel, on values in [0, 1]), interpolation ("bicubic", "bilinear",
                   "nearest", "lanczos"), crop_fraction (above 0, at most 1); by default timm's for the architecture
    model_args     further arguments of timm's builder, of those in MODEL_ARGS, such as
                   {"img_size": 518, "reg_tokens": 4} or {"in_chans": 1}
    sha256         of the checkpoint; it has to match
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import PretrainedCfg

from vitviz.errors import ModelError
from vitviz.models.model import Preprocessing
from vitviz.outputs import OutputKind, kind_of_count

_MAX_BYTES, _MAX_LENGTH = 8 << 20, 300
# Control characters of the reading direction, which would also change text after the label.
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def imagenet_labels(cfg: PretrainedCfg) -> tuple[str, ...] | None:
    """Labels of a classifier pretrained on a subset of ImageNet that timm lists, or None for any other.

    timm has no field for the data set: the subset follows from the number of classes, as in timm's own inference script.
    """
    subset = infer_imagenet_subset({"num_classes": cfg.num_classes})
    return None if subset is None else _subset_labels(subset)


@lru_cache(maxsize=4)
def _subset_labels(subset: str) -> tuple[str, ...]:
    full = ImageNetInfo(subset).label_descriptions()
    first = [names.split(",")[0] for names in full]  # "sports car, sport car": the first of several names
    uses = Counter(first)
    # "crane" is a bird and a machine: classes with the same first name keep all their names
    return tuple(names if uses[label] > 1 else label for label, names in zip(first, full, strict=True))


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a file with one class a line; with a tab, the text after it is the label.

    Raises:
        ModelError: For a file that is too large or not in UTF-8.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ModelError(f"{path.name} is larger than {_MAX_BYTES >> 20} MB, so it cannot be a list of labels.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path.name} is not text in UTF-8 (byte {error.start} does not fit); save the labels in UTF-8."
        ) from error
    return tuple(one_line(line.split("\t")[-1]) for line in lines if line.strip())


def one_line(label: str) -> str:
    """A label as one line of printable text of at most 300 characters.

    Control characters, lone surrogates and changes of the reading direction are removed. Markup is kept; the
    display escapes it.
    """
    words = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char
        for char in label
        if char not in _DIRECTION
    ).split()
    text = " ".join(words)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


MODEL_ARGS = frozenset(
    {
        "class_token",
        "embed_dim",
        "depth",
        "depths",
        "dynamic_img_pad",
        "dynamic_img_size",
        "fc_norm",
        "final_norm",
        "global_pool",
        "img_size",
        "in_chans",
        "init_values",
        "mlp_ratio",
        "no_embed_class",
        "num_heads",
        "patch_size",
        "pos_embed",
        "pre_norm",
        "qk_norm",
        "qkv_bias",
        "reg_tokens",
        "window_size",
    }
)
_FIELDS = frozenset(
    {"architecture", "num_classes", "problem_type", "labels", "input_size", "preprocessing", "model_args", "sha256"}
)
# Above the values of every existing model; larger values in a description would exhaust memory.
_LARGEST_ARG, _DEEPEST, _MOST_CLASSES, _LONGEST_SIDE = 1 << 16, 512, 1 << 20, 1 << 14
_INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos")
_MAX_JSON_BYTES = 8 << 20
_MOST, _LEAST_STD = 1e6, 1e-6


@dataclass(frozen=True)
class CheckpointConfig:
    """A validated description of a checkpoint. The fields are those of the JSON; None for one that is missing."""

    architecture: str | None = None
    num_classes: int | None = None
    labels: tuple[str, ...] | None = None
    input_size: tuple[int, int] | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    model_args: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    output_kind: OutputKind | None = None

    def preprocessing_over(self, cfg: PretrainedCfg) -> Preprocessing:
        """timm's preprocessing for the architecture, with this checkpoint's fields in place of timm's."""
        return replace(timm_preprocessing(cfg), **self.preprocessing)

    def build_args(self) -> dict[str, Any]:
        classes = {} if self.num_classes is None else {"num_classes": self.num_classes}
        return {**self.model_args, **classes}


def timm_preprocessing(cfg: PretrainedCfg) -> Preprocessing:
    """The preprocessing of timm's own evaluation for a pretrained configuration."""
    framing = "squash" if cfg.crop_mode == "squash" else "crop"
    return Preprocessing(tuple(cfg.mean), tuple(cfg.std), cfg.interpolation, cfg.crop_pct, framing)


def for_channels(preprocessing: Preprocessing, channels: int) -> Preprocessing:
    """Mean and std with one number for each channel.

    A single number is repeated for every channel; for grey pictures three numbers become their mean, as in
    timm (`timm.data.resolve_data_config`).
    """

    def fitted(values: tuple[float, ...]) -> tuple[float, ...]:
        if len(values) == channels:
            return values
        return (sum(values) / len(values),) * channels

    return replace(preprocessing, mean=fitted(preprocessing.mean), std=fitted(preprocessing.std))


def read_config(path: Path, given: Mapping[str, Any] | None = None) -> CheckpointConfig:
    """The description beside the checkpoint at `path`, or `given` in its place; empty if there is neither.

    Raises:
        ModelError: For an invalid field, which the message names.
    """
    beside = path.with_suffix(".json")
    if given is None:
        if not beside.is_file():
            return CheckpointConfig()
        given = read_json(beside)
    return _validated(given, f"{beside.name}" if beside.is_file() else "the checkpoint's description", path.parent)


def read_json(path: Path) -> Any:
    """The content of a small JSON file.

    Raises:
        ModelError: For one that is too large, cannot be read or is not JSON.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{path.name} is larger than {_MAX_JSON_BYTES >> 20} MB, so it cannot describe a model.")
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}.") from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read ({error.strerror}). Check that it may be opened.") from error


def checked_config(given: Mapping[str, Any], where: str) -> CheckpointConfig:
    """Validates a description that came with a model from the hub or a folder; it must not name further files.

    Raises:
        ModelError: As `read_config`.
    """
    return _validated(given, where, None)


def _validated(given: Any, where: str, folder: Path | None) -> CheckpointConfig:
    def refuse(what: str) -> ModelError:
        return ModelError(f"In {where}, {what}.")

    if not isinstance(given, Mapping):
        raise refuse("the top level has to be an object with an architecture")
    unknown = sorted(set(map(str, given)) - _FIELDS)
    if unknown:
        raise refuse(f"{unknown[0]!r} is not a known field; known are {', '.join(sorted(_FIELDS))}")
    architecture, num_classes = given.get("architecture"), given.get("num_classes")
    if architecture is not None and (not isinstance(architecture, str) or not architecture):
        raise refuse("architecture has to be a name of timm's registry")
    if num_classes is not None and not _is_whole(num_classes, 0, _MOST_CLASSES):
        raise refuse("num_classes has to be a whole number, 0 for a model without a classifier")
    labels = _labels(given.get("labels"), folder, refuse)
    if labels is not None and num_classes is not None and len(labels) != num_classes:
        raise refuse(f"there are {len(labels)} labels for {num_classes} classes")
    if labels == ():
        if num_classes is None:
            raise refuse("labels is empty; leave it out where the classes have no names, or give num_classes 0")
        labels = None  # features have no names
    kind = _kind(given.get("problem_type"), num_classes, labels, refuse)
    size = given.get("input_size")
    if size is not None and not (
        isinstance(size, list | tuple) and len(size) == 2 and all(_is_whole(side, 1, _LONGEST_SIDE) for side in size)
    ):
        raise refuse("input_size has to be [height, width] in pixels")
    model_args = given.get("model_args") or {}
    if not isinstance(model_args, Mapping) or set(model_args) - MODEL_ARGS:
        raise refuse(f"model_args may hold {', '.join(sorted(MODEL_ARGS))} and nothing else")
    for name, value in model_args.items():
        if not is_model_arg(name, value):
            raise refuse(f"model_args' {name} cannot be {str(value)[:40]!r}")
    sha256 = given.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64):
        raise refuse("sha256 has to be 64 hexadecimal digits")
    return CheckpointConfig(
        architecture,
        num_classes if num_classes is not None else len(labels) if labels else None,
        labels or None,
        tuple(size) if size is not None else None,
        _preprocessing(given.get("preprocessing"), refuse),
        dict(model_args),
        sha256,
        kind,
    )


def _kind(given: Any, num_classes: int | None, labels: tuple[str, ...] | None, refuse: Any) -> OutputKind | None:
    """The kind of outputs that the description declares; None if it has to be determined from the module."""
    if given is None:
        return kind_of_count(len(labels)) if labels else None
    if not isinstance(given, str) or given not in set(OutputKind):
        raise refuse(f"problem_type has to be one of {', '.join(OutputKind)}")
    kind = OutputKind(given)
    if kind is OutputKind.FEATURES and labels:
        raise refuse("there are labels, and problem_type says that the outputs are features")
    if kind is not OutputKind.FEATURES and num_classes == 0:
        raise refuse(f"problem_type is {kind} and num_classes is 0; without a classifier it is features")
    outputs = num_classes if num_classes is not None else len(labels) if labels else None
    # The softmax of a single output is always 1.
    return OutputKind.LABELS if kind is OutputKind.CLASSES and outputs == 1 else kind


def is_model_arg(name: str, value: Any) -> bool:
    """Whether a value can be an argument of timm's builder: a bounded number, a string, a boolean, or a short list."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return 0 <= value <= (_DEEPEST if name in ("depth", "depths") else _LARGEST_ARG)
    if isinstance(value, float):
        return _is_number(value)
    if isinstance(value, str):
        return re.fullmatch(r"[A-Za-z0-9_.\-]{0,64}", value) is not None
    if isinstance(value, list | tuple):
        return len(value) <= 16 and all(is_model_arg(name, entry) for entry in value)
    return False


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _labels(given: Any, folder: Path | None, refuse: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str):
        if folder is None or "\0" in given or re.split(r"[\\/]", given)[-1] != given or not (folder / given).is_file():
            raise refuse(f"labels names {given[:80]!r}, which is not a file beside the checkpoint")
        return read_labels(folder / given)
    if isinstance(given, list | tuple) and all(isinstance(label, str) for label in given):
        return tuple(map(one_line, given))
    raise refuse("labels has to be a list of strings or the name of a text file beside the checkpoint")


def _preprocessing(given: Any, refuse: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or set(given) - {"mean", "std", "interpolation", "crop_fraction"}:
        raise refuse("preprocessing may hold mean, std, interpolation and crop_fraction and nothing else")
    known: dict[str, Any] = dict(given)
    for name in ("mean", "std"):
        if name in known:
            values = known[name] if isinstance(known[name], list | tuple) else [known[name]]
            least = _LEAST_STD if name == "std" else -_MOST
            if len(values) not in (1, 3) or not all(_is_number(value) and value >= least for value in values):
                raise refuse(
                    f"preprocessing's {name} has to be three numbers{' above 0' if name == 'std' else ''}, or one for a model "
                    "of grey pictures"
                )
            known[name] = tuple(float(value) for value in values)
    if str(known.get("interpolation", "bicubic")) not in _INTERPOLATIONS:
        raise refuse(f"preprocessing's interpolation has to be one of {', '.join(_INTERPOLATIONS)}")
    fraction = known.get("crop_fraction", 1.0)
    if not _is_number(fraction) or not 0 < fraction <= 1:
        raise refuse("preprocessing's crop_fraction has to be above 0 and at most 1")
    return known


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST  # excludes NaN
