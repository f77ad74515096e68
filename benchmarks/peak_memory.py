"""The highest resident memory of a piece of work, above what stood before it, as Linux counts it.

`ru_maxrss` only ever rises: after a model has been built it says how much that took, and not what came later. Writing 5 to
/proc/self/clear_refs sets the mark (VmHWM) back to what is resident now.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def resident(field: str = "VmRSS") -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at the most since the mark was set back."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"this system does not tell {field}; the memory benchmarks need Linux")


def peak_of(work: Callable[[], T]) -> tuple[int, T]:
    """(bytes at the most above what was resident before, what the work gave back, which is still alive then)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or memory that was freed before would be taken up again unseen
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident()
    result = work()
    return resident("VmHWM") - before, result
