"""The first ten seconds of a visitor, and what moves while a page opens, in a real browser.

    python benchmarks/first_seconds.py --repeats 3

Prints a table for benchmarks/README.md: seconds from `streamlit run` to the server's answer and from there to the first moving
picture, frames of more than 33 ms while the figure of the start page plays at 1280 x 800, and the layout shift (CLS) of pages.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from vitviz.ui.pages.registry import pages

ROOT = Path(__file__).parent.parent
WATCH = """
window.moved = []; window.frames = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.moved.push(each.value);
}).observe({ type: "layout-shift", buffered: true });
let last = 0;
const frame = (now) => { if (last) window.frames.push(now - last); last = now; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


@contextmanager
def served() -> Iterator[tuple[str, float]]:
    """(address, seconds to the first answer) of the app, served as users serve it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", address.rpartition(":")[2]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    begun = time.monotonic()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, "--server.headless", "true"], cwd=ROOT, env=environment, **quiet)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{address}/healthz", timeout=1):
                    break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError("the server ended before it answered") from None
                time.sleep(0.02)
        yield address, time.monotonic() - begun
    finally:
        server.terminate()
        server.wait()


def moving(browser: Any, address: str) -> tuple[float, float]:
    """(seconds to the first moving picture, share of frames over 33 ms in the five seconds after it)."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH)
    begun = time.monotonic()
    page.goto(address)
    figure = page.locator(".journey[data-at]")
    figure.wait_for(timeout=120_000)
    while float(figure.get_attribute("data-at")) <= 0:
        page.wait_for_timeout(10)
    seconds = time.monotonic() - begun
    page.evaluate("window.frames.length = 0")
    page.wait_for_timeout(5_000)
    frames = page.evaluate("window.frames")
    page.close()
    return seconds, sum(each > 33 for each in frames) / max(1, len(frames))


def shift(browser: Any, address: str, name: str) -> float:
    """CLS of one page in a browser that has nothing of it yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{address}/{'' if name == 'start' else name}")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=120_000)
    page.wait_for_timeout(3_000)
    moved = page.evaluate("window.moved")
    context.close()
    return float(sum(moved))


def line(what: str, values: list[float], unit: str, wanted: str = "") -> str:
    """One row: median and range."""
    return (
        f"| {what} | {statistics.median(values):.2f}{unit} | {min(values):.2f} to {max(values):.2f}{unit} | {wanted} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chosen = parser.parse_args()
    answers: list[float] = []
    firsts: list[float] = []
    slow: list[float] = []
    shifts: dict[str, list[float]] = {page.name: [] for page in pages()}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        for _ in range(chosen.repeats):
            with served() as (address, seconds):
                answers.append(seconds)
                first, share = moving(browser, address)
                firsts.append(first)
                slow.append(100 * share)
                for name, found in shifts.items():
                    found.append(shift(browser, address, name))
        browser.close()
    print("| what | median | range | asked for |\n|---|---:|---:|---:|")
    print(line("`streamlit run` to the first answer", answers, " s", "3 s"))
    print(line("from there to the first moving picture", firsts, " s", "6 s"))
    print(line("frames over 33 ms while it plays", slow, "%", "5%"))
    for name, found in shifts.items():
        print(line(f"CLS, {name}", found, "", "0.05"))


if __name__ == "__main__":
    main()
