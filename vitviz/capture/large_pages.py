"""Memory for what a trace keeps: ordinary copies, and for long sequences large pages where the system offers them.

Queries and keys are copied aside, because in most models they share one packed tensor with the values, which would be kept
alive too. In a long sequence the copies are large and many, and small ones beside them (the log-sum-exp of every row) would pin
freed memory between them in the heap; so they go into pages of two megabytes of their own. Short sequences are quicker without:
being given a large page can take longer than the copy.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from math import ceil

import torch
from torch import Tensor

PAGE = 2 << 20  # bytes in a large page of the processors that torch runs on
ROOM = 8 * PAGE  # asked for at a time; what is not written to takes no memory
ALIGNMENT = 64  # bytes, as torch aligns its own tensors
LONG = 2048  # tokens from which a sequence is long
OFFERED = hasattr(mmap, "MADV_HUGEPAGE")


class LargePages:
    """Copies of tensors, one behind the other. Memory is given back when the last tensor in a room is gone."""

    def __init__(self, num_tokens: int = LONG) -> None:
        """num_tokens  how long the sequences are that will be kept"""
        self._offered = OFFERED and num_tokens >= LONG
        self._room: Tensor | None = None  # (bytes,)
        self._used = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """A contiguous copy of `tensor`, with the same shape, numbers, precision and device."""
        if not self._offered or tensor.device.type != "cpu" or not tensor.numel():
            return tensor.clone(memory_format=torch.contiguous_format)
        start, stop = self._used, self._used + tensor.nbytes
        if self._room is None or stop > len(self._room):
            self._room = _room(max(ROOM, ceil(tensor.nbytes / PAGE) * PAGE))
            start, stop = 0, tensor.nbytes
        self._used = ceil(stop / ALIGNMENT) * ALIGNMENT
        return self._room[start:stop].view(tensor.dtype).view(tensor.shape).copy_(tensor)


class AsTheyAre(LargePages):
    """The tensors themselves, for those that somebody else keeps anyway."""

    def keep(self, tensor: Tensor) -> Tensor:
        return tensor.detach()


def _room(size: int) -> Tensor:
    """(size,) bytes of private memory, in large pages if there are any left."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
