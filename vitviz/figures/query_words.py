"""A query in the words of captions and alternative texts."""

from __future__ import annotations

from vitviz.tokens import Query, cell_of_name

_FIXED = {
    "cls": "the class token",
    "dist": "the distillation token",
    "mean": "the mean over all patches",
    "pool": "the pooling query",
}


def query_words(query: Query) -> str:
    """ "the class token", "the patch in row 3, column 5", "the class token (40%) and the mean over all patches (60%)"."""
    if len(query.parts) == 1:
        return _part(query.names[0])
    parts = [f"{_part(name)} ({share:.3g}%)" for name, share in ((name, 100 * share) for name, share in query.shares)]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _part(name: str) -> str:
    cell = cell_of_name(name)
    if cell is not None:
        return f"the patch in row {cell[0]}, column {cell[1]}"
    if name in _FIXED:
        return _FIXED[name]
    if name.startswith("pool"):
        return _FIXED["pool"]
    return f"the {'register' if name.startswith('reg') else 'learned'} token {name}"
