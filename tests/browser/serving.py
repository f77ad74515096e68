"""A Streamlit server of one's own for a test, on a free port, ended afterwards."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

ROOT = Path(__file__).parent.parent.parent
# Chromium as root in a container, and without the calls home that a test machine cannot make.
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Address(str):
    """A server's address; pid: its process."""

    pid: int


@contextmanager
def served(
    script: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 90.0,
    base: str = "",
    asked: str = "",
) -> Iterator[Address]:
    """The address of `streamlit run script`, offline and in one thread unless `environment` says otherwise.

    Args:
        base: The path that `environment` puts in front of all addresses.
        asked: What has to answer before the server is used; by default what says that it is ready.

    Raises RuntimeError, with the server's own words, where it does not come up within `patience` seconds.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join(filter(None, [str(ROOT), str(script.parent), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "streamlit", "run", script.name, "--server.port", str(port)]
    options = ["--server.address", "127.0.0.1", "--server.headless", "true", "--server.fileWatcherType", "none"]
    offline = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [*command, *options, "--browser.gatherUsageStats", "false"],
            cwd=script.parent,
            env={**os.environ, **offline, **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            address = Address(f"http://127.0.0.1:{port}{base}")
            address.pid = server.pid
            # Of the app itself: it needs no class code, and answers before torch and the model are there. Other scripts have
            # Streamlit's alone.
            path = "/readyz" if script.name == "app.py" and script.parent == ROOT else "/_stcore/health"
            _wait(server, address, patience, log, asked or path)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(server: subprocess.Popen[bytes], address: str, patience: float, log: IO[str], path: str) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=2):
                return
        except HTTPError as error:  # started, and without something: some tests are about that
            if json.loads(error.read()).get("start") == "ready":
                return
            time.sleep(0.2)
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"the server did not come up:\n{log.read()[-2000:]}")
