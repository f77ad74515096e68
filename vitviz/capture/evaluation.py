"""How a user's module is run: without the wrapper that it came in, and in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy

import torch
from torch import nn

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

    parts  what `module.modules()` gives, where it is known already

    The mode of each part is as it was afterwards, also after an exception. Only the flag is set: no `train` method of a
    user's runs. Hold the model's lock.
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


def copied(module: nn.Module) -> nn.Module:
    """A deep copy without the hooks that vitviz has on `module` at the time, so that an intervention stays with its model."""
    copy = deepcopy(module)
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
