"""Mutates picture files and decodes them as the app does: python scripts/fuzz_images.py --files 10000

Fails where a file crashes its decoder, runs into the limit of time, takes more memory than it may, or raises anything but the
one error that people are shown. A seed names a file for good: `--first 4711 --files 1` decodes that one again.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.images import zoo
from vitviz.errors import ImageError
from vitviz.images.decoding import NBYTES, SECONDS, Decoders


def memory(pid: int) -> int:
    """Bytes that a process has had at most, its pages in memory; 0 elsewhere than on Linux."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--files", type=int, default=10_000)
    reader.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = reader.parse_args()
    files = [write(zoo.quadrants()) for write, _ in zoo.WRITERS.values()]
    files += [
        zoo.encoded(zoo.quadrants(), form, exif=zoo.exif(6), icc_profile=zoo.srgb_profile()) for form in ("JPEG", "PNG")
    ]
    decoders = Decoders(kept=1)
    decoders.start()
    outcomes: Counter[str] = Counter()
    slowest, most, wrong = 0.0, 0, 0
    for seed in range(chosen.first, chosen.first + chosen.files):
        began = time.monotonic()
        try:
            decoders.read(zoo.mutated(files[seed % len(files)], seed))
            outcome = "pictures"
        except ImageError as error:
            outcome = re.sub(r"[\d,.]+", "#", str(error))[:60]
            if "decoder fail" in outcome or "takes longer" in outcome:
                wrong += 1
                print(f"seed {seed}: {error}")
        outcomes[outcome] += 1
        took = time.monotonic() - began
        slowest = max(slowest, took)
        most = max([most, *map(memory, decoders.pids)])
    decoders.close()
    for outcome, count in outcomes.most_common():
        print(f"{count:7,} {outcome}")
    print(
        f"slowest {slowest:.2f} s of {SECONDS:g} s, most memory {most / 1e6:.0f} MB of {NBYTES / 1e6:.0f} MB and 40 MB idle"
    )
    return 1 if wrong or most > NBYTES + 100_000_000 else 0


if __name__ == "__main__":
    sys.exit(main())
