"""How long from `streamlit run app.py` to the first heat map in the browser.

    python benchmarks/app_startup.py [--repeats 3]

A fresh server each time. A browser opens the rollout page as soon as the server answers; the clock stops when the rollout
is painted. Files are warm in the system's cache after the first repetition, which is listed apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, sync_playwright

from tests.browser.serving import CHROMIUM_FLAGS, ROOT, served

PAINTED = ".heatmap[data-ready]"


def startup(browser: Browser) -> tuple[float, float]:
    """Seconds until the server answers, and until the last of the rollout page's three pictures and boards is painted."""
    begun = time.perf_counter()
    with served(ROOT / "app.py") as address:
        answered = time.perf_counter() - begun
        page = browser.new_page()
        page.goto(f"{address}/rollout")
        page.locator(PAINTED).nth(2).wait_for(timeout=120_000)
        painted = time.perf_counter() - begun
        page.close()
    return answered, painted


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--chromium", default="/usr/bin/chromium")
    given = options.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.chromium, args=CHROMIUM_FLAGS)
        times = [startup(browser) for _ in range(given.repeats)]
        browser.close()
    print("| | server answers (s) | first heat map (s) |\n|---|---|---|")
    for number, (answered, painted) in enumerate(times, start=1):
        print(f"| start {number} | {answered:.1f} | {painted:.1f} |")
    print(f"| median | {statistics.median(t[0] for t in times):.1f} | {statistics.median(t[1] for t in times):.1f} |")


if __name__ == "__main__":
    main()
