"""Helpers for a model's modules: names and parts, which of them is calling, evaluation mode, an input of zeros."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.errors import UnsupportedError


class ModuleNames:
    """The modules of one model, by name. torch's own leaf modules are left out: a call inside one belongs to its caller."""

    def __init__(self, named: Iterable[tuple[str, nn.Module]]) -> None:
        """Stores the names.

        Args:
            named: The result of `named_modules()` or `unordered_modules`, which callers have already.
        """
        self._names = {id(m): name for name, m in named if not type(m).__module__.startswith("torch.nn.modules")}

    @property
    def calling(self) -> str:
        """Dotted name of the innermost module whose code runs on this thread; "" for the model itself or no module."""
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_argcount:
                name = self._names.get(id(frame.f_locals.get(code.co_varnames[0])))
                if name is not None:
                    return name
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def raising(self, error: BaseException) -> str:
        """Dotted name of the innermost module whose code raised `error`; "" for the model itself or no module."""
        found, trace = "", error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            own = trace.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
            found, trace = self._names.get(id(own), found), trace.tb_next
        return found


def common_ancestor(one: str, other: str) -> str:
    """Dotted name of the innermost module that contains both modules; it may be one of them."""
    if one == other:
        return one
    shared: list[str] = []
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        shared.append(left)
    return ".".join(shared)


def unordered_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module by dotted name, as `named_modules()`, but in no defined order. It takes a third of the time of that, and
    every pass calls it.
    """
    waiting = [("", module)]
    while waiting:
        name, parent = waiting.pop()
        yield name, parent
        prefix = name + "." if name else ""
        waiting += [(prefix + own, child) for own, child in parent._modules.items() if child is not None]


# Wrapper classes -> attribute with the wrapped module. By class name, because importing torch.compile's classes takes seconds.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",  # torch.compile
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",  # torch.optim.swa_utils
}


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside wrappers of torch.compile, DataParallel, DistributedDataParallel and AveragedModel.

    A module without a wrapper is returned unchanged.
    """
    while type(module).__module__.startswith("torch.") and type(module).__name__ in _WRAPPERS:
        module = getattr(module, _WRAPPERS[type(module).__name__])
    return module


