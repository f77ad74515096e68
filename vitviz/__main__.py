"""The command line: `vitviz COMMAND`, or `python -m vitviz COMMAND`.

Exit codes: 0 done, 1 refused with one sentence, 2 wrong usage, 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import vitviz
from vitviz.errors import VitvizError

# Each is a module of vitviz.commands with add_parser(subparsers). It imports torch and timm only when its command runs.
COMMANDS = ("app", "trace", "draw", "models", "faithfulness")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands with their options."""
    top = argparse.ArgumentParser(
        prog="vitviz", description="Attention, rollout and explanations of a Vision Transformer on an image."
    )
    top.add_argument("--version", action="version", version=f"vitviz {vitviz.__version__}")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"vitviz.commands.{name}").add_parser(subparsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Errors are one line on standard error."""
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except (VitvizError, ValueError, IndexError, OSError) as error:
        if isinstance(error, OSError) and not error.strerror:
            raise
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        print(f"vitviz: {' '.join(reason.split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vitviz: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
