"""The first seconds of a visitor, what the start page's figure answers in, and what moves while pages open, in a real browser.

    python benchmarks/first_seconds.py --rounds 3 [--root CHECKOUT]
    python benchmarks/first_seconds.py --only-pages --slow --causes [--cold] [--pages patches,model]

A fresh server for each round, of this checkout or of another one. Prints a table for benchmarks/README.md: seconds from
`streamlit run` to the first HTTP 200 and from there to the first moving picture, frames of more than 33 ms while the figure
plays at 1280 x 800, milliseconds that the page's handlers work on a movement of the pointer, from that movement to the frame
that shows it (of which half a frame is waiting for the next one to begin) and from the end of a stroke to the new answer, and
the layout shift (CLS) of every page. The load of the machine is printed beside it.

--slow opens the pages with a processor slowed four times and the network of a phone (1.6 Mbit/s, 150 ms a round trip), --cold
each at a fresh server that has just begun to answer; --causes says what moved, where, and when.
"""

from __future__ import annotations

import argparse
import os
import random
import re
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
from urllib.error import HTTPError

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
SIZE = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MOVES, STROKES = 120, 5
WATCH = """
window.moved = []; window.causes = []; window.frames = []; window.hovers = []; window.works = new Map(); window.moving = null;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) {
    if (each.hadRecentInput) continue;
    window.moved.push(each.value);
    const boxOf = ({ x, y, width, height }) => [x, y, width, height].map(Math.round);
    const named = ({ node, previousRect, currentRect }) => {
      const marked = (node?.closest ? node : node?.parentElement)?.closest("[class*=st-key-], [data-testid]");
      const name = marked && (/st-key-[\\w-]+/.exec(marked.className)?.[0] ?? marked.dataset.testid);
      const what = `${name} <${node?.nodeName} ${(node?.textContent ?? "").slice(0, 30)}>`;
      return `${what} ${boxOf(previousRect)} -> ${boxOf(currentRect)}`;
    };
    const moved = each.sources.map(named).join("; ");
    window.causes.push(`${each.value.toFixed(4)} at ${Math.round(each.startTime)} ms: ${moved}`);
  }
}).observe({ type: "layout-shift", buffered: true });
const request = window.requestAnimationFrame.bind(window);
let last = 0;
const frame = (now) => { if (last) window.frames.push(now - last); last = now; request(frame); };
request(frame);
const find = (root) => {
  for (const node of root.querySelectorAll("*")) {
    if (node.classList.contains("journey")) return node;
    const inside = node.shadowRoot && find(node.shadowRoot);
    if (inside) return inside;
  }
  return null;
};
window.figure = () => find(document);
const look = () => {
  if (Number(window.figure()?.dataset.at ?? 0) > 0) window.moving = performance.timeOrigin + performance.now();
  else setTimeout(look, 20);
};
setTimeout(look, 20);
let began = 0;
for (const moved of ["pointerrawupdate", "pointermove"]) {
  window.addEventListener(moved, () => { began = performance.now(); }, true);
  window.addEventListener(moved, ({ timeStamp }) => {  // both are about one movement
    window.works.set(timeStamp, (window.works.get(timeStamp) ?? 0) + performance.now() - began);
  });
}
window.addEventListener("pointermove", ({ timeStamp }) => request(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => window.hovers.push(performance.now() - timeStamp);
  port2.postMessage(null);
}), true);
"""
# From the end of the stroke to the caption that says the new answer, as the browser's own clock has it.
STROKE = """(pattern) => new Promise((done) => {
  addEventListener("pointerup", ({ timeStamp }) => {
    const caption = window.figure().querySelector(".caption"), wanted = new RegExp(pattern);
    const before = caption.textContent;
    const look = () => {
      if (caption.textContent !== before && wanted.test(caption.textContent)) done(performance.now() - timeStamp);
      else requestAnimationFrame(look);
    };
    look();
  }, { capture: true, once: true });
})"""


