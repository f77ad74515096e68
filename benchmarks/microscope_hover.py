"""How fast the microscope answers a hand, in headless Chromium on the machine that also serves the page.

    python benchmarks/microscope_hover.py [--moves 200] [--hover-only | --features]

For each size, with median and 95th percentile:

hover      from the pointer event to the end of the frame that shows the answer: its time stamp, the computation of a row of
           every head, the painting, and the browser's own layout and paint (a message posted in the frame comes after them)
processor  what one hover costs the page's main thread in processor time, script, style, layout and paint; unlike the others
           this says something on a machine that is busy with other work
click      from a click that pins a patch to the page showing what Python made of it
layer      from turning to another layer to its first paint: one that was prefetched, and one that was not

The layers are those of the browser tests: random queries and keys of a ViT's shape. With --features the same of the page
"Features" in their place, two photographs in the embedded model: hover and processor; click, to the painted answer; and opened,
from a link to the first painted answer, with the features of both photographs computed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from microscope_cases import CASES  # noqa: E402
from serving import CHROMIUM_FLAGS, served  # noqa: E402

SIZES = ("small", "small12", "large", "large12")
PIXELS = (224, 518)  # to a side of the input, with --features
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
PAINT_TIME = """(root) => new Promise((done) => {
  let start = null;
  root.addEventListener('pointerup', (event) => { start = event.timeStamp; }, { capture: true, once: true });
  root.addEventListener('painted', function painted() {
    if (start === null) return;
    root.removeEventListener('painted', painted);
    done(performance.now() - start);
  });
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
    rows, cols = layout.grid
    place = places(page.locator("canvas.picture"), rows, cols)
    found = hovered(page, root, "canvas.picture", place, (rows, cols), moves)
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


def places(canvas: Any, rows: int, cols: int) -> Callable[[int, int], tuple[float, float]]:
    """Where the middle of a patch lies in the window."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return lambda row, col: (
        box["x"] + (col + 0.5) * box["width"] / cols,
        box["y"] + (row + 0.5) * box["height"] / rows,
    )


def hovered(
    page: Any,
    root: Any,
    canvas: str,
    place: Callable[[int, int], tuple[float, float]],
    grid: tuple[int, int],
    moves: int,
) -> dict[str, list[float]]:
    """Times of moves to random patches, and of the main thread for each."""
    rng = random.Random(0)
    root.evaluate(HOVER_TIMES.replace("canvas.picture", canvas))
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
        page.mouse.move(*place(rng.randrange(grid[0]), rng.randrange(grid[1])))
        page.wait_for_timeout(STEP_MS + rng.uniform(0, FRAME_MS))
        processor.append(busy() - before)
    return {"hover": page.evaluate("() => window.hoverTimes"), "processor": processor[WARM_UP:]}


def of_features(browser: Any, address: str, pixels: int, moves: int) -> dict[str, list[float]]:
    """The same of the page "Features", at an input of so many pixels."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/features?size={pixels}&image=cat")  # the model is there at this size
    page.wait_for_selector(".features[data-ready]", timeout=120_000)
    page.wait_for_timeout(2000)
    start = time.perf_counter()
    page.goto(f"{address}/features?size={pixels}")
    page.wait_for_selector(".features[data-ready]", timeout=120_000)
    opened = 1000 * (time.perf_counter() - start)
    page.wait_for_timeout(1500)
    root, grid = page.locator(".features"), (pixels // 14, pixels // 14)
    place = places(page.locator("canvas.panel").first, *grid)
    found = hovered(page, root, "canvas.panel", place, grid, moves)
    clicks = []
    for i in range(CLICKS):
        where = place(i % grid[0], (3 * i + 1) % grid[1])
        page.mouse.move(*where)
        page.wait_for_timeout(500)
        root.evaluate(f"(root) => {{ window.answer = ({PAINT_TIME})(root); }}")
        page.mouse.click(*where)
        clicks.append(page.evaluate("() => window.answer"))
    page.close()
    return {**found, "click": clicks, "opened": [opened]}


def show(size: int, heads: int | str, found: dict[str, list[float]]) -> None:
    """Prints a row for each thing that was timed."""
    for what, times in found.items():
        median, high = np.percentile(times, [50, 95])
        print(
            "|", " | ".join(map(str, (size, heads, what, f"{median:.1f}", f"{high:.1f}", len(times)))), "|", flush=True
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--moves", type=int, default=200)
    options.add_argument("--hover-only", action="store_true")
    options.add_argument("--features", action="store_true")
    options.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    chosen = options.parse_args()
    from playwright.sync_api import sync_playwright

    table = "| tokens | heads | what | median ms | 95th percentile ms | n |\n|---|---|---|---|---|---|"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chosen.chromium, args=CHROMIUM_FLAGS)
        print(table.replace("tokens | heads", "pixels | heads") if chosen.features else table, flush=True)
        if chosen.features:
            with served(ROOT / "app.py") as address:
                for pixels in PIXELS:
                    show(pixels, "", of_features(browser, address, pixels, chosen.moves))
        else:
            with served(ROOT / "tests" / "browser" / "microscope_app.py") as address:
                for name in SIZES:
                    case = CASES[name]
                    show(
                        case.layout.num_tokens,
                        case.heads,
                        measure(browser, address, name, chosen.moves, chosen.hover_only),
                    )
        browser.close()


if __name__ == "__main__":
    main()
