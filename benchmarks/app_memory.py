"""What a session costs: resident memory of the server as more and more browsers look at a gallery image.

    python benchmarks/app_memory.py [--sessions 8]

Each session is a browser of its own on the rollout page, which clicks through a few heads. The first one pays for the trace
and what is computed from it; those after it should find nearly everything made.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from tests.browser.serving import CHROMIUM_FLAGS, ROOT, served


def resident() -> float:
    """MB of the server that this process started, as Linux counts them."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            command = status.with_name("cmdline").read_bytes()
        except OSError:  # ended while we looked
            continue
        if int(fields["PPid"]) == os.getpid() and b"streamlit" in command:
            return int(fields["VmRSS"].split()[0]) / 1024
    raise RuntimeError("the server is not among this process's children")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sessions", type=int, default=8)
    options.add_argument("--chromium", default="/usr/bin/chromium")
    given = options.parse_args()
    with (
        sync_playwright() as driver,
        served(ROOT / "app.py") as address,
    ):
        browser = driver.chromium.launch(executable_path=given.chromium, args=CHROMIUM_FLAGS)
        empty = resident()
        print(f"| sessions | resident (MB) |\n|---|---|\n| 0 | {empty:.0f} |")
        sizes = []
        for number in range(1, given.sessions + 1):
            page = browser.new_context().new_page()
            for head in range(3):
                page.goto(f"{address}/rollout?layer=8&head={head}")
                page.locator(".heatmap[data-ready]").nth(2).wait_for(timeout=120_000)
            page.wait_for_timeout(500)
            sizes.append(resident())
            print(f"| {number} | {sizes[-1]:.0f} |", flush=True)
        browser.close()
    if len(sizes) > 1:
        print(f"\nEach session beyond the first: {(sizes[-1] - sizes[0]) / (len(sizes) - 1):.1f} MB")


if __name__ == "__main__":
    main()
