"""The marked patch, and the same place in another grid."""

from __future__ import annotations

from vitviz.analysis.layers import moved as moved
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.stage import Stage

Cell = tuple[int, int]


def patch_name(cell: Cell) -> str:
    return f"r{cell[0]}c{cell[1]}"


def cell_named(name: str, layout: TokenLayout) -> Cell | None:
    """(row, col) of the patch of that name, None for what is no patch of this layout."""
    try:
        return layout.cell_of(layout.token_named(name))
    except ValueError:
        return None


def marked_patch(stage: Stage) -> Cell | None:
    """The patch under discussion: the one that asks, else the one that was pinned; None where there is neither."""
    asking = cell_named(stage.query, stage.layout)
    return asking or cell_named(str(state.value_of("pin")), stage.layout)


def marked_or_middle(stage: Stage) -> Cell:
    rows, cols = stage.layout.grid
    return marked_patch(stage) or (rows // 2, cols // 2)


def mark(stage: Stage, cell: Cell) -> None:
    """Marks a patch, for callbacks: where a patch asks it is this one from now on, otherwise it is pinned."""
    if cell_named(stage.query, stage.layout) is None:
        state.change(pin=patch_name(cell))
    else:
        state.change(query=patch_name(cell), pin="")
