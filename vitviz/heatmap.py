"""`Heatmap`: one value for each patch, the type of every map. numpy only."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Heatmap:
    """One value for each patch of the grid.

    Values are kept unchanged, NaN included: replacing them would hide a fault of the model.

    Attributes:
        values: (rows, cols) float32, read-only.
        label: Display name of the quantity: "attention weight", "rollout", "cosine similarity".
        signed: Whether values lie on both sides of zero; such a map is drawn on a diverging scale.

    Raises:
        ValueError: For values without exactly two axes.
    """

    values: np.ndarray
    label: str
    signed: bool = False

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float32)  # a copy: the map does not change when its source does
        if values.ndim != 2 or values.size == 0:
            raise ValueError(f"a heat map is a grid (rows, cols) of values, not an array of shape {values.shape}")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def __repr__(self) -> str:
        rows, cols = self.grid
        low, high = float(self.values.min()), float(self.values.max())
        return f"Heatmap({self.label!r}, {rows}x{cols} patches, {low:.4g} to {high:.4g})"

    def _repr_html_(self) -> str:
        """The map in grey for a notebook, white where it is largest; patches whose value is NaN are left out."""
        rows, cols = self.grid
        low, high = np.nanmin(self.values), np.nanmax(self.values)
        if self.signed:  # zero is the middle grey
            high = max(abs(low), abs(high))
            low = -high
        grey = np.round(255 * (self.values - low) / ((high - low) or 1))
        cells = "".join(
            f'<rect x="{col}" y="{row}" width="1" height="1" fill="rgb({level:.0f},{level:.0f},{level:.0f})"/>'
            for (row, col), level in np.ndenumerate(grey)
            if not np.isnan(level)
        )
        svg = f'<svg viewBox="0 0 {cols} {rows}" width="{cols * 14}" shape-rendering="crispEdges">{cells}</svg>'
        return f"<figure>{svg}<figcaption>{html.escape(repr(self))}</figcaption></figure>"

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def peak(self) -> tuple[int, int, float]:
        """(row, col, value) of the largest value; of a signed map, of the largest absolute value."""
        strength = np.abs(self.values) if self.signed else self.values
        row, col = divmod(int(np.argmax(strength)), self.grid[1])
        return row, col, float(self.values[row, col])
