"""Positions inside the attention: a relative bias on the scores, and rotation of queries and keys.

Relative bias: Bao et al. 2022 (arXiv 2106.08254), Liu et al. 2021 (arXiv 2103.14030): a term of the score that depends on the
displacement from query to key. Rotation: Su et al. 2021 (arXiv 2104.09864); in two dimensions Heo et al. 2024 (arXiv
2403.13298): without content a score depends on the displacement d by K(d) = mean over frequencies of cos(w . d), with the
model's own frequencies w.
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
from vitviz.errors import INPUT_ERRORS, UnsupportedError, VitvizError, checked_index
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """One layer's position bias, computed by the model's own forward pass, whether from a table or from a network.

    Attributes:
        layer: Dotted name of the attention module.
        values: (heads, queries, keys) float32, added to the scores before the softmax; over the whole sequence or over
            one window.
        window: (rows, cols) of patches that attend to each other, if they are a rectangle without prefix tokens and padding;
            else None.
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int] | None = None

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])


def relative_biases(model: ModelLike, input_size: tuple[int, int]) -> tuple[RelativeBias, ...]:
    """The bias of every layer that adds one, first layer first.

    Args:
        model: Any model.
        input_size: (height, width) in pixels.

    Returns:
        One for each such layer, with (heads, queries, keys) float32 in the unit of the scores.

    Raises:
        UnsupportedError: If no layer adds one.
    """
    found = score_biases(model.module, input_size)
    if not found:
        raise UnsupportedError(
            "This model adds no relative position bias to its attention scores; ask for its position embedding instead."
        )
    windows: dict[str, tuple[int, int] | None] = {}
    with suppress(VitvizError, *INPUT_ERRORS):  # biases are known even if the pass over coordinates fails
        placements = placements_of(model.module, input_size)
        windows = {placement.module: window_shape(placement) for placement in reversed(placements)}
    return tuple(RelativeBias(name, bias.float().cpu().numpy(), windows.get(name)) for name, bias in found.items())


def window_shape(placement: Placement) -> tuple[int, int] | None:
    """(rows, cols) of the first window's keys, or None if they are not exactly a rectangle of patches.

    It does not follow from the number of keys: 144 may be 12 x 12 or 8 x 18.
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


# Largest difference, relative to the bias's range, between pairs of patches with the same displacement; a bias with a larger
# one does not depend on displacement alone.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class OffsetBias:
    """One layer's bias as a function of displacement.

    Attributes:
        layer: Dotted name of the attention module.
        values: (heads, 2 rows - 1, 2 cols - 1) float32: added to the score of a key displaced down and to the right from its
            query by (index - centre) steps.
        window: (rows, cols) of patches that attend to each other.
        step: (down, right) patches in one step: more than 1 for windows of patches that are not neighbours.
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int]
    step: tuple[int, int] = (1, 1)

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])


def offset_biases(model: ModelLike, input_size: tuple[int, int]) -> tuple[OffsetBias, ...]:
    """The bias of every layer that adds one which depends on displacement alone. Hold the model's lock.

    Args:
        model: Any model.
        input_size: (height, width) in pixels.

    Returns:
        One for each such layer, with (heads, 2 rows - 1, 2 cols - 1) float32 in the unit of the scores.

    Raises:
        UnsupportedError: If there is no such layer.
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
    """The bias as a function of displacement, or None if it depends on more than that."""
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
    below = row[None, :] - row[:, None] + len(rows) - 1  # (queries, keys): an index of `values`
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
    """Sines and cosines of the model's rotation angles.

    Attributes:
        sin, cos: (layers or 1, heads or 1, patches, channels): size 1 if all layers or heads share the angles (axial), else the
            frequencies are learned for each (mixed).
        grid: (rows, cols) of patches.
        layers, heads: Numbers of the model's layers and heads.
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
            layer: Counted from 0.
            head: Counted from 0.
            patches: Numbers of the patches, counted row by row from 0, whose rows are returned; all by default.

        Returns:
            (patches, patches) float32, or (chosen, patches).

        Raises:
            IndexError: For a layer, head or patch that does not exist.
        """
        layer, head = checked_index(layer, self.layers, "layer"), checked_index(head, self.heads, "head")
        layer, head = (min(asked, kept - 1) for asked, kept in zip((layer, head), self.sin.shape[:2], strict=True))
        sin, cos = self.sin[layer, head].double(), self.cos[layer, head].double()  # (patches, channels)
        rows = slice(None) if patches is None else [checked_index(patch, len(sin), "patch") for patch in patches]
        return ((cos[rows] @ cos.T + sin[rows] @ sin.T) / sin.shape[1]).float().cpu().numpy()

    def kernel(self, layer: int = 0, head: int = 0) -> np.ndarray:
        """K(d) for every displacement on the grid, with zero displacement in the centre.

        Returns:
            (2 rows - 1, 2 cols - 1) float32.

        Raises:
            IndexError: For a layer or head that does not exist.
        """
        rows, cols = self.grid
        last_row, last_col = (rows - 1) * cols, cols - 1
        kernel = np.empty((2 * rows - 1, 2 * cols - 1), np.float32)
        # The displacements from one corner to all patches are a quarter of all displacements; the four corners have them all.
        # (4, patches) -> (4, rows, cols)
        corners = self.similarity(layer, head, [0, last_col, last_row, last_row + last_col]).reshape(4, rows, cols)
        kernel[rows - 1 :, cols - 1 :], kernel[rows - 1 :, :cols] = corners[0], corners[1]
        kernel[:rows, cols - 1 :], kernel[:rows, :cols] = corners[2], corners[3]
        return kernel


def rotary_table(model: ModelLike, layout: TokenLayout) -> RotaryTable:
    """The sines and cosines by which a model rotates its queries and keys, and the kernel that follows from them.

    Args:
        model: A model with rotary positions.
        layout: Which token is which patch.

    Returns:
        Sines and cosines (layers, heads, patches, channels) on the grid of `layout`; size 1 where all layers or heads share
        the angles.

    Raises:
        UnsupportedError: For a model without rotary positions, and for a table of another number of positions than patches.

    Source: Su et al. 2021, "RoFormer" (arXiv 2104.09864), equation 16.
    """
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
    # with leading axes of size 1
    sin, cos = (part.reshape(*(1,) * (4 - part.ndim), *part.shape) for part in (sin, cos))
    layers, heads = sin.shape[:2]
    blocks = getattr(model.module, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
        layers, heads = len(blocks), num_heads_of(blocks[0]) or heads
    return RotaryTable(sin, cos, layout.grid, layers, heads)
