"""Mutates picture files and decodes them as the app does: python scripts/fuzz_images.py --files 10000

Fails where a file crashes its decoder, runs into the limit of time, takes more processor time or memory than it may, or raises
anything but the one error that people are shown. A seed names a file for good: `--first 4711 --files 1` decodes that one again.
The test suite does the first 500.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.images import zoo
from vitviz.errors import ImageError
from vitviz.images.decoding import NBYTES, SECONDS, Decoders

SMALL = zoo.encoded(zoo.quadrants(), "PNG")


@dataclass
class Fuzzed:
    """What files came to.

    Attributes:
        pictures: How many of them were still some.
        refusals: How often each sentence was said, without its numbers.
        crossed: A sentence for each file that crashed its decoder or ran into the limit of time.
        clock, processor: Seconds of each file, and those of the processor that its decoder took.
        growth: Bytes of memory that a decoder had at most beyond what it has for a small picture.
    """

    pictures: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    crossed: list[str] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    growth: int = 0

    def failures(self, seconds: float = SECONDS, nbytes: int = NBYTES) -> list[str]:
        """A sentence for everything that a file may not do. seconds, nbytes: of processor time and memory that it may take."""
        found = [*self.crossed]
        if (most := max(self.processor, default=0.0)) > seconds:
            found.append(f"a file took {most:.2f} s of processor time, more than {seconds:g} s")
        if self.growth > nbytes:
            found.append(f"a decoder grew by {self.growth / 1e6:.0f} MB, more than {nbytes / 1e6:.0f} MB")
        return found


def memory(pid: int, kind: str) -> int:
    """Bytes in memory: "VmRSS" for those now, "VmHWM" for the most there were; 0 elsewhere than on Linux."""
    try:
        found = re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def spent(pid: int) -> float:
    """Seconds of processor time that a process and all that have ended took so far; its own on Linux only."""
    ended = os.times()
    try:
        own = time.clock_gettime((~pid << 3) | 2)  # as `clock_getcpuclockid` of the C library makes it
    except OSError:  # it has ended
        own = 0.0
    return own + ended.children_user + ended.children_system


def mutants(count: int, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of so many files of all formats with changes, from this seed on."""
    files = [write(zoo.quadrants()) for write, _ in zoo.WRITERS.values()]
    files += [
        zoo.encoded(zoo.quadrants(), form, exif=zoo.exif(6), icc_profile=zoo.srgb_profile()) for form in ("JPEG", "PNG")
    ]
    for seed in range(first, first + count):
        yield f"seed {seed}", zoo.mutated(files[seed % len(files)], seed)


def fuzz(files: Iterable[tuple[str, bytes]], decoders: Decoders) -> Fuzzed:
    """Decodes one file after the other. decoders: that keep one process, and that nobody else uses."""
    found, idle = Fuzzed(), dict[int, int]()
    decoders.start()
    for name, content in files:
        (pid,) = decoders.pids
        if pid not in idle:
            decoders.read(SMALL)
            idle[pid] = memory(pid, "VmRSS")
        clock, processor = time.monotonic(), spent(pid)
        try:
            decoders.read(content)
            found.pictures += 1
        except ImageError as error:
            found.refusals[re.sub(r"[\d,.]+", "#", str(error))[:60]] += 1
            if "decoder fail" in str(error) or "takes longer" in str(error):
                found.crossed.append(f"{name}: {error}")
        found.clock.append(time.monotonic() - clock)
        found.processor.append(spent(pid) - processor)
        found.growth = max(found.growth, memory(pid, "VmHWM") - idle[pid])
    return found


def report(found: Fuzzed) -> str:
    """What came out, for people."""
    lines = [f"{found.pictures:7,} pictures", *(f"{count:7,} {said}" for said, count in found.refusals.most_common())]
    for kind, seconds in (("on the clock", found.clock), ("of the processor", found.processor)):
        low, middle, high, highest = np.percentile(seconds, (25, 50, 75, 95)) * 1e3
        lines.append(
            f"a file took {middle:.2f} ms {kind} in the median, quartiles {low:.2f} and {high:.2f} ms, "
            f"95th percentile {highest:.2f} ms, {max(seconds):.2f} s at most"
        )
    lines.append(f"a decoder grew by {found.growth / 1e6:.0f} MB at most")
    lines.append(f"a file may take {SECONDS:g} s of the processor and {NBYTES / 1e6:.0f} MB")
    lines.append(f"load of the machine in the last minutes: {os.getloadavg()[0]:.1f}, {os.getloadavg()[1]:.1f}")
    return "\n".join(lines)


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--files", type=int, default=10_000)
    reader.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = reader.parse_args()
    decoders = Decoders(kept=1)
    try:
        found = fuzz(mutants(chosen.files, chosen.first), decoders)
    finally:
        decoders.close()
    print(report(found))
    failures = found.failures()
    print("\n".join(failures))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
