"""The same model at another input size."""

from __future__ import annotations

import threading
from dataclasses import replace
from weakref import WeakKeyDictionary

from timm.models import PretrainedCfg
from torch import nn

from vitviz.capture.modules import copied
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of, size_hint
from vitviz.models.model import Model
from vitviz.models.probe import run_on_meta
from vitviz.tokens import TokenLayout

# sizes that a shared module is known to take
_layouts: WeakKeyDictionary[nn.Module, dict[tuple[int, int], TokenLayout]] = WeakKeyDictionary()


def takes_any_size(module: nn.Module, fixed_input_size: bool) -> bool:
    """Whether one module serves several input sizes as it is, resampling position embeddings in each forward pass."""
    if hasattr(module, "dynamic_img_size"):
        return bool(module.dynamic_img_size)
    return not fixed_input_size and not hasattr(module, "set_input_size")


def built_size(module: nn.Module, cfg: PretrainedCfg) -> tuple[int, int]:
    """The size that a module was built for: its embedding's, or timm's for the architecture."""
    height, width = getattr(getattr(module, "patch_embed", None), "img_size", None) or cfg.input_size[1:]
    return int(height), int(width)


def takes_other_sizes(model: Model) -> bool:
    """Whether `resized` can give the model at any other size at all."""
    return model.dynamic_size or hasattr(model.module, "set_input_size")


def resized(model: Model, input_size: tuple[int, int]) -> Model:
    """The model at (height, width) pixels. Position embeddings and bias tables are resampled as timm does.

    The module is shared, lock included, where it takes other sizes as it is (`model.dynamic_size`); otherwise it is
    copied and told its new size. Raises UnsupportedError with the sizes that work.
    """
    height, width = int(input_size[0]), int(input_size[1])
    if (height, width) == model.input_size:
        return model
    if min(height, width) < 1:
        raise UnsupportedError(
            f"An input of {height} x {width} pixels has no content; {model.name} now takes {_words(model.input_size)}."
        )
    if model.dynamic_size:
        with model.lock:
            known = _layouts.setdefault(model.module, {})
            if (height, width) not in known:
                layout = layout_of(model.module, model.name, (height, width))
                _try_whole_pass(model, model.module, (height, width))
                known[height, width] = layout
        return replace(model, layout=known[height, width], input_size=(height, width))
    if not takes_other_sizes(model):  # before a large module is copied
        raise UnsupportedError(f"{model.name} takes inputs of {_words(model.input_size)} pixels only.")
    with model.lock:
        module = copied(model.module)
    give_size(module, model.name, model.input_size, (height, width))
    layout = layout_of(module, model.name, (height, width))
    _try_whole_pass(model, module, (height, width))
    module.requires_grad_(False).eval()
    return replace(model, module=module, layout=layout, input_size=(height, width), lock=threading.RLock())


def give_size(module: nn.Module, name: str, own_size: tuple[int, int], size: tuple[int, int]) -> None:
    """Tells a module that is built for one size, (height, width), that its inputs have another. In place.

    Raises UnsupportedError for a module that cannot be told, and for a size that it does not take.
    """
    if not hasattr(module, "set_input_size"):
        raise UnsupportedError(f"{name} takes inputs of {_words(own_size)} pixels only.")
    try:
        module.set_input_size(img_size=size)  # type: ignore[operator]
    except (AssertionError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise _refusal(module, name, own_size, size) from error


def _try_whole_pass(model: Model, module: nn.Module, size: tuple[int, int]) -> None:
    """Later stages may refuse what the first one takes; a pass without numbers tells before anybody waits."""
    try:
        run_on_meta(module, size)
    except Exception as error:  # whatever a layer raises for shapes that do not meet
        raise _refusal(module, model.name, model.input_size, size) from error


def _refusal(module: nn.Module, name: str, own_size: tuple[int, int], size: tuple[int, int]) -> UnsupportedError:
    takes = f"it does take {_words(own_size)}. {size_hint(module)}"
    return UnsupportedError(f"{name} does not take inputs of {_words(size)} pixels; {takes}".strip())


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
