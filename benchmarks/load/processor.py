"""What one visitor costs: the server's processor seconds for opening the app, an upload, and each page's first and second run.

    python benchmarks/load/processor.py --photographs 4

One visitor after the other, each with a photograph of its own, on a server with one thread; the first pays for what is found
out once. Processor time says the same whatever else the machine does, up to what shared caches cost; wall time would not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.load.classroom import PAGES, processor_seconds
from benchmarks.load.visitor import Visitor, await_ready, photograph
from tests.browser.serving import ROOT, Address, served

T = TypeVar("T")
# What a run leaves to be done (messages to the browser, the end of a thread) is over after so many seconds.
REST = 0.15
FIRST_NUMBER = 500


class Costs:
    """Processor seconds of a server by what was asked of it."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self.seconds: dict[str, list[float]] = {}

    def of(self, what: str, act: Callable[[], T]) -> T:
        """What `act` gives; what it cost the server is written down."""
        before = processor_seconds(self.server.pid)
        found = act()
        time.sleep(REST)
        self.seconds.setdefault(what, []).append(processor_seconds(self.server.pid) - before)
        return found

    def table(self) -> str:
        """A row for each, in Markdown: the first time, and the median of the others."""
        rows = ["| what | first visitor | median of the others |", "|---|---:|---:|"]
        for what, seconds in self.seconds.items():
            rows.append(f"| {what} | {seconds[0]:.2f} | {median(seconds[1:] or seconds):.2f} |")
        return "\n".join(rows)


@contextmanager
def quiet_app() -> Iterator[Address]:
    with served(ROOT / "app.py", {"OMP_NUM_THREADS": "1"}) as server:
        await_ready(server)
        time.sleep(2.0)
        yield server


def visit(costs: Costs, number: int) -> None:
    """One visitor on all pages, twice."""
    visitor = costs.of("connecting", lambda: Visitor(costs.server))
    costs.of("opening the app", lambda: (visitor.open(), visitor.pictures()))
    costs.of("upload, shown on the start page", lambda: (visitor.upload(photograph(number)), visitor.pictures()))
    for kind in ("first run", "again"):
        for page in PAGES[1:]:  # the first is the start page, where the upload was shown
            costs.of(f"{page}, {kind}", lambda page=page: (visitor.open(page), visitor.pictures()))
    visitor.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photographs", type=int, default=4)
    given = options.parse_args()
    with quiet_app() as server:
        costs = Costs(server)
        for number in range(FIRST_NUMBER, FIRST_NUMBER + given.photographs):
            visit(costs, number)
            print(f"{number - FIRST_NUMBER + 1} of {given.photographs}", file=sys.stderr, flush=True)
    print(costs.table())


if __name__ == "__main__":
    main()
