"""What a transformers image processor does to a picture, in the words of `Preprocessing`."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

from vitviz.errors import ModelError, UnsupportedError
from vitviz.models.model import Preprocessing

# Beyond any picture that a model takes, and any scale of pixels that leaves numbers to compute with.
_LONGEST_SIDE, _LARGEST, _SMALLEST = 1 << 13, 1e6, 1e-6


def preprocessing_of(
    processor: Any, native_size: tuple[int, int], described: bool = True
) -> tuple[Preprocessing, tuple[int, int]]:
    """(preprocessing, input size (height, width) in pixels) of an image processor; the model's own size where it names
    none.

    described  False where the model came without a description of its processor: then the processor's own default size is
               nothing that the model's makers said, and the model's own size counts

    A processor that multiplies pixels (0 to 255) by `rescale_factor` and then normalises does to values in [0, 1] what mean
    and std divided by 255 * rescale_factor do.

    Raises UnsupportedError for steps that cannot be followed, ModelError for a field that cannot be.
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
    if (
        isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= _LARGEST
    ):  # nor not-a-number
        return float(value)
    raise _wrong(field, value, f"a number from {least:g} to {_LARGEST:g}")


def _numbers(field: str, values: Any, least: float) -> tuple[float, ...]:
    given = values if isinstance(values, list | tuple) else [values]
    if len(given) not in (1, 3):
        raise _wrong(field, values, "a number for each of three channels, or one number")
    return tuple(_number(field, value, least) for value in given)


def _interpolation(processor: Any) -> str:
    if not _switch(processor, "do_resize", True):
        return "bicubic"  # nothing is resized, except by who asks for another size
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
        # the shorter side is resized to floor(crop / fraction): rounding must not make that one pixel less
        fraction = crop[0] / edge
        return crop, fraction if math.floor(crop[0] / fraction) == edge else math.nextafter(fraction, 0), "crop"
    raise UnsupportedError(
        f"The model's image processor (size {_words(size)}, crop {_words(getattr(processor, 'crop_size', None))}) neither "
        "forces the whole image into one shape nor resizes the shorter side and cuts out the centre, so it cannot be "
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
