"""A class at the app: all open it at once, upload different photographs, and walk through the pages at a person's pace.

    python benchmarks/load/classroom.py --sessions 30 --minutes 10 [--heavy 1] [--pace 6] [--server http://...] [--out FILE]

It needs nobody beside it and ends `minutes` + 8 minutes after it began at the latest, with what there is then. Each answer is
written to FILE.jsonl as it comes, the report to FILE.md at the end (`build/load/classroom` where not given).

Each visitor's photograph is a pattern that nobody else has, and every photograph that the app shows is compared with the
patterns of all. Printed are medians and 95th percentiles of opening the app, of a page's first run and of every later one (the
page again; another layer, head or query; a setting), the server's memory, what went wrong (errors on pages, lost uploads,
pictures of somebody else, visitors without an answer), and which bounds were missed. The exit status is 1 where anything went
wrong, else 2 where a bound was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, TextIO

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.load.visitor import Lost, View, Visitor, await_ready, is_of, photograph
from tests.browser.serving import ROOT, served

PAGES = (
    "",
    "patches",
    "positions",
    "microscope",
    "rollout",
    "by_hand",
    "layers",
    "prediction",
    "what_if",
    "compare",
    "features",
    "find",
    "vit_or_cnn",
    "model",
)
# Their first run on a photograph is long work, which waits for its turn and says so; who waits is patient.
LONG_PAGES, LONG_PATIENCE = ("vit_or_cnn",), 900.0
LAST_SECONDS = 300.0  # after the end, in which those who wait may get their last answer
HEAVY = "part=trust&tested=now"
OPENING, UPLOAD, FIRST, AGAIN, SETTING = "opening the app", "upload", "first run of a page", "page again", "setting"
LAYER, HEAD, QUERY = "another layer", "another head", "another query"
LONG_FIRST, LONG_TEST = "first run of ViT or CNN", "long test"
LATER, LATER_KINDS = "every later run", (AGAIN, SETTING, LAYER, HEAD, QUERY)
# What is asked for, in seconds; a page's first run on a photograph is as long as opening the app may be.
NAMES = ("median", "95th percentile")
ASKED = {OPENING: (2.0, 5.0), FIRST: (2.0, 5.0), LATER: (1.0, 4.0)}
# What else is done on a page than to leave it, with the key of the widget or figure that it is done in.
CHOICES = {
    "patches": ((SETTING, "choice of cut"), (QUERY, "choice of query row")),
    "rollout": ((SETTING, "choice of alpha"), (QUERY, "last layer")),
    "by_hand": ((LAYER, "choice of layer"), (HEAD, "choice of head"), (QUERY, "choice of query row")),
    "microscope": ((LAYER, "microscope"), (HEAD, "microscope"), (QUERY, "microscope")),
}
LAYERS, HEADS, ROWS = 12, 6, 16  # of the embedded model, and of its grid


@dataclass
class Log:
    """What happened, of all visitors.

    Attributes:
        seconds: By kind of run.
        wrong: What went wrong, in words; counts: how often, by kind.
        pictures: How many were compared.
        unfinished: Long tests that were still waiting or running when the others had left.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    unfinished: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    file: TextIO | None = None
    began: float = field(default_factory=time.monotonic)

    def write(self, **what: object) -> None:
        """One line to the file, at once."""
        if self.file and not self.file.closed:
            print(json.dumps({"at": round(time.monotonic() - self.began, 2), **what}), file=self.file, flush=True)

    def took(self, kind: str, seconds: float) -> None:
        with self.lock:
            self.seconds.setdefault(kind, []).append(seconds)
            self.write(kind=kind, seconds=round(seconds, 3))

    def failed(self, kind: str, what: str) -> None:
        """kind: "error", "lost upload", "picture of somebody else" or "no answer"."""
        with self.lock:
            self.counts[kind] += 1
            self.wrong.append(f"{kind}: {what}")
            self.write(wrong=kind, what=what)


