"""Position embeddings that are added to the patches: how alike any two of them are, and how large they are beside the patches.

Similarity: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.errors import UnsupportedError, existing
from vitviz.tokens import TokenLayout

# A sin-cos embedding has sin^2 + cos^2 = 1 for every frequency, so that all its vectors are equally long; learned ones are not.
EQUAL_NORMS = 1e-3
ROWS_AT_ONCE = 256
# Bytes of a similarity matrix, which is patches x patches: 1 GB at 128 x 128 patches.
LARGEST = 1 << 30


class HasModule(Protocol):
    """Anything with a timm module: a loaded model."""

    @property
    def module(self) -> nn.Module: ...


@dataclass(frozen=True, eq=False)
class PositionEmbedding:
    """What is added to each patch embedding because of where the patch is.

    vectors  (patches, width) float32
    kind     "learned", or "sin-cos" where it is fixed by formula and not learned
    """

    vectors: Tensor
    kind: str


def position_embedding(model: HasModule, layout: TokenLayout) -> PositionEmbedding:
    """The position embedding of `layout`'s patches, resampled to its grid just as the model does it.

    Raises UnsupportedError where no position embedding is added to the patches (rotary and relative positions act inside the
    attention, some models have none at all).
    """
    with torch.inference_mode():
        vectors = _as_added(model.module, layout)
    if vectors is None or not vectors.any():
        raise UnsupportedError(
            "This model adds no position embedding to its patches: its positions, if it has any, act inside the attention "
            "(rotary or relative), which is shown in its own terms."
        )
    vectors = vectors.float()
    norms = vectors.norm(dim=-1)
    fixed = bool((norms - norms.mean()).abs().max() < EQUAL_NORMS * norms.mean())
    return PositionEmbedding(vectors, "sin-cos" if fixed else "learned")


def position_similarity(model: HasModule, layout: TokenLayout, patches: Sequence[int] | None = None) -> np.ndarray:
    """(patches, patches) float32: cosine similarity of every patch position's embedding with every other's, in [-1, 1].

    patches  numbers of the patches, counted row by row from 0, whose rows are wanted: (chosen, patches). All of them grow with
             the square of their number.

    Raises UnsupportedError as `position_embedding`, and where the result would be larger than LARGEST bytes, IndexError for a
    patch that does not exist.
    """
    needed = 4 * layout.num_patches * (layout.num_patches if patches is None else len(patches))
    if needed > LARGEST:
        raise UnsupportedError(
            f"The similarity of {layout.num_patches:,} positions with each other takes {needed / 1e9:.1f} GB, more than the "
            f"{LARGEST / 1e9:.1f} GB that are held at once. Ask for the rows of a few patches, or choose a smaller input size."
        )
    vectors = nn.functional.normalize(position_embedding(model, layout).vectors.double(), dim=-1)
    chosen = vectors if patches is None else vectors[[existing(patch, len(vectors), "patch") for patch in patches]]
    out = np.empty((len(chosen), len(vectors)), np.float32)
    for start in range(0, len(chosen), ROWS_AT_ONCE):
        rows = chosen[start : start + ROWS_AT_ONCE] @ vectors.T
        out[start : start + ROWS_AT_ONCE] = rows.clamp_(-1, 1).float().cpu().numpy()
    return out


@dataclass(frozen=True, eq=False)
class SimilarityCurve:
    """Position similarity against distance.

    distance  (bins,) distance between patch centres in input pixels, ascending
    mean, low, high  (bins,) mean similarity, and its 10th and 90th percentile, of the pairs at that distance
    """

    distance: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def similarity_by_distance(similarity: np.ndarray, layout: TokenLayout) -> SimilarityCurve:
    """`similarity` (patches, patches) against distance, in bins one patch wide; empty bins are left out."""
    distances = layout.distances()  # (patches, patches)
    bins = np.rint(distances / min(layout.patch_size)).astype(int).ravel()  # (patches * patches,)
    order = np.argsort(bins, kind="stable")
    edges = np.flatnonzero(np.diff(bins[order])) + 1
    groups = np.split(similarity.ravel()[order], edges)
    where = [chunk.mean() for chunk in np.split(distances.ravel()[order], edges)]
    columns = [(group.mean(), *np.percentile(group, (10, 90))) for group in groups]
    mean, low, high = np.asarray(columns, np.float32).T
    return SimilarityCurve(np.asarray(where, np.float32), mean, low, high)


@dataclass(frozen=True, eq=False)
class EmbeddingSum:
    """What enters the first layer at each patch, as a sum: patch embedding + position embedding. Each (patches,) is a length.

    patch, position, total  lengths of the two terms and of their sum
    cosine                  cosine between the two terms: near 0 where content and position use different directions
    """

    patch: np.ndarray
    position: np.ndarray
    total: np.ndarray
    cosine: np.ndarray


def embedding_sum(model: HasModule, pixels: Tensor, layout: TokenLayout) -> EmbeddingSum:
    """The sum at the entrance for one model input (3, height, width). Raises UnsupportedError as `position_embedding`."""
    position = position_embedding(model, layout).vectors
    patch = patch_embedding(model, pixels, layout)
    total, cosine = patch + position, nn.functional.cosine_similarity(patch, position, dim=-1)
    lengths = (vectors.norm(dim=-1).cpu().numpy() for vectors in (patch, position, total))
    patch_length, position_length, total_length = lengths
    return EmbeddingSum(patch_length, position_length, total_length, cosine.cpu().numpy())


def patch_embedding(model: HasModule, pixels: Tensor, layout: TokenLayout) -> Tensor:
    """(patches, width) float32: the patches after the model's own patch embedding, before positions are added.

    Raises UnsupportedError where the model has none that gives one vector a patch.
    """
    embed = getattr(model.module, "patch_embed", None)
    with torch.inference_mode():
        embedded = embed(pixels[None]) if isinstance(embed, nn.Module) else None
    if not isinstance(embedded, Tensor) or embedded.numel() % layout.num_patches:
        raise UnsupportedError("This model has no patch embedding that gives one vector a patch.")
    if embedded.ndim == 4 and embedded.shape[1:3] != layout.grid:  # (1, width, rows, cols) -> (1, rows, cols, width)
        embedded = embedded.permute(0, 2, 3, 1)
    return embedded.reshape(
        layout.num_patches, -1
    ).float()  # (1, patches, width) or (1, rows, cols, width) -> (patches, width)


def _as_added(module: nn.Module, layout: TokenLayout) -> Tensor | None:
    """(patches, width): what the module's own code adds to the patches, read by giving it patches that are zero."""
    table = getattr(module, "pos_embed", None)
    if not isinstance(table, Tensor):
        return None
    width = table.shape[-1]
    add = getattr(module, "_pos_embed", None)
    if callable(add):
        dynamic = getattr(module, "dynamic_img_size", False)
        shape = (1, *layout.grid, width) if dynamic else (1, layout.num_patches, width)
        added = add(torch.zeros(shape, dtype=table.dtype, device=table.device))
        added = added[0] if isinstance(added, tuple) else added  # with the rotary table beside it
    else:
        added = table
    if added.numel() < layout.num_patches * width:
        return None
    return added.reshape(-1, width)[-layout.num_patches :]  # (prefix tokens + patches, width) -> (patches, width)
