"""Patches `F.scaled_dot_product_attention` during a pass, as a faster replacement for a TorchFunctionMode.

A `TorchFunctionMode` intercepts every torch function of a pass, about 240 in a small model, which takes 2 to 5% of a pass of
257 tokens. For a model that is known to attend through the fused call alone, it suffices to patch that function. With
`allow_patch(False)` the mode is used for every model; traces are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vitviz.capture.events import FUSED

_of_this_thread = threading.local()
_lock = threading.Lock()
_users = 0  # on all threads
_allowed = True


def allow_patch(allowed: bool) -> None:
    """Allows or forbids the patch (default: allowed), for passes that start later, on all threads."""
    global _allowed
    _allowed = allowed


def _no_mode() -> bool:
    """Whether no mode is active on this thread: a mode has to see the call first, because it may change it."""
    return bool(torch._C._len_torch_function_stack() == 0)


def _replacement(*args: Any, **kwargs: Any) -> Any:
    chosen = getattr(_of_this_thread, "function", FUSED)
    return (chosen if _no_mode() else FUSED)(*args, **kwargs)


def can_replace_fused(modules: Iterable[nn.Module]) -> bool:
    """Whether the fused call can be patched for a pass of `modules`.

    The patch is allowed, torch's own function is in its place, no mode is active on this thread, and no hook is registered on a
    module, since a hook may enter a mode during the pass.
    """
    untouched = F.scaled_dot_product_attention is FUSED or F.scaled_dot_product_attention is _replacement
    return _allowed and untouched and _no_mode() and not any(m._forward_pre_hooks or m._forward_hooks for m in modules)


@contextmanager
def fused_replaced(function: Callable[..., Any]) -> Iterator[None]:
    """Calls `function` in place of the fused call inside the `with` block, on this thread only; not to be nested."""
    global _users
    with _lock:
        _users += 1
        F.scaled_dot_product_attention = _replacement
    _of_this_thread.function = function
    try:
        yield
    finally:
        del _of_this_thread.function
        with _lock:
            _users -= 1
            if not _users:
                F.scaled_dot_product_attention = FUSED
