"""Memory for what a trace keeps, in large pages where the system offers them.

The queries and keys of a pass are kept when the pass would have handed their memory on to the next layer. Every layer then
works in memory that nobody has touched before, and being given that, four kilobytes at a time, costs more than everything
else that listening does. So they are copied aside, into pages of two megabytes, and the layers go on reusing what they had.
A copy also lets go of the values, which share one packed tensor with queries and keys in most models.
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
OFFERED = hasattr(mmap, "MADV_HUGEPAGE")


class LargePages:
    """Copies of tensors, one behind the other. Memory is given back when the last tensor in a room is gone."""

    def __init__(self) -> None:
        self._room: Tensor | None = None  # (bytes,)
        self._used = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """A contiguous copy of `tensor`, with the same shape, numbers, precision and device."""
        if not OFFERED or tensor.device.type != "cpu" or not tensor.numel():
            return tensor.clone(memory_format=torch.contiguous_format)
        start, stop = self._used, self._used + tensor.nbytes
        if self._room is None or stop > len(self._room):
            self._room = _room(max(ROOM, ceil(tensor.nbytes / PAGE) * PAGE))
            start, stop = 0, tensor.nbytes
        self._used = ceil(stop / ALIGNMENT) * ALIGNMENT
        return self._room[start:stop].view(tensor.dtype).view(tensor.shape).copy_(tensor)


def _room(size: int) -> Tensor:
    """(size,) bytes of private memory, in large pages if there are any left."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