@contextmanager
def served(root: Path) -> Iterator[tuple[str, float, float]]:
    """(address, seconds to the first HTTP 200 on /, that moment) of the app, served as users serve it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", address.rpartition(":")[2]]
    environment = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    begun = time.time()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, "--server.headless", "true"], cwd=root, env=environment, **quiet)
    try:
        while status(address) != 200:
            if server.poll() is not None:
                raise RuntimeError("the server ended before it answered")
            time.sleep(0.02)
        yield address, time.time() - begun, time.time()
    finally:
        server.terminate()
        server.wait()


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def first_visit(browser: Any, address: str, answered: float) -> dict[str, float]:
    """What the first visitor of a server waits for."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(WATCH)
    page.goto(address)
    while page.evaluate("window.moving") is None:  # the server's policy forbids `wait_for_function`
        page.wait_for_timeout(50)
    found = {"from there to the first moving picture, s": page.evaluate("window.moving") / 1000 - answered}
    while status(f"{address}/readyz") != 200:
        time.sleep(0.1)
    found["from there to a model that is ready, s"] = time.time() - answered
    page.close()
    return found


def figure(browser: Any, address: str) -> dict[str, float]:
    """What the figure of the start page answers in, once the server has started."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(WATCH)
    page.goto(address)
    page.locator(".journey[data-loaded='12']").wait_for(timeout=120_000)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=120_000)
    scrub = page.locator(".journey .scrub")
    scrub.evaluate("(range) => { range.value = 0; range.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(1_500)
    page.evaluate("window.frames.length = 0")
    page.locator(".journey .play").click()
    page.wait_for_timeout(13_000)
    frames = page.evaluate("window.frames")
    end = float(scrub.get_attribute("max"))
    scrub.evaluate("(range, at) => { range.value = at; range.dispatchEvent(new Event('input')); }", end)
    page.wait_for_timeout(500)
    box = page.locator(".journey canvas.photo").bounding_box()
    page.evaluate("window.works.clear()")
    hovers = hovered(page, box)
    works = page.evaluate("[...window.works.values()]")
    nothing = hovered(page, page.locator("[data-testid=stHeading] h2").bounding_box())
    found = {
        "frames over 33 ms while it plays, %": 100 * sum(each > 33.4 for each in frames) / max(1, len(frames)),
        "hover, work of the page's handlers, median, ms": statistics.median(works),
        "hover, from the pointer's event to the frame that shows it, median, ms": statistics.median(hovers),
        "hover, the same, 95th percentile, ms": hovers[int(0.95 * len(hovers))],
        "hover, the same over the heading, where nothing answers, median, ms": statistics.median(nothing),
        "stroke to the new answer, median, ms": statistics.median(strokes(page, box)),
    }
    page.close()
    return found


def hovered(page: Any, box: dict[str, float]) -> list[float]:
    """Milliseconds from each of some movements of the pointer in a box to the end of the frame after it, ascending."""
    chance = random.Random(0)
    page.evaluate("window.hovers.length = 0")
    for _ in range(MOVES):
        page.mouse.move(box["x"] + chance.random() * box["width"], box["y"] + chance.random() * box["height"])
        page.wait_for_timeout(40 + chance.random() * 17)
    return sorted(page.evaluate("window.hovers"))


def strokes(page: Any, box: dict[str, float]) -> list[float]:
    """Milliseconds from the end of each of some strokes of three patches to the new answer."""
    from vitviz.ui.pages.start.text import JOURNEY

    pattern = "^" + re.sub(r"\\\{\w+\\\}", ".+", re.escape(JOURNEY["caption_hidden"])) + "$"
    page.locator(".journey .tools button").first.click()
    page.wait_for_timeout(300)
    times = []
    for row in range(STROKES):
        y = box["y"] + (2 * row + 3.5) * box["height"] / 16
        x = [box["x"] + (col + 0.5) * box["width"] / 16 for col in (5, 6, 7)]
        page.evaluate(f"(pattern) => {{ window.answer = ({STROKE})(pattern); }}", pattern)
        page.mouse.move(x[0], y)
        page.mouse.down()
        for each in x:
            page.mouse.move(each, y)
        page.mouse.up()
        times.append(page.evaluate("window.answer"))
        page.wait_for_timeout(400)
    return times


# Lighthouse's phone: https://github.com/GoogleChrome/lighthouse/blob/main/docs/throttling.md
SLOW_NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 1_638_400 / 8, "uploadThroughput": 675_000 / 8}
SLOW_PROCESSOR = 4
QUIET_MS = 3_000  # without a request, and after it


def shift(browser: Any, address: str, name: str, *, phone: bool, slow: bool = False, causes: bool = False) -> float:
    """CLS of one page in a browser that has nothing of it yet."""
    look: dict[str, Any] = PHONE if phone else {"viewport": SIZE}
    context = browser.new_context(**look)
    page = context.new_page()
    page.set_default_timeout(240_000)
    page.add_init_script(WATCH)
    if slow:
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW_NETWORK)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_PROCESSOR})
    last = [time.monotonic()]
    for event in ("request", "requestfinished", "requestfailed"):
        page.on(event, lambda _: last.__setitem__(0, time.monotonic()))
    page.goto(f"{address}/{'' if name == 'start' else name}")
    page.wait_for_selector("[data-testid=stHeading] h2")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    while time.monotonic() - last[0] < QUIET_MS / 1000:
        page.wait_for_timeout(QUIET_MS / 4)
    moved = page.evaluate("window.moved")
    if causes and sum(moved) > 0.005:
        print(
            f"{name}{' on a phone' * phone}: {sum(moved):.3f}",
            *page.evaluate("window.causes"),
            sep="\n    ",
            flush=True,
        )
    context.close()
    return float(sum(moved))


def shifts(browser: Any, root: Path, names: list[str], chosen: argparse.Namespace, address: str) -> dict[str, float]:
    """CLS of every page, on a desk and on a phone; at a server of its own each where `chosen.cold`."""
    found = {}
    for name in names:
        for phone in (False, True):
            how = {"phone": phone, "slow": chosen.slow, "causes": chosen.causes}
            if chosen.cold:
                with served(root) as (own, _, _):
                    moved = shift(browser, own, name, **how)
            else:
                moved = shift(browser, address, name, **how)
            found[f"CLS{' on a phone' * phone}, {name}"] = moved
    return found


ASKED = {
    "`streamlit run` to the first answer, s": "3",
    "from there to the first moving picture, s": "6",
    "frames over 33 ms while it plays, %": "5",
    "hover, work of the page's handlers, median, ms": "16",
    "hover, from the pointer's event to the frame that shows it, median, ms": "16",
    "stroke to the new answer, median, ms": "400",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout whose app is measured")
    parser.add_argument("--no-pages", action="store_true", help="leave out the layout shift of the pages")
    parser.add_argument("--only-pages", action="store_true", help="nothing but the layout shift of the pages")
    parser.add_argument("--pages", default="", help="names of the pages whose layout shift is measured, all by default")
    parser.add_argument("--slow", action="store_true", help="pages are opened with a slow processor and network")
    parser.add_argument("--cold", action="store_true", help="each page is opened at a server that has just started")
    parser.add_argument("--causes", action="store_true", help="what moved")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chosen = parser.parse_args()
    root = chosen.root.resolve()
    every = sorted(path.parent.name for path in (root / "vitviz" / "ui" / "pages").glob("*/page.py"))
    names = [] if chosen.no_pages else chosen.pages.split(",") if chosen.pages else every
    rows: dict[str, list[float]] = {}
    loads = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        for _ in range(chosen.rounds):
            loads.append(os.getloadavg()[0])
            if chosen.cold:
                found = shifts(browser, root, names, chosen, "")
            else:
                with served(root) as (address, seconds, answered):
                    found = {"`streamlit run` to the first answer, s": seconds}
                    found |= first_visit(browser, address, answered)
                    found = {} if chosen.only_pages else found | figure(browser, address)
                    found |= shifts(browser, root, names, chosen, address)
            for what, value in found.items():
                rows.setdefault(what, []).append(value)
        browser.close()
    print(
        f"{chosen.rounds} rounds; load average of the minute before each: {', '.join(f'{each:.1f}' for each in loads)}\n"
    )
    print("| what | median | range | asked for |\n|---|---:|---:|---:|")
    for what, values in rows.items():
        digits = 3 if what.startswith("CLS") else 1
        median, low, high = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
        print(f"| {what} | {median} | {low} to {high} | {ASKED.get(what, '0.05' if what.startswith('CLS') else '')} |")


if __name__ == "__main__":
    main()
