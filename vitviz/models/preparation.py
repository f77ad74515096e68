"""Prepares a photograph as a model's input, and resizes a model to another input size."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from PIL import Image
from timm.data import create_transform
from timm.data.transforms import str_to_interp_mode
from timm.models import PretrainedCfg
from torch import Tensor, nn

from vitviz.capture.modules import copied
from vitviz.errors import ImageError, UnsupportedError
from vitviz.models.layout import layout_of, run_on_meta, size_hint, size_words
from vitviz.models.model import Model
from vitviz.tokens import TokenLayout

if TYPE_CHECKING:
    from vitviz.models.convolutional import Cnn

# module -> the input sizes that it was tried with, and their layouts
_layouts: WeakKeyDictionary[nn.Module, dict[tuple[int, int], TokenLayout]] = WeakKeyDictionary()


def takes_any_size(module: nn.Module, fixed_input_size: bool) -> bool:
    """Whether a module takes several input sizes unchanged, by resampling position embeddings in each forward pass."""
    if hasattr(module, "dynamic_img_size"):
        return bool(module.dynamic_img_size)
    return not fixed_input_size and not hasattr(module, "set_input_size")


def built_size(module: nn.Module, cfg: PretrainedCfg) -> tuple[int, int]:
    """(height, width) that a module was built for: its patch embedding's, else that of timm's configuration."""
    height, width = getattr(getattr(module, "patch_embed", None), "img_size", None) or cfg.input_size[1:]
    return int(height), int(width)


def takes_other_sizes(model: Model) -> bool:
    """Whether `resized` supports any other size for this model."""
    return model.dynamic_size or hasattr(model.module, "set_input_size")


def resized(model: Model, input_size: tuple[int, int]) -> Model:
    """The model at another input size. Position embeddings and bias tables are resampled by timm's own code.

    A module that takes several sizes (`model.dynamic_size`) is shared with its lock; otherwise a copy is resized.

    Args:
        model: The model.
        input_size: (height, width) in pixels.

    Returns:
        The model at `input_size`; `model` itself if it has that size.

    Raises:
        UnsupportedError: For a size that the model does not take; the message says which it does.
    """
    height, width = int(input_size[0]), int(input_size[1])
    if (height, width) == model.input_size:
        return model
    if min(height, width) < 1:
        raise UnsupportedError(
            f"An input of {height} x {width} pixels has no content; {model.name} now takes {size_words(model.input_size)}."
        )
    if model.dynamic_size:
        with model.lock:
            known = _layouts.setdefault(model.module, {})
            if (height, width) not in known:
                layout = layout_of(model.module, model.name, (height, width))
                _try_whole_pass(model, model.module, (height, width))
                known[height, width] = layout
        return replace(model, layout=known[height, width], input_size=(height, width))
    if not takes_other_sizes(model):  # checked before a large module is copied
        raise UnsupportedError(f"{model.name} takes inputs of {size_words(model.input_size)} pixels only.")
    with model.lock:
        module = copied(model.module)
    give_size(module, model.name, model.input_size, (height, width))
    layout = layout_of(module, model.name, (height, width))
    _try_whole_pass(model, module, (height, width))
    module.requires_grad_(False).eval()
    return replace(model, module=module, layout=layout, input_size=(height, width), lock=threading.RLock())


def give_size(module: nn.Module, name: str, own_size: tuple[int, int], size: tuple[int, int]) -> None:
    """Sets the input size of a module that is built for one size, in place.

    Args:
        module: The module.
        name: The model's name, for the message of the error.
        own_size: (height, width) that it was built for.
        size: (height, width) to set.

    Raises:
        UnsupportedError: For a module whose size cannot be set, and for a size that it does not take.
    """
    if not hasattr(module, "set_input_size"):
        raise UnsupportedError(f"{name} takes inputs of {size_words(own_size)} pixels only.")
    try:
        module.set_input_size(img_size=size)  # type: ignore[operator]
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise _refusal(module, name, own_size, size) from error


def _try_whole_pass(model: Model, module: nn.Module, size: tuple[int, int]) -> None:
    """Runs a pass on the meta device, because later layers may reject a size that the first one takes."""
    try:
        run_on_meta(module, size)
    except Exception as error:  # layers raise different types for shapes that do not fit
        raise _refusal(module, model.name, model.input_size, size) from error


def _refusal(module: nn.Module, name: str, own_size: tuple[int, int], size: tuple[int, int]) -> UnsupportedError:
    takes = f"it does take {size_words(own_size)}. {size_hint(module)}"
    return UnsupportedError(f"{name} does not take inputs of {size_words(size)} pixels; {takes}".strip())


FRAMINGS = ("crop", "squash", "fit")

# A picture of 1 x 1,000,000 pixels would have 50 gigapixels after its shorter side is resized to 224.
_MAX_RESIZED_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class Prepared:
    """One photograph as a model's input.

    Attributes:
        input: (channels, height, width) float32, normalised.
        shown: The same pixels before normalisation as an RGB image; three equal channels for a model of grey pictures.
        box: (left, top, right, bottom) of the region of the photograph that was kept, in the photograph's pixels.
        framing: "crop", "squash" or "fit".
        model: The model at the size of `input`, a resized one if framing is "fit".
    """

    input: Tensor
    shown: Image.Image
    box: tuple[float, float, float, float]
    framing: str
    model: Any


def prepare(model: Model | Cnn, image: Image.Image, framing: str = "crop") -> Prepared:
    """A photograph as the model's input; for a model of one channel, its luminance (Pillow's mode L).

    Args:
        model: A model or convolutional network.
        image: A photograph of any size.
        framing: "crop" resizes the shorter side and takes a centre crop, exactly as the model's own evaluation; "squash"
            resizes the whole photograph to the input's shape; "fit" keeps the whole photograph and its aspect ratio to within
            one patch, at an input size with about as many patches as the model has now.

    Returns:
        The input (channels, height, width), normalised; the pixels shown; the region kept, in the photograph's pixels; and
        the model at the size of the input.

    Raises:
        UnsupportedError: If the model does not take the size that "fit" needs.
        ImageError: For a photograph too long and thin to crop.
        ValueError: For an unknown framing.
    """
    if framing not in FRAMINGS:
        raise ValueError(f"framing is one of {', '.join(FRAMINGS)}, not {framing!r}")
    channels = len(model.preprocessing.mean)
    image = image if image.mode == "RGB" else image.convert("RGB")
    if channels == 1:
        image = image.convert("L")
    if framing == "fit":
        model = _fitted(model, image)
    transform = _timm_transform(model)
    resize, _, *to_input = transform.transforms
    if framing == "crop":
        _refuse_thin(model, image)
        large = resize(image)
        cut = _centre(large.size, model)
        shown = large.crop(cut)
        across, down = image.width / large.width, image.height / large.height
        box = (cut[0] * across, cut[1] * down, cut[2] * across, cut[3] * down)
    else:
        height, width = model.input_size
        shown = image.resize((width, height), _pillow_filter(model.preprocessing.interpolation))
        box = (0.0, 0.0, float(image.width), float(image.height))
    pixels: Any = shown
    for step in to_input:  # to [0, 1], then mean and std
        pixels = step(pixels)
    return Prepared(pixels, shown.convert("RGB"), box, framing, model)


def _timm_transform(model: Model | Cnn) -> Any:
    wanted = model.preprocessing
    return create_transform(
        input_size=(len(wanted.mean), *model.input_size),
        crop_pct=wanted.crop_fraction,
        crop_mode="center",
        interpolation=wanted.interpolation,
        mean=wanted.mean,
        std=wanted.std,
    )


def _pillow_filter(name: str) -> Image.Resampling:
    return Image.Resampling[str_to_interp_mode(name).value.upper()]


def _centre(large: tuple[int, int], model: Model | Cnn) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the centre crop of a picture of (width, height) pixels."""
    height, width = model.input_size
    whole = math.floor if model.preprocessing.crop_rounding == "down" else round
    left, top = (whole((size - kept) / 2) for size, kept in zip(large, (width, height), strict=True))
    return left, top, left + width, top + height


