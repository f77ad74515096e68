"""What a transformers image processor does to a picture, in the words of `Preprocessing`."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

from vitviz.errors import UnsupportedError
from vitviz.models.model import Preprocessing


def preprocessing_of(processor: Any, native_size: tuple[int, int]) -> tuple[Preprocessing, tuple[int, int]]:
    """(preprocessing, input size (height, width) in pixels) of an image processor; the model's own size where it names
    none.

    A processor that multiplies pixels (0 to 255) by `rescale_factor` and then normalises does to values in [0, 1] what mean
    and std divided by 255 * rescale_factor do.

    Raises UnsupportedError for steps that cannot be followed.
    """
    factor = 255 * float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 255.0
    normalises = getattr(processor, "do_normalize", True)
    mean, std = (processor.image_mean, processor.image_std) if normalises else ((0.0,) * 3, (1.0,) * 3)
    size, fraction, framing = _framing(processor, native_size)
    preprocessing = Preprocessing(
        _three(mean, factor),
        _three(std, factor),
        Image.Resampling(processor.resample).name.lower(),
        fraction,
        framing,
        crop_rounding="down",
    )
    return preprocessing, size


def _framing(processor: Any, native_size: tuple[int, int]) -> tuple[tuple[int, int], float, str]:
    """(size (height, width), crop fraction, framing)."""
    crops, resizes = getattr(processor, "do_center_crop", False), getattr(processor, "do_resize", True)
    crop, size = _sides(getattr(processor, "crop_size", None)), getattr(processor, "size", None)
    whole, edge = _sides(size), getattr(size, "shortest_edge", None)
    if not crops and (whole or not resizes):
        return whole if resizes and whole else native_size, 1.0, "squash"
    if crops and crop and edge and resizes and crop[0] == crop[1] <= edge:
        # the shorter side is resized to floor(crop / fraction): rounding must not make that one pixel less
        fraction = crop[0] / edge
        return crop, fraction if math.floor(crop[0] / fraction) == edge else math.nextafter(fraction, 0), "crop"
    raise UnsupportedError(
        f"The model's image processor (size {_words(size)}, crop {_words(getattr(processor, 'crop_size', None))}) neither "
        "forces the whole image into one shape nor resizes the shorter side and cuts out the centre, so it cannot be "
        "followed here."
    )


def _sides(size: Any) -> tuple[int, int] | None:
    height, width = getattr(size, "height", None), getattr(size, "width", None)
    return (int(height), int(width)) if height and width else None


def _three(values: Any, factor: float) -> tuple[float, float, float]:
    each = [float(value) / factor for value in (values if isinstance(values, list | tuple) else [values] * 3)]
    return each[0], each[1], each[2]


def _words(size: Any) -> str:
    known = {name: value for name, value in dict(size or {}).items() if value is not None}
    return " ".join(f"{name} {value}" for name, value in known.items()) or "none"
