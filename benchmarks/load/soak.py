"""Many different photographs through the app, one after the other: what the server keeps is bounded, and memory stops growing.

    python benchmarks/load/soak.py --images 1000 [--minutes 60] [--out FILE]

It needs nobody beside it: 1,000 photographs take about 15 minutes of two cores, and after `minutes` it ends with those that it
has. Memory is written to FILE.jsonl after each photograph, the report to FILE.md (`build/load/soak` where not given).

The app is served with small stores, which are full after a third of the photographs. Visitors come, look at a few photographs
of their own on two pages, and leave. Printed is resident memory once the stores are full and at the end, with the spread of its
readings; the exit status is 1 where it grew by 5% or more, or where a photograph was not shown.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.load.classroom import Log, resident
from benchmarks.load.visitor import Visitor, await_ready, is_of, photograph
from tests.browser.serving import ROOT, Address, served

MEGABYTES = 60  # of results; a trace of the embedded model is 15
STAY = 5  # photographs that one visitor looks at
PAGES = ("patches", "rollout")
MOST_GROWTH = 0.05
# In front of app.py's own lines.
SMALL = f"""
from vitviz.ui.compute import services as _services
from vitviz.ui.server import route as _route
_services.RESULT_BYTES = _services.SESSION_BYTES = {MEGABYTES}_000_000
_route.payloads().max_bytes, _route.payloads().max_entries = 20_000_000, 256
"""


@contextmanager
def small_app() -> Iterator[Address]:
    """The app with small stores, and sessions that end soon after their visitors."""
    future = "from __future__ import annotations\n"
    before, _, after = (ROOT / "app.py").read_text(encoding="utf-8").partition(future)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "app.py"
        script.write_text(before + future + SMALL + after, encoding="utf-8")
        with served(script, {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "2"}) as server:
            yield server


@dataclass
class Soaked:
    """megabytes: after each photograph; lost: numbers of those that were not shown."""

    megabytes: list[float]
    lost: list[int]

    @property
    def growth(self) -> float:
        """From when a third was through to the end, as a share; medians over a tenth of the photographs."""
        tenth = max(1, len(self.megabytes) // 10)
        third = len(self.megabytes) // 3
        full = float(np.median(self.megabytes[third : third + tenth]))
        return float(np.median(self.megabytes[-tenth:])) / full - 1


def soak(
    server: Address, images: int, first: int = 10_000, log: Log | None = None, seconds: float = math.inf
) -> Soaked:
    """Sends so many photographs, `STAY` from each visitor.

    Args:
        log: Where each is written down.
        seconds: After which no other photograph is begun.
    """
    soaked, log = Soaked([], []), log or Log()
    until = time.monotonic() + seconds
    visitor: Visitor | None = None
    for number in range(first, first + images):
        if time.monotonic() > until:
            break
        if visitor is None or (number - first) % STAY == 0:
            if visitor is not None:
                visitor.close()
            visitor = Visitor(server)
            visitor.open("patches")
        view = visitor.upload(photograph(number))
        for page in PAGES:
            view = visitor.open(page)
            picture = visitor.picture()
            if view.wrong or picture is None or not is_of(picture, number):
                soaked.lost.append(number)
        soaked.megabytes.append(resident(server.pid))
        log.write(image=number, megabytes=round(soaked.megabytes[-1], 1), shown=number not in soaked.lost)
    if visitor is not None:
        visitor.close()
    return soaked


def report(soaked: Soaked) -> str:
    """Memory on the way, in Markdown."""
    done = len(soaked.megabytes)
    rows = sorted({0, *range(0, done, max(1, done // 10)), done - 1})
    lines = ["| photographs | resident memory |", "|---:|---:|"]
    lines += [f"| {at + 1} | {soaked.megabytes[at]:,.0f} MB |" for at in rows]
    low, middle, high = np.percentile(soaked.megabytes[done // 3 :], (25, 50, 75))
    lines += [
        "",
        f"Growth once the stores were full: {soaked.growth:+.1%}. Not shown: {len(soaked.lost)}.",
        f"Readings since then: median {middle:,.0f} MB, quartiles {low:,.0f} and {high:,.0f} MB.",
        f"{os.cpu_count()} processors, load in the last minutes {os.getloadavg()[0]:.1f}, {os.getloadavg()[2]:.1f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--out", type=Path, default=ROOT / "build" / "load" / "soak", help="without its ending")
    given = options.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.with_suffix(".jsonl").open("w", encoding="utf-8") as file, small_app() as server:
        await_ready(server)
        soaked = soak(server, given.images, log=Log(file=file), seconds=60 * given.minutes)
    said = f"{report(soaked)}\n"
    given.out.with_suffix(".md").write_text(f"{time.strftime('%Y-%m-%d %H:%M')}\n\n{said}", encoding="utf-8")
    print(said)
    sys.exit(len(soaked.megabytes) < given.images or soaked.growth >= MOST_GROWTH or bool(soaked.lost))


if __name__ == "__main__":
    main()
