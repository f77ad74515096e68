"""The trained models that come with vitviz, so that it works without a network.

`assets/models/` contains their weights, their descriptions, the names and groups of their classes, and `measured.json`, written
by `scripts/measure_models.py`: accuracies, calibration temperature and the threshold of out-of-distribution detection.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitviz.assets import asset_path
from vitviz.capture.modules import copied
from vitviz.errors import ModelError
from vitviz.models.checkpoint import CheckpointConfig, read_config
from vitviz.models.model import Model, Preprocessing, pick_device
from vitviz.models.registry import build_on_meta, pretrained_cfg
from vitviz.models.weights import fill, read_weights, sha256_of
from vitviz.outputs import OODDetector

_AGAIN = "Fetch the repository again, with its large files."

VIT = "vit_small_patch14_everyday"
CNN = "tf_efficientnet_lite0_everyday"
# (pretraining, fine-tuning) data of each model; assets/models/README.md has the details.
TRAINING: dict[str, tuple[str, str]] = {
    VIT: (
        "DINOv2 without labels, then maps of where people look",
        "Caltech-101; then blocks 6 to 11 and a classifier of 293 classes",
    ),
    CNN: ("ImageNet with labels", "a classifier of the same 293 classes; nothing else was changed"),
}
# Names of earlier embedded models, which links and scripts may still contain.
REPLACED = {"vit_small_patch14_caltech101": "embedded", "tf_efficientnet_lite0_caltech101": "embedded-cnn"}


def folder() -> Path:
    """The folder of the embedded models.

    Raises:
        ModelError: If this installation has none.
    """
    try:
        return asset_path("models")
    except FileNotFoundError as missing:
        raise ModelError(f"The embedded models cannot be read: {missing}.") from missing


def refuse_other_names(name: str) -> None:
    """Raises ModelError for names of embedded models that `load_model` does not load: earlier ones, and the convolutional
    network, which has no tokens.
    """
    stem = Path(str(name)).name.removesuffix(".safetensors")
    if stem in REPLACED:
        raise ModelError(f"{stem} has 101 classes and was removed; use {REPLACED[stem]!r}, which has 293 classes.")
    if stem == "embedded-cnn":
        raise ModelError(
            'The model "embedded-cnn" is a convolutional network without attention; load it with load_cnn(), or ask for '
            '"embedded".'
        )


@dataclass(frozen=True, eq=False)
class Cnn:
    """A convolutional network, for comparison. It has no tokens, so it is not a `Model`.

    `prepare` takes it with the framings "crop" and "squash".

    Attributes:
        name: The name it was loaded by.
        architecture: timm's name of the architecture.
        module: timm's module, in evaluation mode.
        input_size: (height, width) in pixels.
        preprocessing: How a photograph becomes the input.
        labels: One name for each class.
        weights_hash: sha256 of the weights file, or "random:<seed>".
        ood_detector: Recognises images of which none of the classes applies; None if no threshold is known.
        weights: "embedded", "pretrained" or "random".
        lock: Hold it around a forward pass.
    """

    name: str
    architecture: str
    module: nn.Module
    input_size: tuple[int, int]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    weights_hash: str
    ood_detector: OODDetector | None = None
    weights: str = "embedded"
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __repr__(self) -> str:
        height, width = self.input_size
        return f"Cnn({self.name!r}: {self.architecture}, {height}x{width} pixels, {len(self.labels)} classes, {self.weights})"

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @cached_property
    def background_copy(self) -> Cnn:
        """As `Model.background_copy`."""
        with self.lock:
            module = copied(self.module, [*self.module.parameters(), *self.module.buffers()])
        return replace(self, module=module, lock=threading.RLock())


def load_embedded_cnn(device: str = "auto") -> Cnn:
    """The embedded EfficientNet-Lite0, with the same 293 everyday classes as the embedded Vision Transformer.

    Raises:
        ModelError: If the file is missing or damaged.
    """
    module, config, weights_hash = read_embedded(CNN)
    assert config.architecture and config.input_size and config.labels
    return Cnn(
        "embedded-cnn",
        config.architecture,
        module.to(pick_device(device)),
        config.input_size,
        config.preprocessing_over(pretrained_cfg(config.architecture)),
        config.labels,
        weights_hash,
        ood_detector(CNN),
    )


def read_embedded(stem: str) -> tuple[nn.Module, CheckpointConfig, str]:
    """(module, description, sha256) of an embedded model; its file is checked against the sha256 in the description.

    The classifier's weight and bias are divided by the model's temperature (Guo et al. 2017, arXiv 1706.04599, section 4.2), so
    that the softmax of its logits is a calibrated probability everywhere.
    """
    config, weights_hash = embedded_config(stem), checked_hash(stem)
    assert config.architecture is not None
    # Built on the meta device and then filled: 22 million random weights, which are replaced anyway, would take a second.
    module = build_on_meta(config.architecture, **config.build_args())
    fill(module, read_weights(folder() / f"{stem}.safetensors"), "The embedded weights")
    with torch.no_grad():
        for parameter in module.get_classifier().parameters():  # type: ignore[operator]
            parameter /= temperature(stem)
    return module, config, weights_hash


def embedded_config(stem: str) -> CheckpointConfig:
    """The description of an embedded model, with the names of its classes.

    Raises:
        ModelError: If it is missing or lacks the fields needed to check the weights.
    """
    path = folder() / f"{stem}.json"
    if not path.is_file():
        raise ModelError(f"The embedded model's description {path.name} is missing from assets/models. {_AGAIN}")
    config = read_config(path.with_suffix(".safetensors"))
    needed = {"architecture", "sha256", "input_size"}
    if absent := sorted(name for name in needed if not getattr(config, name)):
        raise ModelError(f"The embedded model's description {path.name} is damaged: it has no {absent[0]}. {_AGAIN}")
    return replace(config, labels=tuple(class_groups()))


def class_groups() -> dict[str, str]:
    """Class name -> group, in the order of the outputs.

    Raises:
        ModelError: If the list is missing, has a line without exactly one name and one group, or a name twice.
    """
    path = folder() / "everyday_labels.tsv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ModelError(f"The embedded models' list of classes {path.name} is missing or no text. {_AGAIN}") from error
    rows = [line.split("\t") for line in lines]
    groups = {row[0]: row[-1] for row in rows}
    if not rows or len(groups) != len(rows) or any(len(row) != 2 or not all(map(str.strip, row)) for row in rows):
        raise ModelError(
            f"The embedded models' list of classes {path.name} is damaged: each line is a name, a tab and a group, and no name "
            f"comes twice. {_AGAIN}"
        )
    return groups


def temperature(stem: str) -> float:
    """The calibration temperature of an embedded model, fitted by `scripts/measure_models.py`."""
    return float(_measured(stem, "temperature"))


def ood_detector(stem: str) -> OODDetector:
    """The out-of-distribution detection of an embedded model."""
    found = _measured(stem, "ood_detector")
    return OODDetector(str(found["score"]), float(found["threshold"]))


def _measured(stem: str, what: str) -> Any:
    try:
        return measured()[stem][what]
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"The embedded models' measurements measured.json have no {what} of {stem}. {_AGAIN}"
        ) from error


def right_by_layer(model: Model) -> tuple[float, ...] | None:
    """The share of the measured photographs for which the first name, read before the first layer and after each, is right.

    None for models other than the embedded one, and where it was not measured.
    """
    return _right_by_layer() if model.weights == "embedded" else None


@lru_cache(maxsize=1)
def _right_by_layer() -> tuple[float, ...] | None:
    found = _measured(VIT, "inside").get("lens_right")
    return tuple(map(float, found)) if found else None


def measured() -> Mapping[str, Any]:
    """Results of `scripts/measure_models.py` by file name without extension: accuracy, calibration, detection, lower bounds.

    Raises:
        ModelError: If the file is missing or damaged.
    """
    path = folder() / "measured.json"
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"The embedded models' measurements {path.name} are missing or damaged. {_AGAIN}") from error
    return found


@lru_cache(maxsize=4)
def checked_hash(stem: str) -> str:
    path, expected = folder() / f"{stem}.safetensors", embedded_config(stem).sha256 or ""
    if not path.is_file():
        raise ModelError(f"The embedded model's file {path.name} is missing from assets/models. {_AGAIN}")
    found = sha256_of(path)
    if found != expected:
        raise ModelError(
            f"The embedded model's file {path.name} is damaged: its sha256 begins {found[:12]} and not "
            f"{expected[:12]}. {_AGAIN}"
        )
    return found