class Student:
    """One visitor with a plan: opens the app, uploads, then does one thing after the other."""

    def __init__(self, number: int, server: str, log: Log, pause: Callable[[], None], of: int = 0) -> None:
        """of: how many students there are, whose photographs are not to be seen here."""
        self.number, self.log, self._pause, self._of = number, log, pause, of
        self._random = random.Random(number)
        self._seen: set[str] = set()
        self._reports = 0
        began = time.monotonic()
        self.visitor = Visitor(server)
        self._look(self.visitor.open(), OPENING, time.monotonic() - began)

    def upload(self) -> None:
        began = time.monotonic()
        view = self.visitor.upload(photograph(self.number))
        self._look(view, UPLOAD, time.monotonic() - began)

    def step(self) -> None:
        """Another page, or another value on this one."""
        self._pause()
        page = self.visitor.page
        choices = [choice for choice in CHOICES.get(page, ()) if self.visitor.view.widget(choice[1])]
        if choices and self._random.random() < 0.6:
            self.change(*self._random.choice(choices))
            return
        page = self._random.choice([each for each in PAGES if each != page])
        kind = AGAIN if page in self._seen else LONG_FIRST if page in LONG_PAGES else FIRST
        self._seen.add(page)
        patience = self.visitor.patience
        self.visitor.patience = LONG_PATIENCE if kind == LONG_FIRST else patience
        self._look(self.visitor.open(page), kind)
        self.visitor.patience = patience

    def change(self, kind: str, key: str) -> None:
        """Another value, drawn at random. kind, key: one of `CHOICES` of the page."""
        draw = self._random.randrange
        number = draw({LAYER: LAYERS, HEAD: HEADS}.get(kind, ROWS))
        reported: Any = f"r{number}c{draw(ROWS)}"
        if key == "microscope":
            (told,) = self.visitor.view.components(key)
            field_of = {LAYER: ("layer", number), HEAD: ("head", number), QUERY: ("token", reported)}
            reported = told["view"] | dict([field_of[kind]])
        if key in ("microscope", "last layer"):
            self._reports += 1
            view = self.visitor.report(key, self._reports, reported)
        elif kind == SETTING:
            value = draw(20) / 20 if key == "choice of alpha" else float(draw(1, 9))
            view = self.visitor.choose(key, double_array_value=[value])
        else:
            view = self.visitor.choose(key, double_value=float(number))
        self._look(view, kind)

    def _look(self, view: View, kind: str, seconds: float | None = None) -> None:
        self.log.took(kind, view.seconds if seconds is None else seconds)
        where = f"visitor {self.number}, page {self.visitor.page or 'start'}"
        for sentence in view.wrong:
            self.log.failed("lost upload" if kind == UPLOAD else "error", f"{where}: {sentence[:200]}")
        pictures = self.visitor.pictures()
        if kind == OPENING or not pictures:
            return
        with self.log.lock:
            self.log.pictures += len(pictures)
        if any(is_of(each, other) for each in pictures for other in range(self._of) if other != self.number):
            self.log.failed("picture of somebody else", where)
        elif not any(is_of(each, self.number) for each in pictures):
            self.log.failed("lost upload", f"{where}: a picture that is not this visitor's")


def visit(student: Student, until: float, steps: int) -> None:
    student.upload()
    done = 0
    while (time.monotonic() < until) if until else (done < steps):
        student.step()
        done += 1


def walk(
    server: str,
    sessions: int,
    minutes: float = 0.0,
    steps: int = 0,
    heavy: int = 0,
    pace: float = 6.0,
    log: Log | None = None,
) -> Log:
    """All visitors at once, for so many minutes or so many steps each.

    Args:
        heavy: How many visitors more ask for a faithfulness run on a gallery's photograph each, once.
        pace: Mean seconds between two actions of a person.
        log: To add to.
    """
    log = log or Log()
    until = time.monotonic() + 60 * minutes if minutes else 0.0

    def act(number: int, visits: Callable[[Student], None]) -> None:
        draw = random.Random(1000 + number)
        student = None
        try:
            student = Student(number, server, log, lambda: time.sleep(draw.uniform(0.5, 1.5) * pace), sessions)
            visits(student)
        except Exception as error:
            log.failed("no answer", f"visitor {number} is without an answer: {type(error).__name__}: {error}")
        finally:
            if student is not None:
                student.visitor.close()

    threads = [
        threading.Thread(target=act, args=(number, lambda student: visit(student, until, steps)), daemon=True)
        for number in range(sessions)
    ]
    threads += [
        threading.Thread(target=act, args=(sessions + number, _ask_long(number, until)), daemon=True)
        for number in range(heavy)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until + LAST_SECONDS - time.monotonic()) if until else None)
    for number, thread in enumerate(threads):
        if thread.is_alive():
            log.failed("no answer", f"visitor {number} still waits {LAST_SECONDS / 60:.0f} minutes after the end")
    return log


def _ask_long(number: int, until: float) -> Callable[[Student], None]:
    gallery = ("cat", "coffee", "koala", "rocket", "astronaut", "bricks")

    def ask(student: Student) -> None:
        student.visitor.close()
        student.visitor = Visitor(student.visitor.server, patience=max(until - time.monotonic(), 1.0) + 30.0)
        began = time.monotonic()
        try:
            view = student.visitor.open("prediction", f"?image={gallery[number % len(gallery)]}&{HEAVY}")
            if view.widget("go on test"):
                view = student.visitor.press("go on test")
        except Lost:
            student.log.unfinished += 1
            return
        student.log.took(LONG_TEST, time.monotonic() - began)
        for sentence in view.wrong:
            student.log.failed("error", f"long test {number}: {sentence[:200]}")

    return ask


