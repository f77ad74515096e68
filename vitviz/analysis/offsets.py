"""A relative position bias by displacement: what a score gains for every step from query to key, head by head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitviz.analysis.positions import HasModule
from vitviz.analysis.relative import RelativeBias, relative_biases
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.coordinates.placement import Placement
from vitviz.errors import UnsupportedError

# A bias that differs by more than this share of its range between two pairs of patches the same step apart depends on more
# than the step.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class OffsetBias:
    """One layer's bias over displacements.

    layer   dotted name of the attention module
    values  (heads, 2 rows - 1, 2 cols - 1) float32: added to the score of a key so many steps below and to the right of its
            query; zero displacement is in the middle
    window  (rows, cols) of patches that attend to each other
    step    (down, right) patches from one to the next: more than 1 where windows are spread over the grid
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int]
    step: tuple[int, int] = (1, 1)

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])


def offset_biases(model: HasModule, input_size: tuple[int, int]) -> tuple[OffsetBias, ...]:
    """The bias of every layer that adds one which depends on displacement alone, at an input of (height, width) pixels.

    Hold the model's lock. Raises UnsupportedError where no layer does.
    """
    placed = {p.module: p for p in reversed(placements_of(model.module, input_size)) if p.placed}
    found = [by_offset(bias, placed[bias.layer]) for bias in relative_biases(model, input_size) if bias.layer in placed]
    known = tuple(bias for bias in found if bias is not None)
    if not known:
        raise UnsupportedError(
            "What this model adds to its scores depends on more than the displacement between two patches, so it has no one "
            "map over displacements."
        )
    return known


def by_offset(bias: RelativeBias, placement: Placement) -> OffsetBias | None:
    """The bias over displacements, or None where it depends on more than these."""
    queries, keys = placement.query_tokens, placement.key_tokens
    layout = placement.key_layout
    if queries is None or keys is None or layout is None or placement.query_layout != layout:
        return None
    patches = queries[0].numpy() - layout.num_prefix  # of the first window; negative for prefix tokens and padding
    chosen = np.flatnonzero(patches >= 0)
    if not np.array_equal(queries[0].numpy(), keys[0].numpy()) or bias.values.shape[1:] != (len(patches), len(patches)):
        return None
    down, right = np.divmod(patches[chosen], layout.grid[1])
    (rows, row), (cols, col) = np.unique(down, return_inverse=True), np.unique(right, return_inverse=True)
    below = row[None, :] - row[:, None] + len(rows) - 1  # (queries, keys), of each key seen from each query
    beside = col[None, :] - col[:, None] + len(cols) - 1
    known = bias.values[:, chosen[:, None], chosen[None, :]]  # (heads, queries, keys)
    values = np.zeros((bias.num_heads, 2 * len(rows) - 1, 2 * len(cols) - 1), np.float32)
    values[:, below, beside] = known
    if np.abs(values[:, below, beside] - known).max() > SAME * np.ptp(known):
        return None
    step = tuple(int(places[1] - places[0]) if len(places) > 1 else 1 for places in (rows, cols))
    return OffsetBias(bias.layer, values, (len(rows), len(cols)), (step[0], step[1]))
