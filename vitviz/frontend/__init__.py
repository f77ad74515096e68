"""JavaScript modules and styles of everything that answers in a browser, and their files for a server.

    core/    arithmetic and state without a page: layout, weights, scale and colours, choices and masks, words
    data/    reading and fetching payloads, keeping them, retrying
    render/  drawing on canvases
    parts/   the page, the life cycle of views, controls, pointers
    views/   journey, microscope, features, picture, board: `mount(node, host) -> {update, destroy}`
    hosts/   what a view needs of the page it stands in

They are ordinary modules that import each other by relative paths. `npm run build` in this folder makes one file of them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
STYLES = FOLDER / "styles"


@cache
def modules() -> dict[str, bytes]:
    """Every module by its path from this folder ("core/scale.js")."""
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in sorted(FOLDER.glob("*/*.js"))}


@cache
def version() -> str:
    """The same for the same modules: it stands in their addresses, so that a browser may keep them."""
    digest = hashlib.sha256()
    for name, content in modules().items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
