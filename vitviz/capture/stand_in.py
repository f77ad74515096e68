"""A stand-in for torch's fused attention, while somebody listens: only the calls that are listened to cost anything.

A `TorchFunctionMode` sees every torch function of a pass, some 240 in a small model, and takes its time for each. Where a model
is known to attend through the fused call alone, it is enough to stand in its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vitviz.capture.fused_call import FUSED

_of_this_thread = threading.local()
_lock = threading.Lock()
_listening = 0  # on all threads


def _alone() -> bool:
    """Whether nobody listens to all functions on this thread: they would have to hear the call first, and may change it."""
    return bool(torch._C._len_torch_function_stack() == 0)


def _stand_in(*args: Any, **kwargs: Any) -> Any:
    hears = getattr(_of_this_thread, "hears", FUSED)
    return (hears if _alone() else FUSED)(*args, **kwargs)


def can_stand_in(modules: Iterable[nn.Module]) -> bool:
    """Whether nobody else has put something in the same place, listens to all functions on this thread, or may begin to in the
    middle of a pass of `modules`, because something is hung on one of them.
    """
    untouched = F.scaled_dot_product_attention is FUSED or F.scaled_dot_product_attention is _stand_in
    return untouched and _alone() and not any(m._forward_pre_hooks or m._forward_hooks for m in modules)


@contextmanager
def standing_in(hears: Callable[..., Any]) -> Iterator[None]:
    """While inside, `hears` is called in place of the fused call on this thread; on others it is called as ever. Not to be
    nested on one thread.
    """
    global _listening
    with _lock:
        _listening += 1
        F.scaled_dot_product_attention = _stand_in
    _of_this_thread.hears = hears
    try:
        yield
    finally:
        del _of_this_thread.hears
        with _lock:
            _listening -= 1
            if not _listening:
                F.scaled_dot_product_attention = FUSED
