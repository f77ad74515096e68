"""JavaScript modules and styles of the views that run in the browser, and their files for a server.

    core/    computation and state without the DOM: layouts, weights, colour scales, choices, masks, words
    data/    fetches, decodes and caches payloads, with retries; prepares uploads
    render/  draws on canvases and in SVG
    parts/   the DOM, the base class of views, controls, pointer and keyboard events
    views/   board, by_hand, features, journey, microscope, networks, picture; each exports
             `mount(node, host) -> {update, destroy}`
    hosts/   connects a view to the page that contains it

They are ES modules that import each other by relative paths. `npm run build` in this folder bundles them into one file.
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
    """A hash of all modules. It is part of their URLs, so that browsers may cache them."""
    digest = hashlib.sha256()
    for name, content in modules().items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
