"""How fast the microscope answers a hand, in headless Chromium on the machine that also serves the page.

    python benchmarks/microscope_hover.py [--moves 200] [--hover-only]

For each size, with median and 95th percentile:

hover      from the pointer event to the end of the frame that shows the answer: its time stamp, the computation of a row of
           every head, the painting, and the browser's own layout and paint (a message posted in the frame comes after them)
processor  what one hover costs the page's main thread in processor time, script, style, layout and paint; unlike the others
           this says something on a machine that is busy with other work
click      from a click that pins a patch to the page showing what Python made of it
layer      from turning to another layer to its first paint: one that was prefetched, and one that was not

The layers are those of the browser tests: random queries and keys of a ViT's shape. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from microscope_cases import CASES  # noqa: E402
from serving import CHROMIUM_FLAGS, served  # noqa: E402

SIZES = ("small", "small12", "large", "large12")
CLICKS, SWITCHES = 30, 6
STEP_MS, FRAME_MS = 40, 17  # between two moves, so that each gets a frame of its own and comes at any moment of one
WARM_UP = 20  # moves that warm the machine's and the browser's caches

HOVER_TIMES = """root => {
  window.hoverTimes = [];
  let [moved, inFrame] = [null, false];
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (work) => request((time) => {
    inFrame = true;
    try { work(time); } finally { inFrame = false; }
  });
  for (const name of ['pointerrawupdate', 'pointermove']) {
    root.querySelector('canvas.picture').addEventListener(name, (event) => {
      moved ??= event.timeStamp;
    }, true);
  }
  root.addEventListener('painted', () => {
    if (moved === null) return;
    const [start, channel] = [moved, new MessageChannel()];
    moved = null;
    channel.port1.onmessage = () => window.hoverTimes.push(performance.now() - start);
    const post = () => channel.port2.postMessage(null);
    inFrame ? post() : request(post);  // what is painted before a frame is shown by it
  });
  root.querySelector('canvas.picture').addEventListener('pointermove', () => request(() => { moved = null; }));
}"""
CLICK_TIME = """([x, y, token]) => new Promise((done) => {
  const shown = document.querySelector('[data-testid=stCode] code');
  document.addEventListener('pointerup', (event) => {
    const start = event.timeStamp;
    new MutationObserver((_, observer) => {
      if (!document.querySelector('[data-testid=stCode] code').textContent.includes(`"${token}"`)) return;
      observer.disconnect();
      done(performance.now() - start);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  }, { capture: true, once: true });
  window.armed = true;
})"""
LAYER_TIME = """(root, layer) => new Promise((done) => {
  const slider = root.querySelector('.layer input');
  const start = performance.now();
  root.addEventListener('painted', function painted() {
    if (root.dataset.layer !== String(layer)) return;
    root.removeEventListener('painted', painted);
    done(performance.now() - start);
  });
  slider.value = layer;
  slider.dispatchEvent(new Event('input'));
})"""


def measure(browser: Any, address: str, name: str, moves: int, hover_only: bool) -> dict[str, list[float]]:
    layout = CASES[name].layout
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/?case={name}")
    root = page.locator(".microscope[aria-busy=false][data-source]")
    root.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)  # the neighbours come in
    picture = page.locator("canvas.picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    rows, cols = layout.grid
    rng = random.Random(0)

    def place(row: int, col: int) -> tuple[float, float]:
        return box["x"] + (col + 0.5) * box["width"] / cols, box["y"] + (row + 0.5) * box["height"] / rows

    root.evaluate(HOVER_TIMES)
    inside = page.context.new_cdp_session(page)
    inside.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        """Milliseconds of processor time that the main thread has used for tasks."""
        metrics = inside.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    processor = []
    for i in range(moves + WARM_UP):
        if i == WARM_UP:
            page.evaluate("() => { window.hoverTimes = []; }")
        before = busy()
        page.mouse.move(*place(rng.randrange(rows), rng.randrange(cols)))
        page.wait_for_timeout(STEP_MS + rng.uniform(0, FRAME_MS))
        processor.append(busy() - before)
    found = {"hover": page.evaluate("() => window.hoverTimes"), "processor": processor[WARM_UP:]}
    if hover_only:
        page.close()
        return found

    clicks = []
    for i in range(CLICKS):
        row, col = i % rows, (3 * i + 1) % cols
        page.evaluate(f"(given) => {{ window.answer = ({CLICK_TIME})(given); }}", [*place(row, col), f"r{row}c{col}"])
        page.mouse.click(*place(row, col))
        clicks.append(page.evaluate("() => window.answer"))
        page.wait_for_timeout(300)  # the next one is a change of its own

    near, far = [], []
    for i in range(SWITCHES):
        near.append(root.evaluate(LAYER_TIME, 2 if i % 2 == 0 else 1))
        page.wait_for_timeout(1000)
    page.close()
    for _ in range(SWITCHES):  # a new session each time: nothing is in the browser's cache
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(f"{address}/?case={name}")
        root = page.locator(".microscope[aria-busy=false][data-source]")
        root.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)
        far.append(root.evaluate(LAYER_TIME, 3))
        context.close()
    return {**found, "click": clicks, "layer, prefetched": near, "layer, not prefetched": far}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--moves", type=int, default=200)
    options.add_argument("--hover-only", action="store_true")
    options.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    chosen = options.parse_args()
    from playwright.sync_api import sync_playwright

    print("| tokens | heads | what | median ms | 95th percentile ms | n |\n|---|---|---|---|---|---|")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chosen.chromium, args=CHROMIUM_FLAGS)
        with served(ROOT / "tests" / "browser" / "microscope_app.py") as address:
            for name in SIZES:
                case = CASES[name]
                for what, times in measure(browser, address, name, chosen.moves, chosen.hover_only).items():
                    median, high = np.percentile(times, [50, 95])
                    row = (case.layout.num_tokens, case.heads, what, f"{median:.1f}", f"{high:.1f}", len(times))
                    print("|", " | ".join(map(str, row)), "|", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
