"""How much memory this process can still have: the machine's, or less where a container limits it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on `device`, or None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_memory()


def free_host_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still allocate without being killed, or None where nobody says.

    The least of what the machine has available and what is left of every limit on the process's control group and the groups
    above it (Linux, cgroup v1 and v2; a container's limit is one of them). root: the directory that holds proc and sys.
    """
    available = _fields(root / "proc/meminfo").get("MemAvailable")
    found = [] if available is None else [1024 * available]
    found += [left for group, version in _groups(root) if (left := _left(group, version)) is not None]
    return min(found, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """(directory, cgroup version) of the process's own memory control group and all above it, where they are mounted.

    Inside a container the path that the kernel names may be the host's, of which only the end, or nothing, is mounted: then the
    mount's own directory is the container's group.
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
    """What is left of one group's limit, in bytes; None where it has none. Cached pages that can be dropped count as free."""
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
