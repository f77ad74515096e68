"""How long the server takes for a click: a changed layer, head, parameter or query on the rollout page, torch loaded.

    python benchmarks/app_rerun.py [--repeats 11] [--processor-time] [--threads 2]

The page's script runs under Streamlit's own test runner, garbage collection after each run included, with the heap frozen as
app.py freezes it. What is measured is one whole run of the script, analyses and payloads included; nothing asked is already
in the cache. With --processor-time it is the time that the process kept processors busy, all threads together: on a busy
machine it says more than the clock, and on one thread it is about what a quiet machine's clock would show.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from vitviz.ui.compute import loading
from vitviz.ui.shell import main as frame

SIZES = {257: "", 1370: "518"}
FUSIONS = ("mean", "max", "min")


def opened(size: str) -> AppTest:
    at = AppTest.from_file(str(Path(frame.__file__)), default_timeout=600)
    at._page_hash = calc_hash("rollout")
    if size:
        at.query_params["size"] = size
    return at.run()


def measure(change: Callable[[int], None], at: AppTest, repeats: int, clock: Callable[[], float]) -> list[float]:
    """Milliseconds of each run after `change(i)`, i counted from 1."""
    times = []
    for i in range(1, repeats + 1):
        change(i)
        begun = clock()
        at.run()
        times.append(1000 * (clock() - begun))
        assert not at.exception and not at.error, [e.value for e in at.error]
    return times


def changes(at: AppTest) -> dict[str, Callable[[int], None]]:
    def query(i: int) -> None:
        # As a click on a patch does it: the selection changes before the script runs.
        selection = at.session_state["selection"]
        at.session_state["selection"] = type(selection)(**{**selection.__dict__, "query": f"r{i % 16}c{(3 * i) % 16}"})

    return {
        "nothing changed": lambda _: None,
        "another layer": lambda i: at.number_input(key="choice of layer").set_value((5 * i) % 12),
        "another head": lambda i: at.selectbox(key="choice of head").set_value(i % 6),
        "raw or robust": lambda i: at.segmented_control(key="choice of scale").set_value(("raw", "robust")[i % 2]),
        "another α": lambda i: at.slider(key="choice of alpha").set_value(round(0.05 * (1 + i % 18), 2)),
        "other layers rolled out": lambda i: at.slider(key="choice of first and last").set_value((i % 11, 11)),
        "another query": query,
        "another discard": lambda i: at.slider(key="choice of discard").set_value(round(0.05 * (1 + i % 18), 2)),
        "another fusion": lambda i: at.segmented_control(key="choice of fusion").set_value(FUSIONS[i]),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=11, help="at most 11: a twelfth layer has been seen before")
    options.add_argument("--processor-time", action="store_true")
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.processor_time else time.perf_counter
    logging.disable(logging.WARNING)  # the test runner has no browser, and says so in every thread
    loading.embedded()
    gc.collect()
    gc.freeze()
    print("| tokens | change | median (ms) | 95th percentile (ms) |\n|---|---|---|---|")
    for tokens, size in SIZES.items():
        at = opened(size)
        for name, change in changes(at).items():
            repeats = len(FUSIONS) - 1 if name == "another fusion" else given.repeats
            times = measure(change, at, repeats, clock)
            high = statistics.quantiles(times, n=20)[-1]
            print(f"| {tokens:,} | {name} | {statistics.median(times):.0f} | {high:.0f} |", flush=True)


if __name__ == "__main__":
    main()
