"""Memory that was freed, kept for the next pass.

The queries and keys that a trace keeps are new memory in every pass. Above some size of a block the C library asks the system
for it each time, and above some amount it gives back what was freed. It raises both limits by itself as it sees large blocks
come and go; passes that keep nothing get by with low ones, and then every trace pays for having its pages mapped anew: some 6%
of a pass of 257 tokens. So the limits are set to where they would end.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

# glibc, mallopt(3), and its own upper ends on 64 bits: blocks of 32 MB, and twice as much kept
MMAP_THRESHOLD, LARGEST_BLOCK = -3, 32 << 20
TRIM_THRESHOLD, KEPT = -1, 2 * LARGEST_BLOCK
SET_BY_THE_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Sets both limits, once for the process. -> whether it did: not without glibc, nor where the environment has a say."""
    if any(name in os.environ for name in SET_BY_THE_USER) or not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(TRIM_THRESHOLD, KEPT))


def _has_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # Windows has no confstr, others do not know the name
        return False
