"""Position embeddings that are added to the patches: similarities, norms, and the kinds of positions that a model has.

Similarity: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.question import ModelLike
from vitviz.analysis.relative import relative_biases, rotary_table
from vitviz.capture.embeddings import added_positions, embedded_patches, one_vector_a_patch
from vitviz.errors import INPUT_ERRORS, NotFiniteError, UnsupportedError, checked_index
from vitviz.tokens import TokenLayout

# In a sin-cos embedding sin^2 + cos^2 = 1 for every frequency, so that all vectors have the same norm, and each component
# changes along rows or along columns only, also after resampling. Learned embeddings have neither property.
EQUAL_NORMS = 1e-3
ONE_AXIS = 1e-4
ROWS_AT_ONCE = 256
# Bytes of a similarity matrix, which is patches x patches: 1 GB at 128 x 128 patches.
LARGEST = 1 << 30


@dataclass(frozen=True, eq=False)
class PositionEmbedding:
    """The position embeddings of all patches.

    Attributes:
        vectors: (patches, width) float32.
        kind: "learned", or "sin-cos" for the fixed formula.
    """

    vectors: Tensor
    kind: str


def position_embedding(model: ModelLike, layout: TokenLayout) -> PositionEmbedding:
    """The position embedding of `layout`'s patches, resampled to its grid by the model's own code.

    Args:
        model: A model that adds position embeddings.
        layout: Which token is which patch.

    Returns:
        The vectors (patches, width) float32, and whether they are learned or a fixed formula.

    Raises:
        UnsupportedError: If no position embedding is added to the patches (rotary and relative positions act inside the
            attention; some models have none), if it is zero, and if it is not one vector for each patch.
    """
    vectors = added_vectors(model, layout)
    if not vectors.any():
        raise UnsupportedError("The position embedding that this model adds to its patches is zero at every patch.")
    vectors = vectors.float()
    norms = vectors.norm(dim=-1)
    equal = bool((norms - norms.mean()).abs().max() < EQUAL_NORMS * norms.mean())
    return PositionEmbedding(vectors, "sin-cos" if equal or _along_one_axis(vectors, layout.grid) else "learned")


def _along_one_axis(vectors: Tensor, grid: tuple[int, int]) -> bool:
    """Whether every component of (patches, width) vectors changes along the rows or along the columns of the grid only."""
    if min(grid) < 2:
        return False
    maps = vectors.reshape(*grid, -1)  # (rows, cols, width)
    spread = (maps.amax((0, 1)) - maps.amin((0, 1))).max()
    down = (maps.amax(0) - maps.amin(0)).amax(0)  # (width,): how far a component changes along a column
    across = (maps.amax(1) - maps.amin(1)).amax(0)  # (width,): and along a row
    return bool(torch.minimum(down, across).max() < ONE_AXIS * spread)


def added_vectors(model: ModelLike, layout: TokenLayout) -> Tensor:
    """The vectors that are added to the patch embeddings; an embedding of zeros is returned as zeros.

    Returns:
        (patches, width) in the model's precision.

    Raises:
        UnsupportedError: If nothing is added, or if it is not one vector for each patch.
    """
    with model.lock:
        size = getattr(model, "input_size", None) if model.layout == layout else None
        vectors = added_positions(model.module, layout, size or layout.input_size)
        if vectors is None:
            vectors = _by_its_own_method(model.module, layout)
    named = named_positions(model.module)
    if (vectors is None or not vectors.any()) and not named:
        raise UnsupportedError(
            "This model adds no position embedding to its patches. Positions that act inside the attention (rotary or "
            "relative) are shown in their own terms."
        )
    if vectors is None and any(
        not bool(torch.isfinite(tensor).all())
        for tensor in model.module.state_dict().values()
        if tensor.is_floating_point() and not tensor.is_meta
    ):
        raise NotFiniteError("The model holds weights that are not finite numbers, so its positions cannot be read.")
    if vectors is None:
        raise UnsupportedError(
            f"This model has position parameters ({', '.join(named[:3])}), but does not add one vector to each patch where the "
            "patches enter the first layer, so there is no position embedding to compare."
        )
    return vectors


def position_similarity(model: ModelLike, layout: TokenLayout, patches: Sequence[int] | None = None) -> np.ndarray:
    """Cosine similarity of the position embeddings of every two patches, in [-1, 1].

    Args:
        model: A model that adds position embeddings.
        layout: Which token is which patch.
        patches: Numbers of the patches, counted row by row from 0, whose rows are returned; all by default.

    Returns:
        (patches, patches) float32, or (chosen, patches).

    Raises:
        UnsupportedError: As `position_embedding`, and if the result would be larger than LARGEST bytes.
        IndexError: For a patch that does not exist.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 centre.
    """
    needed = 4 * layout.num_patches * (layout.num_patches if patches is None else len(patches))
    if needed > LARGEST:
        raise UnsupportedError(
            f"The similarity of {layout.num_patches:,} positions with each other takes {needed / 1e9:.1f} GB, more than the "
            f"{LARGEST / 1e9:.1f} GB that are held at once. Ask for the rows of a few patches, or choose a smaller input size."
        )
    vectors = nn.functional.normalize(position_embedding(model, layout).vectors.double(), dim=-1)
    chosen = vectors if patches is None else vectors[[checked_index(patch, len(vectors), "patch") for patch in patches]]
    out = np.empty((len(chosen), len(vectors)), np.float32)
    for start in range(0, len(chosen), ROWS_AT_ONCE):
        rows = chosen[start : start + ROWS_AT_ONCE] @ vectors.T
        out[start : start + ROWS_AT_ONCE] = rows.clamp_(-1, 1).float().cpu().numpy()
    return out


@dataclass(frozen=True, eq=False)
class SimilarityCurve:
    """Position similarity against distance.

    Attributes:
        distance: (bins,) distance between patch centres in input pixels, ascending.
        mean, low, high: (bins,) mean similarity, and its 10th and 90th percentile, of the pairs at that distance.
    """

    distance: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def similarity_by_distance(similarity: np.ndarray, layout: TokenLayout) -> SimilarityCurve:
    """Similarity of two patches as a function of the distance between them.

    Args:
        similarity: (patches, patches), as of `position_similarity`.
        layout: Which token is which patch.

    Returns:
        Mean and percentiles (bins,) by distance in pixels, in bins of one patch; empty bins are left out.
    """
    distances = layout.distances()  # (patches, patches)
    bins = np.rint(distances / min(layout.patch_size)).astype(int).ravel()  # (patches * patches,)
    order = np.argsort(bins, kind="stable")
    edges = np.flatnonzero(np.diff(bins[order])) + 1
    groups = np.split(similarity.ravel()[order], edges)
    where = [chunk.mean() for chunk in np.split(distances.ravel()[order], edges)]
    columns = [(group.mean(), *np.percentile(group, (10, 90))) for group in groups]
    mean, low, high = np.asarray(columns, np.float32).T
    return SimilarityCurve(np.asarray(where, np.float32), mean, low, high)


@dataclass(frozen=True)
class StepSimilarity:
    """Mean position similarity of pairs of patches at a given distance along rows, columns and diagonals.

    Attributes:
        step: The distance in patches.
        row: Of pairs `step` apart in one row.
        column: Of pairs `step` apart in one column.
        diagonal: Of pairs `step` apart along both, in both directions.
    """

    step: int
    row: float
    column: float
    diagonal: float


def similarity_by_step(similarity: np.ndarray, layout: TokenLayout, step: int) -> StepSimilarity:
    """Mean similarities along rows, columns and diagonals, which are equal if similarity depends on distance alone.

    Args:
        similarity: (patches, patches), as from `position_similarity`.
        layout: Of the patches.
        step: Number of patches, 1 or more and smaller than the sides of the grid.

    Raises:
        ValueError: For another step.
    """
    rows, cols = layout.grid
    if not 1 <= step < min(rows, cols):
        raise ValueError(f"a step is from 1 to {min(rows, cols) - 1} patches on a grid of {rows}x{cols}, not {step}")
    square = similarity.reshape(rows, cols, rows, cols)  # (patches, patches) -> (row, col, other row, other col)
    i, j = np.ogrid[: rows - step, : cols - step]  # upper left corners of squares of this step
    p, q = np.ogrid[:rows, :cols]
    row = square[p, q[:, : cols - step], p, q[:, : cols - step] + step]  # (rows, cols - step)
    column = square[p[: rows - step], q, p[: rows - step] + step, q]  # (rows - step, cols)
    falling, rising = square[i, j, i + step, j + step], square[i + step, j, i, j + step]
    return StepSimilarity(step, float(row.mean()), float(column.mean()), float((falling.mean() + rising.mean()) / 2))


def chance_similarity(width: int) -> float:
    """1.96 / sqrt(width): 95% of pairs of random directions in `width` dimensions have a smaller absolute cosine."""
    return 1.96 / float(np.sqrt(width))


@dataclass(frozen=True, eq=False)
class EmbeddingSum:
    """The input of the first layer as the sum of patch embedding and position embedding.

    Attributes:
        patch, position, total: (patches,) norms of the two terms and of their sum.
        cosine: (patches,) cosine between the two terms, near 0 if content and position use different directions.
    """

    patch: np.ndarray
    position: np.ndarray
    total: np.ndarray
    cosine: np.ndarray


def embedding_sum(model: ModelLike, pixels: Tensor, layout: TokenLayout) -> EmbeddingSum:
    """The input of the first layer as the sum of patch embedding and position embedding.

    Args:
        model: A model that adds position embeddings.
        pixels: (channels, height, width), normalised.
        layout: Which token is which patch.

    Returns:
        Norms of both terms and of their sum, and the cosine between the terms, (patches,) each.

    Raises:
        UnsupportedError: As `position_embedding`.
    """
    position = position_embedding(model, layout).vectors
    patch = patch_embedding(model, pixels, layout)
    total, cosine = patch + position, nn.functional.cosine_similarity(patch, position, dim=-1)
    lengths = (vectors.norm(dim=-1).cpu().numpy() for vectors in (patch, position, total))
    patch_length, position_length, total_length = lengths
    return EmbeddingSum(patch_length, position_length, total_length, cosine.cpu().numpy())


def patch_embedding(model: ModelLike, pixels: Tensor, layout: TokenLayout) -> Tensor:
    """The output of the model's patch embedding, before positions are added.

    Args:
        model: Any model.
        pixels: (3, height, width), normalised.
        layout: Which token is which patch.

    Returns:
        (patches, width) float32.

    Raises:
        UnsupportedError: If the model has no patch embedding with one vector for each patch.
    """
    with model.lock:
        vectors = embedded_patches(model.module, pixels.to(next(model.module.parameters())), layout)
    if vectors is None:
        raise UnsupportedError("No part of this model is known to give one vector a patch before positions are added.")
    return vectors.float()


def _by_its_own_method(module: nn.Module, layout: TokenLayout) -> Tensor | None:
    """(patches, width): the same from the module's `_pos_embed`, for models that reorder tokens before the first layer."""
    table, add = getattr(module, "pos_embed", None), getattr(module, "_pos_embed", None)
    if not isinstance(table, Tensor) or not callable(add):
        return None
    width = table.shape[-1]
    with torch.inference_mode():
        try:
            added = add(torch.zeros(1, layout.num_patches, width, dtype=table.dtype, device=table.device))
        except INPUT_ERRORS:
            return None
    added = added[0] if isinstance(added, tuple) else added  # (tokens, rotary table)
    return one_vector_a_patch(added, layout) if isinstance(added, Tensor) else None


def named_positions(module: nn.Module) -> list[str]:
    """Dotted names of parameters and buffers whose name says that they hold absolute positions."""
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    inside = ("rel_pos", "relative_pos", "rope", "bias")  # positions inside the attention, and biases of layers
    return [name for name in names if "pos" in name.lower() and not any(word in name.lower() for word in inside)]


def position_kinds(model: ModelLike, layout: TokenLayout) -> tuple[str, ...]:
    """How a model adds information about positions.

    Convolutions between layers also add information about positions, but do not count here.

    Args:
        model: Any model.
        layout: Which token is which patch.

    Returns:
        Those of "learned", "sin-cos", "rotary" and "relative" that the model has, in this order; ("none",) if it has none.
    """
    kinds = []
    with suppress(UnsupportedError):
        kinds.append(position_embedding(model, layout).kind)
    with suppress(UnsupportedError):
        rotary_table(model, layout)
        kinds.append("rotary")
    with suppress(UnsupportedError):
        # with overlapping patches the input size does not follow from the layout
        size = getattr(model, "input_size", None) if model.layout == layout else None
        relative_biases(model, size or layout.input_size)
        kinds.append("relative")
    return tuple(kinds) or ("none",)
