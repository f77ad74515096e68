"""Convolutional networks for comparison with a Vision Transformer: the embedded one, or one of timm's by name."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import is_model, split_model_name_tag
from torch import nn

from vitviz.capture.modules import input_channels
from vitviz.errors import INPUT_ERRORS, HubError, ModelError, UnsupportedError
from vitviz.models import embedded
from vitviz.models.checkpoint import CheckpointConfig, imagenet_labels
from vitviz.models.embedded import Cnn
from vitviz.models.hub import STILL_WORKS, fetch
from vitviz.models.model import pick_device
from vitviz.models.names import source_of
from vitviz.models.preparation import built_size
from vitviz.models.registry import build, build_on_meta, pretrained_cfg
from vitviz.models.weights import refuse_not_finite, sha256_of
from vitviz.outputs import OutputKind, output_kind, output_name
from vitviz.progress import Progress

EMBEDDED = "embedded-cnn"
# Suggested names: a classic network, a modern one, and one for mobile devices.
SUGGESTED = ("resnet50.a1_in1k", "convnext_tiny.fb_in1k", "mobilenetv3_large_100.ra_in1k")


def load_cnn(
    name: str = EMBEDDED, *, weights: str = "pretrained", device: str = "auto", progress: Progress | None = None
) -> Cnn:
    """Loads a convolutional network.

    Args:
        name: "embedded-cnn", an EfficientNet-Lite0 with the same 293 everyday classes as the embedded Vision Transformer, or a
            name of timm's registry.
        weights: "pretrained" (from the hub), "random" or "random:<seed>". The embedded network always has its own weights.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        progress: Called with (bytes done, bytes in all) during a download.

    Returns:
        The network in evaluation mode, with its preprocessing, labels and hash of the weights.

    Raises:
        ModelError: For an unknown name, or weights that are missing, damaged or do not fit.
        HubError: If the weights cannot be downloaded.
        UnsupportedError: For a network without a classifier, or whose last features are not a feature map.
    """
    if name == EMBEDDED:
        return embedded.load_embedded_cnn(device)
    if not is_model(split_model_name_tag(name)[0]):
        raise ModelError(
            f'No model is called {name[:80]!r} in timm\'s registry; ask for "{EMBEDDED}" or for one of its names.'
        )
    bare = build_on_meta(name)
    if output_kind(bare) is OutputKind.FEATURES:
        raise UnsupportedError(f"{name} has no classifier, so there is no answer to compare.")
    cfg = pretrained_cfg(name)
    if not _ends_in_map(bare, built_size(bare, cfg)):
        raise UnsupportedError(
            f"The last features of {name} are not a map (channels, rows, cols). Choose a convolutional network "
            "such as resnet18 or convnext_tiny."
        )
    if weights == "pretrained":
        source = source_of(name, cfg)
        path = fetch(source, progress)
        try:
            module = build(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
        except ModelError as error:
            raise HubError(
                f"The weights that the hub has as {source.repository} do not fit {name}. {STILL_WORKS}"
            ) from error
        refuse_not_finite(module, f"The weights of {name}")
        weights_hash, labels = sha256_of(path), imagenet_labels(cfg)
    elif weights == "random" or (weights.startswith("random:") and weights[7:].isdecimal()):
        seed = int(weights[7:] or 0)
        module, weights_hash, labels = build(name, seed=seed), f"random:{seed}", None
    else:
        raise ModelError(f'Weights of a convolutional network are "pretrained" or "random:<seed>", not {weights!r}.')
    kind = output_kind(module)
    names = labels or tuple(output_name(None, index, kind) for index in range(int(bare.num_classes)))  # type: ignore[arg-type]
    return Cnn(
        name,
        split_model_name_tag(name)[0],
        module.to(pick_device(device)),
        built_size(module, cfg),
        CheckpointConfig().preprocessing_over(cfg),
        tuple(names),
        weights_hash,
        weights="pretrained" if weights == "pretrained" else "random",
    )


def training_of(model: Any) -> tuple[str, str]:
    """(pretraining, fine-tuning) of a model as short texts; "" if unknown.

    Args:
        model: A `Model` or a `Cnn`. For a name of timm's registry it follows from the tag: in "augreg_in21k_ft_in1k" the part
            after "ft" is the fine-tuning.
    """
    if model.weights == "random":
        return "nothing: its weights are random", "nothing"
    if model.weights == "embedded":
        return embedded.TRAINING[embedded.CNN if isinstance(model, Cnn) else embedded.VIT]
    if model.weights != "pretrained" or not is_model(split_model_name_tag(model.name)[0]):
        return "", ""
    tag = split_model_name_tag(model.name)[1] or str(getattr(pretrained_cfg(model.name), "tag", "") or "")
    before, fine, then = tag.partition("_ft_")
    return before, then if fine else "nothing"


def _ends_in_map(bare: nn.Module, size: tuple[int, int]) -> bool:
    """Whether the input of the head of a module on the meta device is a feature map (batch, channels, rows, cols)."""
    features: Any = getattr(bare, "forward_features", None)
    if features is None or not hasattr(bare, "forward_head") or getattr(bare, "output_fmt", "NCHW") != "NCHW":
        return False
    try:
        with torch.inference_mode():
            found = features(torch.empty(1, input_channels(bare), *size, device="meta"))
    except INPUT_ERRORS:
        return False
    return isinstance(found, torch.Tensor) and found.ndim == 4
