"""Free memory, read from files as Linux lays them out: a machine, and containers of both generations of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vitviz.capture import memory
from vitviz.capture.memory import ALIGNMENT, PAGE, LargePages, free_host_memory, free_memory

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


# Freed memory is kept for the next pass where the app, or a user, switches that on; the environment has the last word.


COUNT = """
import resource, timm, torch
from vitviz.capture.memory import keep_freed_memory
from vitviz.capture.record import record
from vitviz.models.layout import layout_of

torch.set_num_threads(1)
if {switched}:
    keep_freed_memory()
module = timm.create_model("vit_small_patch16_224", depth=4).eval()
x, layout = torch.randn(1, 3, 224, 224), layout_of(module, "a model", (224, 224))
for count in range(9):
    if count == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        module(x)  # keeps nothing, so that the limits would stay low
    record(module, x, layout)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in memory.SET_BY_THE_USER} | more


def new_pages(switched: bool = True, **more: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(switched=switched)],
        env=environment(**more),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.long
@pytest.mark.skipif(not memory.has_glibc(), reason="only glibc takes these settings")
def test_traces_take_next_to_no_new_pages_after_the_first_ones():
    left_to_itself = new_pages(switched=False)  # the library sets nothing by itself: thousands in three passes
    assert new_pages() < left_to_itself / 20  # a few dozen at most; how many is up to the machine


@pytest.mark.parametrize("name", memory.SET_BY_THE_USER)
def test_what_the_user_has_set_stands(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert memory.keep_freed_memory.__wrapped__() is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda _: None, raising=False)
    assert memory.keep_freed_memory.__wrapped__() is False
    monkeypatch.delattr(os, "confstr")
    assert memory.keep_freed_memory.__wrapped__() is False


# Copies in large pages: the same numbers, apart from each other, and gone when nobody holds them.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("offered", [True, False])
def test_copies_are_equal_contiguous_and_apart(dtype, offered, monkeypatch):
    monkeypatch.setattr(memory, "OFFERED", offered and memory.OFFERED)
    pages, packed = LargePages(), torch.randn(3, 5, 7, 11).mul(100).to(dtype)
    given = [packed[0].mT, packed[1][:, ::2], packed[2, 0, :3], torch.zeros(0, 4, dtype=dtype)]
    kept = [pages.keep(tensor) for tensor in given]
    for tensor, copy in zip(given, kept, strict=True):
        assert copy.dtype == dtype and copy.is_contiguous() and torch.equal(copy, tensor)
    packed.zero_()
    assert all(copy.abs().max() > 0 for copy in kept[:3])
    before = [copy.clone() for copy in kept]
    kept[1].zero_()
    assert torch.equal(kept[0], before[0]) and torch.equal(kept[2], before[2])


def test_a_full_room_is_followed_by_another_and_a_large_tensor_gets_one_of_its_size(monkeypatch):
    monkeypatch.setattr(memory, "BLOCK", PAGE)
    pages = LargePages()
    tensors = [torch.full((PAGE // 4 // 3 - ALIGNMENT,), float(i)) for i in range(7)] + [
        torch.arange(PAGE, dtype=torch.float32)
    ]
    kept = [pages.keep(tensor) for tensor in tensors]
    assert all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    rooms = {copy.untyped_storage().data_ptr(): copy.untyped_storage().nbytes() for copy in kept}
    assert sorted(rooms.values()) == [PAGE, PAGE, PAGE, 4 * PAGE]
    assert all(copy.data_ptr() % ALIGNMENT == 0 for copy in kept)


def test_a_room_lives_as_long_as_its_last_tensor():
    held = LargePages().keep(torch.arange(1000))  # its room has no other owner
    LargePages().keep(torch.full((1000,), 7))
    assert torch.equal(held, torch.arange(1000))


def test_a_system_without_them_gets_plain_memory(monkeypatch):
    monkeypatch.setattr(memory, "OFFERED", False)
    copy = LargePages().keep(torch.arange(10))
    assert copy.untyped_storage().nbytes() == 80


def test_short_sequences_get_plain_memory():
    copy = LargePages(memory.LONG - 1).keep(torch.arange(10))
    assert copy.untyped_storage().nbytes() == 80
