"""`vitviz models --search dinov2`: which models there are."""

from __future__ import annotations

import argparse
from typing import Any

from vitviz.commands.options import refuse


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("models", help="list models, or search timm's registry")
    parser.add_argument("--search", metavar="TEXT", help="names that contain every one of these words")
    parser.add_argument("--limit", type=int, metavar="N", help="how many a search lists at the most, 40 by default")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Prints one model a line: the curated list, or what a search finds. Raises ModelError where it finds none."""
    from vitviz.errors import ModelError
    from vitviz.models import curated, search

    if arguments.search is None:
        refuse({"--limit": arguments.limit is not None}, "the curated list is shown whole. Search with --search.")
        for choice in curated():
            print(f"{choice.name:45s} {choice.why}")
        return
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit is at least 1, not {arguments.limit}")
    found = search(arguments.search, 40 if arguments.limit is None else arguments.limit)
    if not found:
        raise ModelError(
            f"No model of timm's registry is called anything like {arguments.search!r}. Try a shorter word, such as dinov2."
        )
    for entry in found:
        height, width = entry.input_size
        print(
            f"{entry.name:60s} {height}x{width}  {'weights on the hub' if entry.downloadable else 'no weights to download'}"
        )
