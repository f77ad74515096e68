"""`vitviz support NAME…`: what can be shown of a model, known before its weights are downloaded."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vitviz.commands.options import refuse, whole_file


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("support", help="say what can be shown of a model, and why not")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="of timm's registry, or hf:owner/name; all of timm's without any",
    )
    parser.add_argument("--layers", action="store_true", help="also list the attention layers")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page of all verdicts to a file")
    parser.add_argument("--processes", type=int, metavar="N", help="processors to use; by default all there are")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Prints a verdict and its reason for each name. Raises ModelError for a name that nobody knows."""
    if arguments.write is not None:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(arguments.write)) if arguments.write is not None else nullcontext() as part:
        _verdicts(arguments, part)


def _verdicts(arguments: argparse.Namespace, part: Path | None) -> None:
    """Prints every verdict, or writes all of them to the file `part` at the end."""
    from vitviz.support import sweep
    from vitviz.support.page import write_page

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
