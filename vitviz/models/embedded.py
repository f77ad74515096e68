"""The trained models that vitviz carries, so that everything works without a network."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from vitviz.assets import asset_path
from vitviz.errors import ModelError
from vitviz.models.build import build_on_meta, pretrained_cfg
from vitviz.models.checkpoint import CheckpointConfig, read_config
from vitviz.models.device import pick_device
from vitviz.models.model import Preprocessing
from vitviz.models.weights import fill, read_weights, sha256_of

_AGAIN = "Fetch the repository again, with its large files."

VIT = "vit_small_patch14_caltech101"
CNN = "tf_efficientnet_lite0_caltech101"


def folder() -> Path:
    """Where the embedded models lie. Raises ModelError where this copy of vitviz has none."""
    try:
        return asset_path("models")
    except FileNotFoundError as missing:
        raise ModelError(f"The embedded models cannot be read: {missing}.") from missing


@dataclass(frozen=True, eq=False)
class Cnn:
    """The embedded convolutional network, for comparison: it has no tokens, so it is no `Model`.

    Fields are those of `Model`; `prepare` takes it with the framings "crop" and "squash".
    """

    name: str
    architecture: str
    module: nn.Module
    input_size: tuple[int, int]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    weights_hash: str
    weights: str = "embedded"
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device


def load_cnn(device: str = "auto") -> Cnn:
    """The embedded EfficientNet-Lite0, trained on the same 101 kinds of objects as the embedded Vision Transformer.

    Raises ModelError where the file is missing or damaged.
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
    )


def read_embedded(stem: str) -> tuple[nn.Module, CheckpointConfig, str]:
    """(module, description, sha256) of an embedded model, its file checked against the sha256 in the description."""
    config, weights_hash = embedded_config(stem), _checked_hash(stem)
    assert config.architecture is not None
    # Built without numbers and then filled: drawing 22 million random weights only to replace them would cost a second.
    module = build_on_meta(config.architecture, **config.build_args())
    fill(module, read_weights(folder() / f"{stem}.safetensors"), "The embedded weights")
    return module, config, weights_hash


def embedded_config(stem: str) -> CheckpointConfig:
    """The description of an embedded model. Raises ModelError where it is missing or says too little to check the weights."""
    path = folder() / f"{stem}.json"
    if not path.is_file():
        raise ModelError(f"The embedded model's description {path.name} is missing from assets/models. {_AGAIN}")
    config = read_config(path.with_suffix(".safetensors"))
    needed = {"architecture", "sha256", "labels", "input_size"}
    if absent := sorted(name for name in needed if not getattr(config, name)):
        raise ModelError(f"The embedded model's description {path.name} is damaged: it has no {absent[0]}. {_AGAIN}")
    return config


@lru_cache(maxsize=4)
def _checked_hash(stem: str) -> str:
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
