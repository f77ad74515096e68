"""Loads models with the prefix "hf:", with the preprocessing of their own image processor."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vitviz.capture.modules import input_channels
from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models.checkpoint import for_channels, one_line
from vitviz.models.hub import STILL_WORKS
from vitviz.models.hugging_face.build import (
    Plan,
    image_processor,
    library,
    planned,
    with_random_weights,
    with_weights,
    without_numbers,
)
from vitviz.models.hugging_face.module import HuggingFaceModule
from vitviz.models.layout import layout_of, refuse_other_channels
from vitviz.models.model import Model, Preprocessing
from vitviz.models.names import ModelLocation, transformers_location
from vitviz.models.repository import configuration, processor_settings, weights_file
from vitviz.models.weights import read_weights, refuse_not_finite, sha256_of
from vitviz.progress import Progress

# Bounds on the input size, and on scale factors of pixels, above and below those of every existing model.
_LONGEST_SIDE, _LARGEST, _SMALLEST = 1 << 13, 1e6, 1e-6


def preprocessing_of(
    processor: Any, native_size: tuple[int, int], described: bool = True
) -> tuple[Preprocessing, tuple[int, int]]:
    """(preprocessing, input size (height, width) in pixels) of an image processor.

    A processor that multiplies pixels (0 to 255) by `rescale_factor` before the normalisation corresponds to mean and std
    divided by 255 * rescale_factor on values in [0, 1].

    Args:
        processor: transformers' image processor.
        native_size: (height, width) of the model's configuration, for a processor without a size.
        described: False if the model has no configuration of its processor, whose default size is not used then.

    Raises:
        UnsupportedError: For steps that are not supported.
        ModelError: For an invalid field.
    """
    factor = 255.0
    if _switch(processor, "do_rescale", True):
        factor *= _number("rescale_factor", processor.rescale_factor, _SMALLEST)
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if _switch(processor, "do_normalize", True):
        mean, std = (
            _numbers("image_mean", processor.image_mean, -_LARGEST),
            _numbers("image_std", processor.image_std, _SMALLEST),
        )
    channels = max(len(mean), len(std))
    mean, std = (values if len(values) == channels else values * channels for values in (mean, std))
    size, fraction, framing = _framing(processor, native_size, described)
    preprocessing = Preprocessing(
        tuple(value / factor for value in mean),
        tuple(value / factor for value in std),
        _interpolation(processor),
        fraction,
        framing,
        crop_rounding="down",
    )
    return preprocessing, size


def _wrong(field: str, value: Any, wanted: str) -> ModelError:
    return ModelError(
        f"The image processor's description says that {field} is {str(value)[:40]!r}; it has to be {wanted}."
    )


def _switch(processor: Any, field: str, default: bool) -> bool:
    value = getattr(processor, field, default)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _wrong(field, value, "true or false")


def _number(field: str, value: Any, least: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= _LARGEST:  # excludes NaN
        return float(value)
    raise _wrong(field, value, f"a number from {least:g} to {_LARGEST:g}")


def _numbers(field: str, values: Any, least: float) -> tuple[float, ...]:
    given = values if isinstance(values, list | tuple) else [values]
    if len(given) not in (1, 3):
        raise _wrong(field, values, "a number for each of three channels, or one number")
    return tuple(_number(field, value, least) for value in given)


def _interpolation(processor: Any) -> str:
    if not _switch(processor, "do_resize", True):
        return "bicubic"  # the processor does not resize; used if the caller chooses another size
    value = processor.resample
    if isinstance(value, int) and not isinstance(value, bool) and value in {int(known) for known in Image.Resampling}:
        return Image.Resampling(value).name.lower()
    raise _wrong("resample", value, "the number of one of Pillow's filters, 0 to 5")


def _framing(processor: Any, native_size: tuple[int, int], described: bool) -> tuple[tuple[int, int], float, str]:
    """(size (height, width), crop fraction, framing)."""
    crops, resizes = _switch(processor, "do_center_crop", False), _switch(processor, "do_resize", True)
    if not described:
        square = native_size[0] == native_size[1]
        return native_size, 1.0, "crop" if crops and square else "squash"
    crop, size = _sides("crop_size", getattr(processor, "crop_size", None)), getattr(processor, "size", None)
    whole, edge = _sides("size", size), _side("size", getattr(size, "shortest_edge", None))
    if not crops and (whole or not resizes):
        return whole if resizes and whole else native_size, 1.0, "squash"
    if crops and crop and edge and resizes and crop[0] == crop[1] <= edge:
        # the shorter side is resized to floor(crop / fraction), which rounding errors must not reduce by one
        fraction = crop[0] / edge
        return crop, fraction if math.floor(crop[0] / fraction) == edge else math.nextafter(fraction, 0), "crop"
    raise UnsupportedError(
        f"The model's image processor (size {_words(size)}, crop {_words(getattr(processor, 'crop_size', None))}) neither "
        "forces the whole image into one shape nor resizes the shorter side and crops the centre, so it cannot be "
        "followed here."
    )


def _sides(field: str, size: Any) -> tuple[int, int] | None:
    height, width = _side(field, getattr(size, "height", None)), _side(field, getattr(size, "width", None))
    return (height, width) if height and width else None


def _side(field: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LONGEST_SIDE:
        return value
    raise _wrong(field, value, f"whole pixels, from 1 to {_LONGEST_SIDE:,}")


def _words(size: Any) -> str:
    known = {name: value for name, value in dict(size or {}).items() if value is not None}
    return " ".join(f"{name} {value}" for name, value in known.items()) or "none"


@dataclass(frozen=True)
class Description:
    """A model's properties before its weights are read.

    Attributes:
        location: Where its files are: a folder, or the hub.
        plan: How its module is built.
        bare: The module on the meta device.
        preprocessing: The preprocessing of its image processor.
        input_size: (height, width) of its image processor's output, in whole patches.
        notes: Assumptions, as sentences for a user.
    """

    location: ModelLocation
    plan: Plan
    bare: HuggingFaceModule
    preprocessing: Preprocessing
    input_size: tuple[int, int]
    notes: tuple[str, ...] = ()


def describe(name: str) -> Description:
    """Reads the configurations of the model and of its image processor.

    Raises:
        UnsupportedError: For a model that is not in MODEL_TYPES.
        ModelError: As `load_model` for files that cannot be downloaded or read.
    """
    library()
    location = transformers_location(name)
    plan = planned(name, configuration(location))
    bare = without_numbers(plan)
    refuse_other_channels(bare, name)
    settings = processor_settings(location)
    processor = image_processor(plan, settings)
    preprocessing, wanted = preprocessing_of(processor, bare.native_size, described=bool(settings))
    preprocessing = for_channels(preprocessing, input_channels(bare))
    notes: tuple[str, ...] = ()
    if not settings:
        notes = (
            f"{name} comes without an image processor: pictures get the size that its configuration names, {wanted[0]} x "
            f"{wanted[1]} pixels, and the mean and deviation that transformers' {type(processor).__name__} has by itself.",
        )
    height, width = (max(patch, side - side % patch) for side, patch in zip(wanted, bare.patch_size, strict=True))
    return Description(location, plan, bare, preprocessing, (height, width), notes)


def load(name: str, seed: int | None = None, progress: Progress | None = None) -> Model:
    """A vision model of transformers, from the hub ("hf:owner/name") or a folder ("hf:./folder").

    The input size is that of its image processor, rounded down to whole patches, because the model would drop the remainder.
    Weights are downloaded only if the configuration is that of a supported model. Raises as `load_model`.

    Args:
        name: "hf:owner/name" or "hf:./folder".
        seed: Random weights of this seed in place of the trained ones.
        progress: Called as progress(bytes done, bytes in all) during a download.
    """
    described = describe(name)
    location, plan, input_size = described.location, described.plan, described.input_size
    layout = layout_of(described.bare, name, input_size)  # raises before weights are downloaded
    if seed is not None:
        module, weights, weights_hash = with_random_weights(plan, seed), "random", f"random:{seed}"
    else:
        path = weights_file(location, progress)
        try:
            module = with_weights(plan, read_weights(path), f"The weights of {name}")
        except ModelError as error:
            raise (ModelError(str(error)) if location.folder else HubError(f"{error} {STILL_WORKS}")) from error
        refuse_not_finite(module, f"The weights of {name}")
        weights, weights_hash = "pretrained", sha256_of(path)
    return Model(
        name=name,
        architecture=plan.made,
        module=module,
        layout=layout,
        input_size=input_size,
        preprocessing=described.preprocessing,
        labels=None if seed is not None else _labels(plan.config.id2label, module.num_classes),
        weights=weights,
        weights_hash=weights_hash,
        output_kind=module.output_kind,
        dynamic_size=True,
        notes=described.notes,
    )


def _labels(names: Any, num_classes: int) -> tuple[str, ...] | None:
    """One label for each class, or None without a classifier or without names."""
    if not isinstance(names, dict):
        return None
    labels = tuple(one_line(str(names.get(index, ""))) for index in range(num_classes))
    named = [label for label in labels if not re.fullmatch(r"(LABEL_\d+)?", label)]
    return labels if named else None
