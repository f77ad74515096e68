"""Which explanations are faithful to the embedded model: every method against random order and the centre of the picture.

    python benchmarks/faithfulness.py FOLDER --keep areas.jsonl [--images 320]

FOLDER holds photographs the model was not trained on; the published table used 60 of ImageNet's detection set. A
small input and few points on each curve keep it within an hour on one core; `vitviz faithfulness` takes any
other choice.
"""

from __future__ import annotations

import argparse
import sys

from vitviz.__main__ import main as vitviz

SMALL = ["--size", "140", "--steps", "4", "--integration-steps", "8", "--integration-most", "8", "--stride", "3"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument(
        "--keep", required=True, metavar="FILE.jsonl", help="where each image's areas go, to take a run up again"
    )
    parser.add_argument("--images", type=int, default=320, help="how many, drawn by a fixed seed")
    given = parser.parse_args()
    return vitviz(["faithfulness", given.folder, "--limit", str(given.images), "--keep", given.keep, *SMALL])


if __name__ == "__main__":
    sys.exit(main())
