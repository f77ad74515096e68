"""`vitviz models --search dinov2` lists models; `vitviz support NAME…` says what can be shown of them."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vitviz.commands.options import refuse, whole_file


def add_parser(subparsers: Any) -> None:
    """Adds the commands `models` and `support`."""
    parser = subparsers.add_parser("models", help="list models, or search timm's registry")
    parser.add_argument("--search", metavar="TEXT", help="list the names that contain all of these words")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="largest number of names that a search lists (default: 40)"
    )
    parser.set_defaults(run=run_models)

    parser = subparsers.add_parser("support", help="say what can be shown of a model, and why")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="names of timm's registry, or hf:owner/name; by default all names of timm",
    )
    parser.add_argument("--layers", action="store_true", help="also list the attention layers")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page of all verdicts to a file")
    parser.add_argument("--processes", type=int, metavar="N", help="number of processors to use; by default all")
    parser.set_defaults(run=run_support)


def run_models(arguments: argparse.Namespace) -> None:
    """Prints one model in a line: the curated list, or the results of a search.

    Raises:
        ModelError: For a search without results.
    """
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


def run_support(arguments: argparse.Namespace) -> None:
    """Prints the verdict on each name with its reason.

    Raises:
        ModelError: For an unknown name.
    """
    if arguments.write is not None:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(arguments.write)) if arguments.write is not None else nullcontext() as part:
        _verdicts(arguments, part)


def _verdicts(arguments: argparse.Namespace, part: Path | None) -> None:
    """Prints every verdict, or writes the page of all verdicts to the file `part`."""
    from vitviz.support import sweep
    from vitviz.support.registry import write_page

    if arguments.write is not None:
        refuse({"--layers": arguments.layers}, "--write writes the page of verdicts, without their layers.")
    if arguments.processes is not None and arguments.processes < 1:
        raise ValueError(f"--processes is at least 1, not {arguments.processes}")
    supports = []
    for support in sweep(
        arguments.names or None, arguments.processes, _progress if len(arguments.names) != 1 else None
    ):
        supports.append(support)
        if part is None:
            print(f"{support.name}: {support.verdict}. {support.reason} {support.instead}".rstrip())
            if arguments.layers:
                for layer in support.layers:
                    print(f"    {layer}")
    if part is not None:
        part.write_text(write_page(supports), encoding="utf-8")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done == total or done % 10 == 0):
        print(f"\r{done} of {total} models", end="\n" if done == total else "", file=sys.stderr, flush=True)
