"""What it costs to look at larger pictures: time and peak memory from 196 to 21,904 patches.

    python benchmarks/size.py [--sides 14 16 24 37 52 74 105 148] [--threads 2] [--out FOLDER]

The embedded ViT-S/14 on a photograph of the gallery. Every number comes from a process of its own, which loads the model, runs
it at its own size to warm up, and then does one of three things: the plain forward pass, `trace`, or `trace` with the class
token's map of every head of every layer and its rollout. Memory is the highest that was resident during that, above what was
before it. Each is repeated for about 10 seconds, 25 times at most, and the median kept.

Writes size.csv after every measurement, so that a run can be stopped, and size.png at the end; a measurement that is already
there is not made again (`--afresh` forgets them).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peak_memory import peak_of

TASKS = ("plain", "trace", "trace + maps + rollout")
SIDES = (14, 16, 24, 37, 52, 74, 105, 148)
PATCH = 14
FIELDS = ("side", "patches", "task", "seconds", "processor_seconds", "peak_mb", "threads")
HEADS, LAYERS = 6, 12
ENOUGH, REPEATS = 10.0, 25  # seconds in all, and runs


def measure(side: int, task: str, threads: int) -> dict[str, Any]:
    """One row; run in a process of its own."""
    import torch

    import vitviz
    from vitviz.samples import samples

    torch.set_num_threads(threads)
    model = vitviz.load_model("embedded")
    image = vitviz.load_image(samples()[0].path)
    first = vitviz.prepare(model, image).input
    model = vitviz.resized(model, (PATCH * side, PATCH * side))
    pixels = vitviz.prepare(model, image).input
    with torch.inference_mode():
        model.module(first[None])

    def plain() -> object:
        with torch.inference_mode():
            return model.module(pixels[None])

    def work() -> object:
        if task == "plain":
            return plain()
        from vitviz.tracing import trace_input

        trace = trace_input(model, pixels)
        return trace if task == "trace" else (trace, vitviz.head_maps(trace, "cls"), vitviz.rollout(trace, "cls"))

    seconds: list[float] = []
    processor: list[float] = []

    def timed() -> object:
        wall, own = time.perf_counter(), time.process_time()
        result = work()
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - own)
        return result

    peak, _ = peak_of(timed)
    while sum(seconds) < ENOUGH and len(seconds) < REPEATS:
        timed()
    return {
        "side": side,
        "patches": side * side,
        "task": task,
        "seconds": round(statistics.median(seconds), 3),
        "processor_seconds": round(statistics.median(processor), 3),
        "peak_mb": round(peak / 1e6, 1),
        "threads": threads,
    }


def known(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def keep(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, str]]) -> str:
    """Markdown: seconds as a ratio to the plain pass, memory beyond it."""
    cells = {(int(row["side"]), row["task"]): row for row in rows}
    lines = [
        "| patches | input | plain pass | its memory | trace | trace + maps + rollout | memory beyond | stored matrices |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for side in sorted({side for side, _ in cells}):
        if any((side, task) not in cells for task in TASKS):
            continue
        plain, trace, whole = (cells[side, task] for task in TASKS)
        one = float(plain["seconds"])
        beyond = [float(row["peak_mb"]) - float(plain["peak_mb"]) for row in (trace, whole)]
        stored = 4 * LAYERS * HEADS * (side * side + 1) ** 2 / 1e6
        lines.append(
            f"| {side * side:,} | {PATCH * side} px | {one:.2f} s | {float(plain['peak_mb']):,.0f} MB "
            f"| {float(trace['seconds']) / one:.2f}x | {float(whole['seconds']) / one:.2f}x "
            f"| {max(beyond):,.0f} MB | {stored:,.0f} MB |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, str]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for task, marker in zip(TASKS, "os^", strict=True):
        mine = sorted(
            (int(row["patches"]), float(row["seconds"]), float(row["peak_mb"])) for row in rows if row["task"] == task
        )
        patches, seconds, peaks = zip(*mine, strict=True)
        left.loglog(patches, seconds, marker=marker, label=task)
        right.loglog(patches, peaks, marker=marker, label=task)
    counts = sorted({int(row["patches"]) for row in rows})
    stored = [4 * LAYERS * HEADS * (count + 1) ** 2 / 1e6 for count in counts]
    right.loglog(counts, stored, linestyle=":", color="grey", label="stored matrices alone (computed, not run)")
    left.set(xlabel="patches", ylabel="seconds", title="Time")
    right.set(xlabel="patches", ylabel="MB above what was resident before", title="Peak memory")
    for axes in (left, right):
        axes.grid(True, which="major", alpha=0.3)
        axes.set_xticks(counts, [f"{count:,}" for count in counts], rotation=45)
        axes.minorticks_off()
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sides", type=int, nargs="+", default=SIDES, help="patches along a side")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options.add_argument("--out", type=Path, default=Path(__file__).parent)
    options.add_argument("--afresh", action="store_true")
    options.add_argument("--one", nargs=2, metavar=("SIDE", "TASK"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(measure(int(given.one[0]), given.one[1], given.threads)))
        return
    path = given.out / "size.csv"
    rows: list[dict[str, Any]] = [] if given.afresh else known(path)
    for side in given.sides:
        for task in TASKS:
            if any(int(row["side"]) == side and row["task"] == task for row in rows):
                continue
            command = [sys.executable, __file__, "--one", str(side), task, "--threads", str(given.threads)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            keep(path, rows)
            print(rows[-1], file=sys.stderr, flush=True)
    rows = known(path)
    plot(rows, given.out / "size.png")
    print(f"{platform.machine()}, {given.threads} threads, load average {os.getloadavg()[0]:.1f}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
