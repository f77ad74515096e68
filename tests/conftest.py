"""What every test may rely on: no network, one thread a process, the same random numbers, a browser if there is one."""

from __future__ import annotations

import os
import random
import shutil
import sys

import numpy as np
import pytest

# Before anything imports torch or a hub client. One thread: sums come out in one order, parallel tests do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# A test means the same on a machine with a GPU; those about the GPU ask for it by name.
os.environ.setdefault("VITVIZ_DEVICE", "cpu")
os.environ.setdefault("VITVIZ_DTYPE", "float32")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """A test draws the same numbers whichever tests ran before it. torch is seeded if loaded, and not loaded here."""
    random.seed(0)
    np.random.seed(0)  # for code that draws from the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium. Without one a browser test is skipped; in CI that is a failure."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium on this machine, and CI must not skip the browser tests")
    pytest.skip("no Chromium on this machine: install your system's chromium package to run the browser tests")
