"""Memory: how much this process can still allocate, and the storage of a trace's queries and keys."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from math import ceil
from pathlib import Path

import torch
from torch import Tensor


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on `device`, or None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_memory()


def free_host_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still allocate without being killed, or None if unknown.

    The minimum of the machine's available memory and the remainder of each memory limit on the process's control group and its
    parents (Linux, cgroup v1 and v2; a container's limit is one of them).

    Args:
        root: The directory that contains proc and sys.
    """
    available = _fields(root / "proc/meminfo").get("MemAvailable")
    found = [] if available is None else [1024 * available]
    found += [left for group, version in _groups(root) if (left := _left(group, version)) is not None]
    return min(found, default=None)


# Messages of torch's CPU allocators when an allocation fails.
_NOT_ALLOCATED = ("can't allocate memory", "not enough memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error or one of its causes is a failed allocation."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(found, RuntimeError) and any(words in str(found) for words in _NOT_ALLOCATED):
            return True
        found = found.__cause__
    return False


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """(directory, cgroup version) of the process's memory control group and its mounted parents.

    Inside a container the kernel may report the host's path, of which only the end, or nothing, is mounted. The mount's own
    directory then is the container's group.
    """
    for line in _lines(root / "proc/self/cgroup"):
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        if hierarchy == "0" and not controllers:
            mount, version = root / "sys/fs/cgroup", 2
        elif "memory" in controllers.split(","):
            mount, version = root / "sys/fs/cgroup/memory", 1
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for length in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:length]), version


def _left(group: Path, version: int) -> int | None:
    """Bytes left of one group's limit; None without a limit. Reclaimable page cache counts as free."""
    if version == 2:
        limit, used, cache = "memory.max", "memory.current", "inactive_file"
    else:
        limit, used, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    most, now = _number(group / limit), _number(group / used)  # "max" is no number
    if most is None or now is None:
        return None
    return max(most - max(now - _fields(group / "memory.stat").get(cache, 0), 0), 0)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _fields(path: Path) -> dict[str, int]:
    """Name -> number of a file of lines "name number" or "name: number unit"."""
    split = (line.replace(":", " ").split() for line in _lines(path))
    return {parts[0]: int(parts[1]) for parts in split if len(parts) > 1 and parts[1].isascii() and parts[1].isdigit()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []


PAGE = 2 << 20  # bytes in a large page of the processors that torch runs on
BLOCK = 8 * PAGE  # bytes of one mapping; pages that are not written to take no memory
ALIGNMENT = 64  # bytes, as torch aligns its own tensors
LONG = 2048  # tokens; shorter sequences do not use large pages
OFFERED = hasattr(mmap, "MADV_HUGEPAGE")


class LargePages:
    """Copies tensors into consecutive memory of large pages. A block is freed when its last tensor is freed.

    Queries and keys are copied because in most models they share one packed tensor with the values, whose memory would not be
    freed. Copies of a long sequence are large and many, and small tensors between them (the log-sum-exp of every row) would
    fragment the heap; so they go into separate pages of two megabytes. For short sequences this is not done: mapping a large
    page can take longer than the copy.
    """

    def __init__(self, num_tokens: int = LONG) -> None:
        """Starts without a block.

        Args:
            num_tokens: Length of the sequences that will be kept.
        """
        self._offered = OFFERED and num_tokens >= LONG
        self._block: Tensor | None = None  # (bytes,)
        self._used = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """A contiguous copy of `tensor`, with the same shape, numbers, precision and device."""
        if not self._offered or tensor.device.type != "cpu" or not tensor.numel():
            return tensor.clone(memory_format=torch.contiguous_format)
        start, stop = self._used, self._used + tensor.nbytes
        if self._block is None or stop > len(self._block):
            self._block = _block(max(BLOCK, ceil(tensor.nbytes / PAGE) * PAGE))
            start, stop = 0, tensor.nbytes
        self._used = ceil(stop / ALIGNMENT) * ALIGNMENT
        # (bytes,) -> (entries,) -> the tensor's shape
        return self._block[start:stop].view(tensor.dtype).view(tensor.shape).copy_(tensor)


class NoCopies(LargePages):
    """Returns the tensors without a copy, for callers that keep their storage anyway."""

    def keep(self, tensor: Tensor) -> Tensor:
        return tensor.detach()


def _block(size: int) -> Tensor:
    """(size,) bytes of anonymous memory, in large pages if the kernel has any."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


# glibc, mallopt(3): M_MMAP_THRESHOLD and its upper limit on 64-bit systems; M_TRIM_THRESHOLD is set to twice as much
MMAP_THRESHOLD, LARGEST_BLOCK = -3, 32 << 20
TRIM_THRESHOLD, KEPT = -1, 2 * LARGEST_BLOCK
SET_BY_THE_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Makes glibc's malloc keep freed memory for the next pass. Called once for the process.

    A trace allocates memory for its queries and keys in every pass. glibc maps blocks above M_MMAP_THRESHOLD anew each time,
    and returns freed memory above M_TRIM_THRESHOLD to the system. It raises both limits when large blocks are freed, which
    passes without a trace seldom do; each trace then takes the time of mapping its pages, about 6% of a pass of 257 tokens.
    Here both limits are set to their final values at once.

    Returns:
        Whether the limits were set: not without glibc, and not if environment variables set them.
    """
    if any(name in os.environ for name in SET_BY_THE_USER) or not has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(TRIM_THRESHOLD, KEPT))


def has_glibc() -> bool:
    """Whether the C library of this process is glibc, which alone has the limits that are set here."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # Windows has no confstr; other C libraries lack the name
        return False
