"""Trained detectors of transformers, for comparison with `analysis/localization.py`: boxes and each query's attention.

DETR: Carion et al. 2020 (arXiv 2005.12872). Conditional DETR: Meng et al. 2021 (arXiv 2108.06152). YOLOS: Fang et al. 2021
(arXiv 2106.00666). A detector is not a `Model`, because its outputs are boxes. The forward pass is the library's own,
observed by `capture.observe`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.models import is_model, split_model_name_tag
from torch import Tensor, nn

from vitviz.capture.events import Call
from vitviz.capture.observe import observe
from vitviz.errors import CaptureError, HubError, ModelError, NotFiniteError, UnsupportedError
from vitviz.models.checkpoint import one_line
from vitviz.models.hub import STILL_WORKS
from vitviz.models.hugging_face.build import library, plain, quiet, refuse_outsized
from vitviz.models.names import ModelLocation, transformers_location
from vitviz.models.registry import BUILDING, first_line
from vitviz.models.repository import configuration, processor_settings, weights_file
from vitviz.models.weights import read_weights, refuse_not_finite, sha256_of
from vitviz.progress import Progress

# Deformable attention: a query attends to a few points between the cells of several maps, so there is no weight for each cell.
DEFORMABLE = frozenset(
    "deformable_detr deta rt_detr rt_detr_v2 d_fine deimv2 rf_detr lw_detr grounding-dino mm-grounding-dino omdet-turbo".split()
)
# Above the inputs of all detectors: an image processor's configuration is untrusted.
_LONGEST_SIDE = 2048
# Defaults that transformers writes for a timm backbone, and sets again if they are missing.
_USUAL = {"out_indices": ([1, 2, 3, 4],), "in_chans": (3,), "num_channels": (3,), "output_stride": (16,)}


@dataclass(frozen=True)
class DetectorType:
    """One model_type of transformers.

    Attributes:
        config: Class of its configuration.
        made: Class of the model with boxes as outputs.
        processor: Class of its image processor.
        softmax: Whether probabilities are a softmax whose last class is "no object"; else each class has a sigmoid.
    """

    config: str
    made: str
    processor: str
    softmax: bool


DETECTOR_TYPES = {
    "detr": DetectorType("DetrConfig", "DetrForObjectDetection", "DetrImageProcessor", True),
    "conditional_detr": DetectorType(
        "ConditionalDetrConfig", "ConditionalDetrForObjectDetection", "ConditionalDetrImageProcessor", False
    ),
    "yolos": DetectorType("YolosConfig", "YolosForObjectDetection", "YolosImageProcessor", True),
}


@dataclass(frozen=True, eq=False)
class Detector:
    """A loaded detector.

    Attributes:
        name: The name it was loaded by, "hf:" and a name or folder.
        kind: A key of `DETECTOR_TYPES`.
        module: The module of transformers, in evaluation mode.
        processor: Its image processor.
        labels: One name for each class, without "no object".
        weights: "pretrained" or "random".
        weights_hash: sha256 of the weights file, or "random:<seed>".
        lock: Hold it around a forward pass.
    """

    name: str
    kind: str
    module: nn.Module
    processor: Any
    labels: tuple[str, ...]
    weights: str
    weights_hash: str
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)


@dataclass(frozen=True, eq=False)
class Detections:
    """A detector's output for one photograph: one box for each query, most of them "no object".

    Attributes:
        boxes: (queries, 4) float32: left, top, right, bottom in the photograph's pixels; they may exceed it.
        probabilities: (queries, classes) float32.
        attention: (layers, heads, queries, rows, cols) float32. DETR and Conditional DETR: each query's cross-attention to the
            encoder's cells, which sums to 1. YOLOS: the detection token's self-attention to the patches, which sums to 1
            minus the weight on other tokens.
        attends: "cross-attention" or "self-attention".
        labels: One name for each class.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    attention: np.ndarray
    attends: str
    labels: tuple[str, ...]

    def above(self, threshold: float = 0.5) -> list[tuple[int, int, float]]:
        """(query, class, probability) of queries whose most probable class reaches the threshold, by decreasing probability."""
        best = self.probabilities.max(1)
        order = np.argsort(-best, kind="stable")
        chosen = [int(query) for query in order if best[query] >= threshold]
        return [(query, int(self.probabilities[query].argmax()), float(best[query])) for query in chosen]


