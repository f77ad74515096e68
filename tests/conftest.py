"""What every test may rely on: no network, one thread a process, the same random numbers, a browser if there is one.

Also how the suite is divided: into long tests and others (`--one-of`), and over processes.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

# Before anything imports torch or a hub client. One thread: sums come out in one order, parallel tests do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# A test means the same on a machine with a GPU; those about the GPU ask for it by name.
os.environ.setdefault("VITVIZ_DEVICE", "cpu")
os.environ.setdefault("VITVIZ_DTYPE", "float32")

BROWSER = "tests/browser/"
T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "of the tests marked long or registry run one in N; which one changes from commit to commit"
    parser.addoption("--one-of", type=int, default=1, metavar="N", help=words)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps one long test in N, and puts browser tests first: they take longest and stay in one process."""
    every = config.getoption("--one-of")
    if every > 1:
        names = [item.nodeid for item in items if is_long(item)]
        left_out = {*names} - those_of_turn(names, every, int(commit()[:8], 16))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]
    # A stable sort. Files outside folders come next: some of them are long, and a long one at the end would run alone.
    items.sort(key=lambda item: 0 if item.nodeid.startswith(BROWSER) else 1 + item.nodeid.partition("::")[0].count("/"))


def is_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("long", "registry"))


def those_of_turn(names: list[str], every: int, turn: int) -> set[str]:
    """The tests of this turn: in `every` turns in a row each test has one. As many in each, and of a file's as few as can be,
    since those of one file often take equally long.
    """
    return {name for place, name in enumerate(sorted(names)) if (place + turn) % every == 0}


def commit() -> str:
    """The hash of the commit that is tested, or zeros outside a clone."""
    asked = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "0" * 40
    return done.stdout.strip()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto` is one process more than there are cores: the one that drives the browser waits for it most of the time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`: a file's tests in one process, so that its models are built once, and all browser tests in one
    process, so that there is one server and one browser.
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)

    return OneBrowser(config, log)


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """A test draws the same numbers whichever tests ran before it. torch is seeded if loaded, and not loaded here."""
    random.seed(0)
    np.random.seed(0)  # for code that draws from the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in a thread of its own: where the browser is driven, this one has a loop that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium. Without one a browser test is skipped; in CI that is a failure."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium on this machine, and CI must not skip the browser tests")
    pytest.skip("no Chromium on this machine: install your system's chromium package to run the browser tests")
