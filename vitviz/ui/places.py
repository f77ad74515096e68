"""The marked patch, and the same place in another grid."""

from __future__ import annotations

from vitviz.analysis.queries import MEAN, POOL, default_query
from vitviz.analysis.queries import moved as moved
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.stage import Stage

Cell = tuple[int, int]


def queries_of(stage: Stage) -> list[str]:
    """The queries that are no patches: prefix tokens, the pooling query, the mean over patches, and the mixture that the output
    is computed from where it is none of those.
    """
    queries = [*stage.layout.prefix, *([POOL] if stage.trace.pooling else []), MEAN]
    reads = str(default_query(stage.trace))
    return queries if reads in queries else [*queries, reads]


def marked_patch(stage: Stage) -> Cell | None:
    """The patch under discussion: the one that asks, else the one that was pinned; None where there is neither."""
    return stage.layout.cell_named(stage.query) or stage.layout.cell_named(str(state.value_of("pin")))


def marked_or_middle(stage: Stage) -> Cell:
    rows, cols = stage.layout.grid
    return marked_patch(stage) or (rows // 2, cols // 2)


def mark(stage: Stage, cell: Cell) -> None:
    """Marks a patch, for callbacks: where a patch asks it is this one from now on, otherwise it is pinned."""
    if stage.layout.cell_named(stage.query) is None:
        state.change(pin=cell_name(*cell))
    else:
        state.change(query=cell_name(*cell), pin="")