def load_detector(name: str, seed: int | None = None, progress: Progress | None = None) -> Detector:
    """A detector from the hub ("hf:owner/name") or a folder ("hf:./folder").

    Args:
        name: Of a DETR, Conditional DETR or YOLOS.
        seed: Random weights of this seed in place of the trained ones.
        progress: Called with (bytes done, bytes in all) during a download.

    Returns:
        The module in evaluation mode, with its image processor, labels and hash of the weights.

    Raises:
        UnsupportedError: For another model, also for detectors with deformable attention.
        ModelError: For files that cannot be downloaded or read, or weights that do not fit.
    """
    transformers = library()
    location = transformers_location(name)
    given = configuration(location)
    model_type = _detector_type(name, given)
    kind = DETECTOR_TYPES[model_type]
    refuse_outsized(name, given)
    config = _config(getattr(transformers, kind.config), name, given)
    processor = _processor(getattr(transformers, kind.processor), name, location)
    made = getattr(transformers, kind.made)
    # Downloaded before the lock is taken, so that others need not wait.
    path = weights_file(location, progress) if seed is None else None
    try:
        with BUILDING, torch.random.fork_rng(devices=[]), quiet():
            if path is None:
                assert seed is not None
                torch.manual_seed(seed)
                module, weights, weights_hash = made._from_config(config), "random", f"random:{seed}"
            else:
                module = _filled(made, name, config, path)
                weights, weights_hash = "pretrained", sha256_of(path)
    except (HubError, ModelError, UnsupportedError, NotFiniteError):
        raise
    except Exception as error:  # its constructors and loaders raise errors of many types
        again = "" if location.folder else f" {STILL_WORKS}"
        what = f"The weights of {name} do not fit" if seed is None else f"transformers cannot build {name} as"
        raise ModelError(f"{what} {kind.made}: {first_line(error)}{again}") from error
    module.eval().requires_grad_(False)
    names = config.id2label if isinstance(config.id2label, dict) else {}
    labels = tuple(one_line(str(names.get(index, f"class {index}"))) for index in range(config.num_labels))
    return Detector(name, model_type, module, processor, labels, weights, weights_hash)


def _detector_type(name: str, given: Mapping[str, Any]) -> str:
    """The key of `DETECTOR_TYPES` of a configuration.

    Raises:
        UnsupportedError: For another type.
    """
    model_type = str(given.get("model_type"))
    if model_type in DEFORMABLE:
        raise UnsupportedError(
            f"{name} is of the type {model_type}, which attends by deformable attention: a query reads a few points between "
            "the cells of several maps, so there is no weight for each cell to show. Choose a DETR, a Conditional DETR or a "
            "YOLOS."
        )
    if model_type not in DETECTOR_TYPES:
        raise UnsupportedError(
            f"{name} is of the type {model_type[:60]!r}. "
            f"Of the detectors in transformers, {', '.join(DETECTOR_TYPES)} are taken."
        )
    return model_type


def _config(kind: Any, name: str, given: dict[str, Any]) -> Any:
    """A configuration of transformers' class `kind`. Raises ModelError for one that it refuses."""
    try:
        with quiet():
            return kind.from_dict(_without_download(name, plain(given)))
    except ModelError:
        raise
    except Exception as error:  # transformers' checks raise errors of many types
        raise ModelError(f"transformers cannot read the configuration of {name}: {first_line(error)}") from error


