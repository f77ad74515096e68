"""What vitviz asks of a model's modules: their names and parts, which of them is calling, evaluation mode, an empty input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class ModuleNames:
    """The modules of one model, by name. Leaves of torch's own only lend a function to the module that calls them."""

    def __init__(self, named: Iterable[tuple[str, nn.Module]]) -> None:
        """named  what `named_modules()` gives; walking a model's modules takes longer than looking at them"""
        self._names = {id(m): name for name, m in named if not type(m).__module__.startswith("torch.nn.modules")}

    @property
    def calling(self) -> str:
        """Dotted name of the innermost module whose code is running on this thread; "" for the model itself, or none."""
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
        """Dotted name of the innermost module whose code raised; "" for the model itself, or none."""
        found, trace = "", error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            own = trace.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
            found, trace = self._names.get(id(own), found), trace.tb_next
        return found


def around(one: str, other: str) -> str:
    """Dotted name of the innermost module around two modules, or of the one that is around the other."""
    if one == other:
        return one
    shared: list[str] = []
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        shared.append(left)
    return ".".join(shared)


def walk(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module inside, by dotted name, as `named_modules()` has them, in no order. It takes a third of the time, and every
    pass has to wait for it.
    """
    waiting = [("", module)]
    while waiting:
        name, parent = waiting.pop()
        yield name, parent
        prefix = name + "." if name else ""
        waiting += [(prefix + own, child) for own, child in parent._modules.items() if child is not None]


# What stands around a module and calls it: attribute with the module inside, by the class's name. By name, because importing
# torch.compile's machinery to ask for its class takes seconds.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",  # torch.compile
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",  # torch.optim.swa_utils
}


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside the wrapper of torch.compile, DataParallel, DistributedDataParallel or an averaged model, or `module`
    itself. Names of modules, hooks and attributes are then the model's own.
    """
    while type(module).__module__.startswith("torch.") and type(module).__name__ in _WRAPPERS:
        module = getattr(module, _WRAPPERS[type(module).__name__])
    return module


@contextmanager
def evaluating(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> Iterator[nn.Module]:
    """While inside, every part of `module` is in evaluation mode, runs as written where torch.compile was applied to it, and
    keeps what it computes where timm's gradient checkpointing would compute it twice.

    The mode of each part is as it was afterwards, also after an exception. Only the flag is set: no `train` method of a
    user's runs. Hold the model's lock.

    Args:
        parts: what `module.modules()` gives, where it is known already.
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
    """A deep copy without the hooks that vitviz has on `module` at the time, so that an intervention stays with its model.

    Args:
        shared: tensors of `module` that are not copied and belong to both.
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

    What the module or its embedding declares (`in_chans`), else those of the filters that make patches, else those of the
    first convolution that it registers; 3 where none of them says.
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


def attention_of(block: nn.Module) -> nn.Module | None:
    """The attention module of a block, or None."""
    return _first(block, ATTENTION)


def output_projection(attention: nn.Module) -> nn.Module | None:
    """W_o: the module that joins the heads' outputs, or None."""
    return _first(attention, OUTPUT)


def patch_filters(module: nn.Module) -> nn.Module | None:
    """The filters that a whole model makes its patches with: its patch embedding's `proj`, or that itself; or None."""
    embed = getattr(module, "patch_embed", None)
    return embed if isinstance(embed, nn.Conv2d) else _first(embed, ("proj",))


def num_heads_of(block: nn.Module) -> int | None:
    """How many heads attend in a block, or None where it does not say."""
    found = (getattr(attention_of(block), name, None) for name in HEADS)
    return next((number for number in found if isinstance(number, int)), None)


def layer_scale(model: nn.Module, attention: str) -> Tensor | None:
    """The factors that a block multiplies what its attention gives by (LayerScale), before it is added to the token.

    Args:
        model: the whole model.
        attention: dotted name of the attention module.

    Returns:
        (width,) learned factors, or None where the block has none.

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
    """Whether a part normalises its input: LayerNorm, RMSNorm and their like."""
    return "norm" in type(module).__name__.lower()


def _first(module: nn.Module | None, names: tuple[str, ...]) -> nn.Module | None:
    parts = (getattr(module, name, None) for name in names)
    return next((part for part in parts if isinstance(part, nn.Module)), None)