def _refuse_thin(model: Model | Cnn, image: Image.Image) -> None:
    height, width = model.input_size
    scale = max(height / image.height, width / image.width) / model.preprocessing.crop_fraction
    if image.width * scale * image.height * scale > _MAX_RESIZED_PIXELS:
        raise ImageError(
            f"A photograph of {image.width} x {image.height} pixels is too long and thin for a centre crop; "
            "fit the whole image instead, or crop it first."
        )


def _fitted(model: Model | Cnn, image: Image.Image) -> Model:
    if not isinstance(model, Model):
        raise UnsupportedError(
            f"{model.name} is shown at one input size only; choose the centre crop or the squashed whole image."
        )
    step = _step(model)
    size = fit_size((image.height, image.width), model.input_size, step)
    try:
        return resized(model, size)
    except UnsupportedError as error:
        height, width = model.input_size
        raise UnsupportedError(
            f"{model.name} takes inputs of {height} x {width} pixels and none of {size[0]} x {size[1]}, so the whole "
            "image cannot keep its shape; choose the centre crop or the squashed whole image."
        ) from error


def _step(model: Model) -> tuple[int, int]:
    """(height, width) in pixels that input sizes are multiples of: a patch, or in a model of stages a cell of the coarsest."""
    stages = getattr(model.module, "feature_info", None)
    coarsest = max((stage["reduction"] for stage in stages), default=1) if isinstance(stages, list) else 1
    height, width = model.layout.patch_size
    return math.lcm(height, coarsest) if height < coarsest else height, math.lcm(
        width, coarsest
    ) if width < coarsest else width


def fit_size(image_size: tuple[int, int], input_size: tuple[int, int], step: tuple[int, int]) -> tuple[int, int]:
    """(height, width) in multiples of `step` with the image's aspect ratio and about as many steps as `input_size` has.

    Sizes are (height, width) in pixels. The number of steps grows by at most a tenth, so that the time of a pass does not.
    """
    wanted = max(1.0, (input_size[0] / step[0]) * (input_size[1] / step[1]))
    shape = math.log((image_size[0] / step[0]) / (image_size[1] / step[1]))  # log of rows / cols
    ideal = math.sqrt(wanted * math.exp(shape))
    best: tuple[float, int, int] | None = None
    for rows in range(max(1, math.floor(ideal) - 1), math.ceil(ideal) + 2):
        ideal_cols = rows * math.exp(-shape)
        for cols in {max(1, math.floor(ideal_cols)), max(1, math.ceil(ideal_cols))}:
            if rows * cols > 1.1 * wanted:
                continue
            # a deviation of the aspect ratio is visible, a few patches more or less are not
            cost = abs(math.log(rows / cols) - shape) + 0.3 * abs(math.log(rows * cols / wanted))
            best = min(best or (cost, rows, cols), (cost, rows, cols))
    if best is None:  # too long and thin for one row or column: as long as the number of patches allows
        rows, cols = (1, max(1, int(wanted))) if shape < 0 else (max(1, int(wanted)), 1)
        return rows * step[0], cols * step[1]
    return best[1] * step[0], best[2] * step[1]
