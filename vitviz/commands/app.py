"""`vitviz app`: starts the app in the browser, as `streamlit run app.py` does in a clone."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from vitviz.assets import asset_path


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("app", help="open the app in the browser")
    parser.add_argument(
        "--port", type=int, metavar="N", help="port to serve at, by default the first free one from 8501"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Runs the app's server until it is stopped.

    Raises:
        MissingPackageError: If streamlit is not installed.
        VitvizError: If the server fails.
    """
    from vitviz.errors import VitvizError, need_package

    need_package("streamlit", "app", "The app")
    code = subprocess.call(command(arguments.port))
    if code:
        raise VitvizError(f"The app's server ended with exit code {code}; see its messages above.")


def command(port: int | None = None) -> list[str]:
    """The command line that starts Streamlit with the app's script."""
    given = [] if port is None else ["--server.port", str(port)]
    return [sys.executable, "-m", "streamlit", "run", str(script()), *given]


def script() -> Path:
    """The path of app.py: beside the assets in an installed package, above them in a clone."""
    try:
        return asset_path("app.py")
    except FileNotFoundError:
        return asset_path("samples").parent.parent / "app.py"