@contextmanager
def eval_mode(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> Iterator[nn.Module]:
    """Evaluation mode for every part of `module` inside the `with` block, without torch.compile and gradient checkpointing.

    A part's mode is restored afterwards, also after an exception. Only the `training` flag is set: a `train` method that a
    user's class defines is not called. Hold the model's lock.

    Args:
        module: The model.
        parts: The result of `module.modules()`, if known already.
    """
    parts = list(module.modules() if parts is None else parts)
    training = [part for part in parts if part.training]
    compiled = any(part._compiled_call_impl is not None or type(part).__name__ == "OptimizedModule" for part in parts)
    checkpointing = [part for part in parts if part.__dict__.get("grad_checkpointing") is True]
    for part in training:
        part.training = False
    for part in checkpointing:
        part.grad_checkpointing = False  # type: ignore[assignment]
    try:
        with ExitStack() as stack:
            if compiled:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield module
    finally:
        for part in training:
            part.training = True
        for part in checkpointing:
            part.grad_checkpointing = True  # type: ignore[assignment]


def copied(module: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
    """A deep copy without the hooks of vitviz on `module`, so that an active intervention is not copied.

    Args:
        module: The module to copy.
        shared: Tensors of `module` that the copy uses as well.
    """
    copy = deepcopy(module, {id(tensor): tensor for tensor in shared})
    for part in copy.modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            hooks = getattr(part, name, None) or {}
            for key in [key for key, hook in hooks.items() if _is_ours(hook)]:
                del hooks[key]
                for kind in ("_with_kwargs", "_always_called"):
                    getattr(part, name + kind, {}).pop(key, None)
    return copy


def _is_ours(hook: object) -> bool:
    return str(getattr(hook, "__module__", "")).startswith("vitviz.")


RGB = 3


def input_channels(module: nn.Module) -> int:
    """Channels of the module's input.

    The value that the module or its embedding declares (`in_chans`), else that of its patch filters, else that of its first
    convolution, else 3.
    """
    holders = [module, getattr(module, "embeds", None), getattr(module, "patch_embed", None)]
    declared = [getattr(holder, "in_chans", None) for holder in holders if isinstance(holder, nn.Module)]
    for found in declared:
        if isinstance(found, int) and not isinstance(found, bool):
            return found
    for holder in (holders[2], module):
        for part in holder.modules() if isinstance(holder, nn.Module) else ():
            if isinstance(part, nn.Conv2d):
                return part.in_channels
    return RGB


def blank_input(module: nn.Module, input_size: tuple[int, int], device: Any = None) -> Tensor:
    """(1, channels, height, width) of zeros in the module's precision, on `device` or the module's own."""
    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
    return torch.zeros(
        1,
        input_channels(module),
        *input_size,
        device=device if device is not None or parameter is None else parameter.device,
        dtype=None if parameter is None else parameter.dtype,
    )


ATTENTION = ("attn", "attention", "self_attn")
OUTPUT = ("proj", "o_proj", "out_proj")
HEADS = ("num_heads", "num_attention_heads")
LAYER_SCALE = ("ls1", "gamma_1", "gamma1", "layer_scale1", "ls")


def attention_module(block: nn.Module) -> nn.Module | None:
    """The attention module of a block, or None if it has no known name."""
    return _first(block, ATTENTION)


def output_projection(attention: nn.Module) -> nn.Module | None:
    """The output projection W_o of an attention module, or None if it has no known name."""
    return _first(attention, OUTPUT)


def patch_filters(module: nn.Module) -> nn.Module | None:
    """The projection of a model's patch embedding: its `proj`, or the embedding itself; None if there is none."""
    embed = getattr(module, "patch_embed", None)
    return embed if isinstance(embed, nn.Conv2d) else _first(embed, ("proj",))


def num_heads_of(block: nn.Module) -> int | None:
    """The number of heads that a block declares, or None."""
    found = (getattr(attention_module(block), name, None) for name in HEADS)
    return next((number for number in found if isinstance(number, int)), None)


def heads_to_switch(block: nn.Module, layer: int, model: str) -> int:
    """The number of heads of a block whose heads are to be switched off.

    Args:
        block: One block of the model.
        layer: Number of the block, for the message of the error.
        model: Name of the model, for the message of the error.

    Raises:
        UnsupportedError: Where the block does not say how many heads it has.
    """
    heads = num_heads_of(block)
    if heads is None:
        raise UnsupportedError(
            f"The number of heads in layer {layer} of {model} could not be found, so none can be switched off."
        )
    return heads


def layer_scale(model: nn.Module, attention: str) -> Tensor | None:
    """The factors of a block's LayerScale, which multiply its attention's output before the residual addition.

    Args:
        model: The whole model.
        attention: Dotted name of the attention module.

    Returns:
        (width,) learned factors, or None for a block without LayerScale.

    Source: Touvron et al. 2021, "Going deeper with image transformers" (arXiv 2103.17239), section 2.
    """
    for name in (attention.rpartition(".")[0], attention.rpartition(".")[0].rpartition(".")[0]):
        block = model.get_submodule(name)
        if not name or isinstance(block, nn.ModuleList):
            return None
        for own in LAYER_SCALE:
            held = getattr(block, own, None)
            scale = held if isinstance(held, Tensor) else getattr(held, "gamma", getattr(held, "lambda1", None))
            if isinstance(scale, Tensor) and scale.ndim == 1:
                return scale
    return None


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer: LayerNorm, RMSNorm or similar."""
    return "norm" in type(module).__name__.lower()


def _first(module: nn.Module | None, names: tuple[str, ...]) -> nn.Module | None:
    parts = (getattr(module, name, None) for name in names)
    return next((part for part in parts if isinstance(part, nn.Module)), None)
