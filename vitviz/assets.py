"""Where the files lie that come with vitviz: photographs, labels, weights."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
# A wheel carries the files inside the package; a clone keeps them beside it. The package goes first: beside an installed
# one lie other people's packages, and one of them may be called "assets".
_ROOTS = (_PACKAGE / "_assets", _PACKAGE.parent / "assets")


def asset_path(*parts: str) -> Path:
    """The file or folder `parts` below the assets, in a clone as in an installed package.

    Raises:
        FileNotFoundError: Naming what is missing, where there is none.
    """
    for root in _ROOTS:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"assets/{'/'.join(parts)} is missing from this copy of vitviz; install or clone it again")
