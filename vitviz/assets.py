"""Paths of the files that come with vitviz: photographs, labels, weights."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
# A wheel has the files inside the package, a clone beside it. The package is searched first: site-packages may hold an
# unrelated folder "assets".
ROOTS = (_PACKAGE / "_assets", _PACKAGE.parent / "assets")


def asset_path(*parts: str) -> Path:
    """The path of a file or folder of the assets, in a clone and in an installed package.

    Args:
        *parts: Path below the assets, one part an argument.

    Raises:
        FileNotFoundError: If there is no such file; the message names it.
    """
    for root in ROOTS:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"assets/{'/'.join(parts)} is missing from this copy of vitviz; install or clone it again")