def _processor(kind: Any, name: str, location: ModelLocation) -> Any:
    """An image processor of transformers' class `kind`. Raises ModelError for a description that it refuses."""
    settings = {key: value for key, value in processor_settings(location).items() if key != "auto_map"}
    _refuse_large(name, settings)
    try:
        return kind.from_dict(settings)
    except Exception as error:
        raise ModelError(f"transformers cannot read the image processor's description: {first_line(error)}") from error


def _filled(made: Any, name: str, config: Any, path: Path) -> nn.Module:
    """The module with the weights of a file. Raises ModelError or NotFiniteError for weights that do not fit."""
    module, found = made.from_pretrained(
        None,
        config=config,
        state_dict=read_weights(path),
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    wrong = sorted(found["missing_keys"]) or sorted(str(key) for key in found["mismatched_keys"])
    if wrong:
        raise ModelError(
            f"The weights of {name} do not fit {made.__name__}: {len(wrong)} are missing or of another shape, such as "
            f"{wrong[0]}."
        )
    refuse_not_finite(module, f"The weights of {name}")
    return module


def _without_download(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The configuration without pretrained weights of the backbone, which would be downloaded separately.

    Raises:
        ModelError: For a backbone that is not in timm's registry.
    """
    answer = dict(given)
    kept, chosen = answer.pop("backbone_kwargs", None) or {}, answer.get("backbone")
    by_timm = answer.get("use_timm_backbone", True) is not False
    if chosen is not None:
        known = isinstance(chosen, str) and not set(":/") & set(chosen) and is_model(split_model_name_tag(chosen)[0])
        if not known or not (by_timm or answer.get("backbone_config") is not None):
            raise ModelError(
                f"The backbone of {name} is {one_line(str(chosen))[:60]!r}, which is not a model of timm's registry."
            )
    usual = isinstance(kept, dict) and all(value in _USUAL.get(key, ()) for key, value in kept.items())
    if not usual or ("output_stride" in kept and answer.get("dilation") is not True):
        raise ModelError(
            f"The configuration of {name} changes how its backbone is built, which is not taken from outside."
        )
    if "use_pretrained_backbone" in answer or "backbone" in answer:
        answer["use_pretrained_backbone"] = False
    if isinstance(answer.get("backbone_config"), dict):
        nested = _without_download(name, answer["backbone_config"])
        answer["backbone_config"] = {**nested, "use_pretrained_backbone": False}
    return answer


def _refuse_large(name: str, settings: Mapping[str, Any]) -> None:
    """Raises ModelError for an image processor whose output would be too large to run."""
    for field_name in ("size", "max_size", "pad_size"):
        given = settings.get(field_name)
        sides = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
        for side in sides:
            if side is not None and not (type(side) is int and 1 <= side <= _LONGEST_SIDE):
                raise ModelError(
                    f"The image processor of {name} says that {field_name} is {one_line(str(given))[:60]}; sides of 1 to "
                    f"{_LONGEST_SIDE} pixels are taken."
                )


def detect(detector: Detector, image: Image.Image) -> Detections:
    """One forward pass over a photograph, resized by the detector's own image processor.

    Args:
        detector: Of `load_detector`.
        image: An RGB photograph of any size.

    Returns:
        Boxes (queries, 4) in the photograph's pixels, probabilities (queries, classes) and attention (layers, heads,
        queries, rows, cols).

    Raises:
        ModelError: For an image processor whose output is not one picture of a size that can be run.
        CaptureError: If the attention of the queries was not recognised, or is not over a grid.
        NotFiniteError: If boxes or probabilities are not finite.
    """
    rgb = image.convert("RGB")
    try:
        made: Mapping[str, Any] = detector.processor(images=rgb, return_tensors="pt", do_pad=False)
        pixels: Tensor = made["pixel_values"]
    except Exception as error:  # image processors raise errors of many types
        raise ModelError(
            f"The image processor of {detector.name} fails on this picture: {first_line(error)}"
        ) from error
    if pixels.ndim != 4 or len(pixels) != 1 or max(pixels.shape[-2:]) > _LONGEST_SIDE:
        raise ModelError(f"The image processor of {detector.name} makes an input of shape {tuple(pixels.shape)}.")
    size = (pixels.shape[2], pixels.shape[3])
    parameter = next(detector.module.parameters())
    given: dict[str, Any] = {"pixel_values": pixels.to(parameter)}
    if detector.kind != "yolos":
        given["pixel_mask"] = torch.ones(1, *size, dtype=torch.long, device=parameter.device)
    kept: list[Tensor] = []
    queries = _queries(detector)

    def receive(call: Call) -> None:
        if detector.kind == "yolos" or call.module.endswith("encoder_attn"):
            kept.append(_rows(call, queries))

    with detector.lock, torch.inference_mode(), observe(detector.module, receive):
        output = detector.module(**given)
    logits, relative = output.logits[0].float(), output.pred_boxes[0].float()  # (queries, classes), (queries, 4)
    if not bool(torch.isfinite(logits).all() and torch.isfinite(relative).all()):
        raise NotFiniteError(f"Boxes or classes of {detector.name} are not finite numbers; load sound weights.")
    if not kept:
        raise CaptureError(f"No attention of the queries of {detector.name} was seen in its forward pass.")
    kind = DETECTOR_TYPES[detector.kind]
    probabilities = logits.softmax(-1)[:, :-1] if kind.softmax else logits.sigmoid()
    attention = torch.stack(kept)  # (layers, heads, queries, keys)
    if detector.kind == "yolos":
        config: Any = detector.module.config
        patch = config.patch_size
        high, wide = (patch, patch) if isinstance(patch, int) else patch
        grid = size[0] // high, size[1] // wide
        attention = attention[..., 1 : 1 + grid[0] * grid[1]]  # class token first, detection tokens last
    else:
        grid = _grid(attention.shape[-1], size, detector.name)
    centre, extent = relative[:, :2], relative[:, 2:]
    corners = torch.cat([centre - extent / 2, centre + extent / 2], 1)  # relative to the picture's sides
    scale = torch.tensor([rgb.width, rgb.height, rgb.width, rgb.height], device=corners.device)
    return Detections(
        (corners * scale).cpu().numpy(),
        probabilities.cpu().numpy(),
        attention.reshape(*attention.shape[:-1], *grid).cpu().numpy(),  # (layers, heads, queries, rows, cols)
        "self-attention" if detector.kind == "yolos" else "cross-attention",
        detector.labels,
    )


def _queries(detector: Detector) -> int:
    config: Any = detector.module.config
    return int(config.num_detection_tokens if detector.kind == "yolos" else config.num_queries)


def _rows(call: Call, queries: int) -> Tensor:
    """(heads, queries, keys) float32: the weights of a call's last `queries` queries."""
    if call.explicit is not None:
        return call.explicit[0, :, -queries:].float()
    assert call.q is not None and call.k is not None
    scores = call.q[0, :, -queries:].float() @ call.k[0].float().transpose(1, 2) * call.scale  # (heads, queries, keys)
    if call.mask is not None:
        mask = call.mask.expand(1, *scores.shape[:1], call.q.shape[2], scores.shape[2])[0, :, -queries:]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask.float()
    return scores.softmax(-1)


def _grid(cells: int, size: tuple[int, int], name: str) -> tuple[int, int]:
    """(rows, cols) of the encoder's feature map: the input size divided by a power of 2, rounded up as by convolutions."""
    for step in (32, 16, 64, 8, 4):
        grid = -(-size[0] // step), -(-size[1] // step)
        if grid[0] * grid[1] == cells:
            return grid
    raise CaptureError(
        f"The {cells} cells that the queries of {name} attend to do not form a grid over {size[0]}x{size[1]} pixels."
    )
