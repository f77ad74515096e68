"""Free memory, read from files as Linux lays them out: a machine, and containers of both generations of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vitviz.capture.memory import free_host_memory, free_memory

GB = 1_000_000_000
MACHINE = {"proc/meminfo": "MemTotal:       131072000 kB\nMemAvailable:    97656250 kB\n"}  # 100 GB can be had
V1 = "12:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/system.slice\n"
UNLIMITED_V1 = "9223372036854771712\n"


def machine(folder: Path, *files: dict[str, str]) -> Path:
    for name, text in {name: text for given in files for name, text in given.items()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def v2(group: str, limit: object, used: object, cache: int | None = None) -> dict[str, str]:
    place = f"sys/fs/cgroup/{group}".rstrip("/")
    files = {f"{place}/memory.max": f"{limit}\n", f"{place}/memory.current": f"{used}\n"}
    return files | ({f"{place}/memory.stat": f"anon 1\ninactive_file {cache}\n"} if cache is not None else {})


def v1(group: str, limit: object, used: object, cache: int = 0) -> dict[str, str]:
    place = f"sys/fs/cgroup/memory/{group}".rstrip("/")
    return {
        f"{place}/memory.limit_in_bytes": f"{limit}\n",
        f"{place}/memory.usage_in_bytes": f"{used}\n",
        f"{place}/memory.stat": f"inactive_file 7\ntotal_inactive_file {cache}\n",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 100 * GB),
        ({"proc/self/cgroup": "0::/\n"}, 100 * GB),
        # a container of its own control group namespace
        ({"proc/self/cgroup": "0::/\n", **v2("", 4 * GB, 3 * GB)}, 1 * GB),
        ({"proc/self/cgroup": "0::/\n", **v2("", 4 * GB, 3 * GB, cache=2 * GB)}, 3 * GB),
        ({"proc/self/cgroup": "0::/\n", **v2("", "max", 3 * GB)}, 100 * GB),
        ({"proc/self/cgroup": "0::/\n", **v2("", 4 * GB, 5 * GB)}, 0),
        # a service on the machine itself: the least of its own group's and those above it
        ({"proc/self/cgroup": "0::/a/b\n", **v2("a/b", "max", GB), **v2("a", 8 * GB, 2 * GB)}, 6 * GB),
        ({"proc/self/cgroup": "0::/a/b\n", **v2("a/b", 5 * GB, GB), **v2("a", 8 * GB, 2 * GB)}, 4 * GB),
        # the first generation, in a container that sees its own group at the mount, and on the machine
        ({"proc/self/cgroup": V1, **v1("", 2 * GB, GB, cache=GB // 2)}, 3 * GB // 2),
        ({"proc/self/cgroup": V1, **v1("docker/abc", 2 * GB, GB), **v1("", UNLIMITED_V1.strip(), 50 * GB)}, 1 * GB),
        ({"proc/self/cgroup": V1, **v1("", UNLIMITED_V1.strip(), GB)}, 100 * GB),
        # more than the machine has, and files that say nothing
        ({"proc/self/cgroup": "0::/\n", **v2("", 500 * GB, GB)}, 100 * GB),
        ({"proc/self/cgroup": "nonsense\n::\n0::/../..\n", **v2("", "", "x")}, 100 * GB),
    ],
)
def test_the_least_of_machine_and_limits(tmp_path, files, expected):
    assert free_host_memory(machine(tmp_path, MACHINE, files)) == expected


def test_a_limit_without_the_machine_and_nothing_at_all(tmp_path):
    assert free_host_memory(tmp_path) is None
    files = {"proc/self/cgroup": "0::/\n", **v2("", 4 * GB, 3 * GB)}
    assert free_host_memory(machine(tmp_path, files)) == 1 * GB


def test_this_machine():
    free = free_memory(torch.device("cpu"))
    assert free is None or free > 0
