"""Positions that act inside the attention: a relative bias on the scores, and rotation of queries and keys.

Relative bias: Bao et al. 2022 (arXiv 2106.08254), Liu et al. 2021 (arXiv 2103.14030): added to a score because of where the
key is, seen from the query. Rotation: Su et al. 2021 (arXiv 2104.09864); in two dimensions Heo et al. 2024 (arXiv
2403.13298): with content out of the way a score changes by K(d) = mean over frequencies of cos(w . d), from the model's own
table of frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.question import ModelLike
from vitviz.capture.bias import score_biases
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.coordinates.placement import Placement
from vitviz.capture.modules import num_heads_of
from vitviz.errors import NOT_TAKEN, UnsupportedError, VitvizError, existing
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """One layer's bias, read off the model's own forward pass, tables and generating networks alike.

    Attributes:
        layer: dotted name of the attention module.
        values: (heads, queries, keys) float32, added to the scores before the softmax; over the whole sequence or over one
            window.
        window: (rows, cols) of patches that attend to each other, where they are a rectangle without prefix tokens and without
            padding; None otherwise.
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int] | None = None

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])


def relative_biases(model: ModelLike, input_size: tuple[int, int]) -> tuple[RelativeBias, ...]:
    """The bias of every layer that adds one, at an input of (height, width) pixels, first layer first.

    Raises:
        UnsupportedError: where no layer does.
    """
    found = score_biases(model.module, input_size)
    if not found:
        raise UnsupportedError(
            "This model adds no relative position bias to its attention scores; ask for its position embedding instead."
        )
    windows: dict[str, tuple[int, int] | None] = {}
    with suppress(VitvizError, *NOT_TAKEN):  # the biases are known also where the patches cannot be followed
        placements = placements_of(model.module, input_size)
        windows = {placement.module: window_of(placement) for placement in reversed(placements)}
    return tuple(RelativeBias(name, bias.float().cpu().numpy(), windows.get(name)) for name, bias in found.items())


def window_of(placement: Placement) -> tuple[int, int] | None:
    """(rows, cols) of the keys of the first window, or None where they are not a rectangle of patches and nothing else.

    The number of keys does not decide it: 144 may be 12 x 12 or 8 x 18.
    """
    layout, tokens = placement.key_layout, placement.key_tokens
    if layout is None or tokens is None:
        return None
    patches = tokens[0].numpy() - layout.num_prefix  # negative for prefix tokens and padding
    if not patches.size or patches.min() < 0:
        return None
    down, right = np.divmod(patches, layout.grid[1])
    rows, cols = len(np.unique(down)), len(np.unique(right))
    return (rows, cols) if rows * cols == patches.size else None


# A bias that differs by more than this share of its range between two pairs of patches the same step apart depends on more
# than the step.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class OffsetBias:
    """One layer's bias over displacements.

    Attributes:
        layer: dotted name of the attention module.
        values: (heads, 2 rows - 1, 2 cols - 1) float32: added to the score of a key so many steps below and to the right of
            its query; zero displacement is in the middle.
        window: (rows, cols) of patches that attend to each other.
        step: (down, right) patches from one to the next: more than 1 where windows are spread over the grid.
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int]
    step: tuple[int, int] = (1, 1)

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])


def offset_biases(model: ModelLike, input_size: tuple[int, int]) -> tuple[OffsetBias, ...]:
    """The bias of every layer that adds one which depends on displacement alone, at an input of (height, width) pixels.

    Hold the model's lock.

    Raises:
        UnsupportedError: where no layer does.
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


@dataclass(frozen=True, eq=False)
class RotaryTable:
    """The model's own angles, as sines and cosines.

    Attributes:
        sin, cos: (layers or 1, heads or 1, patches, channels): one layer or head where all share them (axial); all where the
            frequencies are learned for each (mixed).
        grid: (rows, cols) of patches.
        layers, heads: how many the model has, which may all share one table.
    """

    sin: Tensor
    cos: Tensor
    grid: tuple[int, int]
    layers: int
    heads: int

    def similarity(self, layer: int = 0, head: int = 0, patches: Sequence[int] | None = None) -> np.ndarray:
        """K of the displacement between every two patches, in [-1, 1].

        cos(a - b) = cos a cos b + sin a sin b, averaged over the channels.

        Args:
            patches: numbers of the patches, counted row by row from 0, whose rows are wanted: (chosen, patches).

        Returns:
            (patches, patches) float32.

        Raises:
            IndexError: for a layer, head or patch that does not exist.
        """
        layer, head = existing(layer, self.layers, "layer"), existing(head, self.heads, "head")
        layer, head = (min(asked, kept - 1) for asked, kept in zip((layer, head), self.sin.shape[:2], strict=True))
        sin, cos = self.sin[layer, head].double(), self.cos[layer, head].double()  # (patches, channels)
        rows = slice(None) if patches is None else [existing(patch, len(sin), "patch") for patch in patches]
        return ((cos[rows] @ cos.T + sin[rows] @ sin.T) / sin.shape[1]).float().cpu().numpy()

    def kernel(self, layer: int = 0, head: int = 0) -> np.ndarray:
        """K(d) for every displacement on the grid, zero displacement in the middle.

        Returns:
            (2 rows - 1, 2 cols - 1) float32.

        Raises:
            IndexError: for a layer or head that does not exist.
        """
        rows, cols = self.grid
        last_row, last_col = (rows - 1) * cols, cols - 1
        kernel = np.empty((2 * rows - 1, 2 * cols - 1), np.float32)
        # Seen from a corner every patch is one displacement, and the four corners have them all.
        corners = self.similarity(layer, head, [0, last_col, last_row, last_row + last_col]).reshape(4, rows, cols)
        kernel[rows - 1 :, cols - 1 :], kernel[rows - 1 :, :cols] = corners[0], corners[1]
        kernel[:rows, cols - 1 :], kernel[:rows, :cols] = corners[2], corners[3]
        return kernel


def rotary_table(model: ModelLike, layout: TokenLayout) -> RotaryTable:
    """The table that the model uses on `layout`'s grid. Raises UnsupportedError for a model without rotary positions."""
    rope = getattr(model.module, "rope", None)
    embed = getattr(rope, "get_embed", None)
    if embed is None:
        raise UnsupportedError(
            "This model does not rotate its queries and keys by position, so it has no rotary kernel."
        )
    with model.lock, torch.inference_mode():
        try:
            made = embed(shape=list(layout.grid))
        except (TypeError, AssertionError, RuntimeError):
            made = embed()
    sin, cos = made if isinstance(made, tuple) else made.chunk(2, dim=-1)
    if sin.shape[-2] != layout.num_patches:
        raise UnsupportedError(
            f"This model's rotary table has {sin.shape[-2]} positions and the grid {layout.num_patches} patches."
        )
    sin, cos = (part.reshape(*(1,) * (4 - part.ndim), *part.shape) for part in (sin, cos))
    layers, heads = sin.shape[:2]
    blocks = getattr(model.module, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
        layers, heads = len(blocks), num_heads_of(blocks[0]) or heads
    return RotaryTable(sin, cos, layout.grid, layers, heads)