class Memory:
    """Resident memory of a process, looked at every few seconds, and the processor's time that it took meanwhile."""

    def __init__(self, pid: int, log: Log, every: float = 5.0) -> None:
        self._pid, self._log, self._every, self._over = pid, log, every, threading.Event()
        self.megabytes: list[float] = []
        self.seconds = 0.0

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        thread = threading.Thread(target=self._watch, daemon=True)
        before = processor_seconds(self._pid)
        thread.start()
        try:
            yield self
            self.seconds = processor_seconds(self._pid) - before
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while True:
            self.megabytes.append(resident(self._pid))
            self._log.write(megabytes=round(self.megabytes[-1]), processor=round(processor_seconds(self._pid), 2))
            if self._over.wait(self._every):
                return


def resident(pid: int) -> float:
    """MB that a process has in memory, as Linux counts them."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def processor_seconds(pid: int) -> float:
    """What all threads of a process have taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_kind(log: Log) -> dict[str, list[float]]:
    """The seconds of each kind of run, and last of all later runs together; no kind that there was none of."""
    later = [seconds for kind in LATER_KINDS for seconds in log.seconds.get(kind, [])]
    return {kind: some for kind, some in [*sorted(log.seconds.items()), (LATER, later)] if some}


def missed(log: Log) -> list[str]:
    """The bounds that were not met, in words."""
    return [
        f"{kind}: {name} {took:.2f} s in place of {bound:g} s"
        for kind, some in by_kind(log).items()
        for name, bound, took in zip(NAMES, ASKED.get(kind, (inf, inf)), np.percentile(some, (50, 95)), strict=True)
        if took > bound
    ]


def report(log: Log, memory: list[float], seconds: float = 0.0) -> str:
    """What happened, in Markdown."""
    lines = [
        "| what | runs | median (s) | 95th percentile (s) | longest (s) | asked for |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, some in by_kind(log).items():
        middle, high = np.percentile(some, (50, 95))
        asked = "{} and {} s".format(*ASKED[kind]) if kind in ASKED else ""
        lines.append(f"| {kind} | {len(some)} | {middle:.2f} | {high:.2f} | {max(some):.2f} | {asked} |")
    if memory:
        third = len(memory) // 3
        lines.append(
            f"\nMemory: {memory[0]:.0f} MB at first, {max(memory):.0f} MB at most; after a third of the time "
            f"{memory[third]:.0f} MB, at the end {memory[-1]:.0f} MB."
        )
    steps = sum(len(some) for kind, some in log.seconds.items() if kind != LONG_TEST)
    if seconds:
        lines.append(
            f"The server took {seconds:.0f} s of processor time for {steps} steps: {seconds / max(steps, 1):.2f} s each."
        )
    if log.unfinished:
        lines.append(f"Long tests that were not done at the end: {log.unfinished}.")
    kinds = ("error", "lost upload", "picture of somebody else", "no answer")
    lines.append(
        f"Photographs compared: {log.pictures}. " + ", ".join(f"{kind}: {log.counts[kind]}" for kind in kinds) + "."
    )
    for line in log.wrong[:20]:
        lines.append(f"- {line}")
    lines.append(f"Bounds that were missed: {'; '.join(missed(log)) or 'none'}.")
    lines.append(f"Load of the machine in the last minutes: {os.getloadavg()[0]:.1f}, {os.getloadavg()[1]:.1f}.")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sessions", type=int, default=30)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--heavy", type=int, default=0, help="visitors more that ask for one faithfulness run each")
    options.add_argument("--pace", type=float, default=6.0, help="mean seconds between two actions of a person")
    options.add_argument("--server", default="", help="of a running app; one is started where not given")
    options.add_argument("--out", type=Path, default=ROOT / "build" / "load" / "classroom", help="without its ending")
    given = options.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    plan = (given.sessions, given.minutes, 0, given.heavy, given.pace)
    with given.out.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        log, memory, seconds = Log(file=file), list[float](), 0.0
        log.write(
            began=time.strftime("%Y-%m-%d %H:%M:%S"), sessions=given.sessions, minutes=given.minutes, heavy=given.heavy
        )
        if given.server:
            await_ready(given.server)
            walk(given.server, *plan, log)
        else:
            threads = str(os.cpu_count() or 1)
            with served(ROOT / "app.py", {"OMP_NUM_THREADS": threads}) as server:
                await_ready(server)
                with Memory(server.pid, log).watched() as watched:
                    walk(server, *plan, log)
            memory, seconds = watched.megabytes, watched.seconds
    said = report(log, memory, seconds)
    given.out.with_suffix(".md").write_text(f"{time.strftime('%Y-%m-%d %H:%M')}, {plan}\n\n{said}\n", encoding="utf-8")
    print(said)
    sys.exit(1 if log.wrong else 2 if missed(log) else 0)


if __name__ == "__main__":
    main()
