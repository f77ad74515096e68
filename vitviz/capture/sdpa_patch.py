"""A patch of `F.scaled_dot_product_attention` for the time of a pass, in place of a mode that sees every function.

A `TorchFunctionMode` sees every torch function of a pass, some 240 in a small model, and takes its time for each: 2 to 5% of a
pass of 257 tokens. Where a model is known to attend through the fused call alone, it is enough to replace that one.
`allow_patch(False)` keeps torch's function in its place; traces are the same, and their passes a little slower.
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
    """Whether passes may patch `F.scaled_dot_product_attention`, from the next one on, on all threads. At first they may."""
    global _allowed
    _allowed = allowed


def _no_mode() -> bool:
    """Whether no mode is active on this thread: it would have to see the call first, and may change it."""
    return bool(torch._C._len_torch_function_stack() == 0)


def _replacement(*args: Any, **kwargs: Any) -> Any:
    chosen = getattr(_of_this_thread, "function", FUSED)
    return (chosen if _no_mode() else FUSED)(*args, **kwargs)


def can_replace_fused(modules: Iterable[nn.Module]) -> bool:
    """Whether patching is allowed, torch's function is in its place, no mode is active on this thread, and none may start in
    the middle of a pass of `modules`, because a hook is registered on one of them.
    """
    untouched = F.scaled_dot_product_attention is FUSED or F.scaled_dot_product_attention is _replacement
    return _allowed and untouched and _no_mode() and not any(m._forward_pre_hooks or m._forward_hooks for m in modules)


@contextmanager
def fused_replaced(function: Callable[..., Any]) -> Iterator[None]:
    """While inside, `function` is called in place of the fused call on this thread; on others torch's own is. Not to be nested
    on one thread.
    """
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
