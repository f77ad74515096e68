"""Patch features: a layer's queries, keys, values or tokens as vectors of patches, compared within and between pictures.

Facets of self-attention as features, and mutual nearest neighbours as correspondences: Amir, Gandelsman, Bagon and Dekel 2021
(arXiv 2112.05814). Keys of the last layer are customary for finding objects (Simeoni et al. 2021, arXiv 2109.14279), tokens for
principal components (Oquab et al. 2023, arXiv 2304.07193).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from vitviz.analysis.question import ModelLike
from vitviz.capture.attention import Attention
from vitviz.capture.blocks import Blocks
from vitviz.capture.record import record
from vitviz.errors import NotFiniteError, UnsupportedError, checked_index
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout

FACETS = ("key", "query", "value", "token")
STARTS = 4  # k-means runs with different starting points; the one with the smallest within-cluster variance is kept
BLOCK_PAIRS = 4_000_000  # similarities in memory at one time during a search for nearest neighbours
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """One feature vector for each patch of one picture.

    Attributes:
        values: (patches, width) float32, in sequence order.
        layout: Which token is which patch.
        layer: Counted from 0.
        facet: One of `FACETS`.
    """

    values: np.ndarray
    layout: TokenLayout
    layer: int
    facet: str

    @property
    def unit(self) -> np.ndarray:
        """(patches, width) float32: each vector divided by its norm; a zero vector stays zero."""
        length = np.linalg.norm(self.values, axis=1, keepdims=True)
        return self.values / np.maximum(length, _TINY)

    def packed(self) -> np.ndarray:
        """(patches, width) float16: the unit vectors for the browser.

        The dot product of two rows is the cosine similarity of the patches to within about 0.001.
        """
        return np.ascontiguousarray(self.unit, np.float16)


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """One forward pass with the queries, keys, values and output tokens of every layer.

    Attributes:
        layers: One `Attention` for each layer, with values.
        states: One (tokens, width) tensor for each layer: its output tokens, after the model's final norm if it has one.
            Empty for a model that is not a sequence of blocks.
        layout: Which token is which patch.
    """

    layers: tuple[Attention, ...]
    states: tuple[Tensor, ...]
    layout: TokenLayout

    def __repr__(self) -> str:
        width = self.states[0].shape[-1] if self.states else 0
        return f"FeatureMaps({self.layout.describe()}, {self.num_layers} layers, tokens of width {width})"

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        return sum(layer.nbytes for layer in self.layers) + sum(state.nbytes for state in self.states)

    def facet(self, facet: str = "key", layer: int | None = None) -> PatchFeatures:
        """The patches' features.

        Args:
            facet: "key", "query" or "value": the concatenated vectors of all heads, exactly as the attention used them (after
                normalisation and rotation of queries and keys); or "token": the layer's output.
            layer: Counted from 0; the last by default.

        Raises:
            ValueError: For another facet.
            IndexError: For a layer that does not exist.
            UnsupportedError: If the model gives weights and no queries and keys, or is not a sequence of blocks.
            NotFiniteError: For features that are not finite.
        """
        if facet not in FACETS:
            raise ValueError(f"a facet is one of {', '.join(FACETS)}, not {facet!r}")
        layer = checked_index(self.num_layers - 1 if layer is None else layer, self.num_layers, "layer")
        if facet == "token":
            if not self.states:
                raise UnsupportedError(
                    "This model does not pass one sequence of tokens from layer to layer; use its keys instead."
                )
            rows = self.states[layer]  # (tokens, width)
        else:
            attention = self.layers[layer]
            vectors = {"key": attention.k, "query": attention.q, "value": attention.v}[facet]
            if vectors is None:
                raise UnsupportedError(
                    f"{attention.name} gives its weights but no {facet} vectors; use its tokens instead."
                )
            rows = vectors.transpose(0, 1).flatten(1)  # (heads, tokens, head_dim) -> (tokens, heads * head_dim)
        values = rows[self.layout.num_prefix :].float().cpu().numpy()  # (patches, width)
        if not np.isfinite(values).all():
            raise NotFiniteError(f"The {facet} features of layer {layer} are not all finite numbers.")
        return PatchFeatures(values, self.layout, layer, facet)


def feature_maps(model: ModelLike, pixels: Tensor) -> FeatureMaps:
    """One forward pass that keeps every layer's features.

    Args:
        model: A model with one grid of patches.
        pixels: (3, height, width), normalised.

    Returns:
        Queries, keys, values and output tokens of every layer; `facet` selects the vectors of patches.

    Raises:
        UnsupportedError: For a model without attention over one grid of patches.
        NotFiniteError: If the model's output is not finite.
    """
    module = model.module
    try:
        blocks: tuple[nn.Module, ...] = Blocks(module).blocks
    except UnsupportedError:
        blocks = ()
    names = {id(part): name for name, part in module.named_modules()}
    hidden = [names[id(block)] for block in blocks]
    with model.lock:
        x = pixels[None].to(next(module.parameters()))
        seen = record(module, x, model.layout, keep_values=True, hidden=hidden)
        norm = getattr(module, "norm", None)
        states = [seen.hidden[name] for name in hidden]  # each (tokens, width)
        with torch.inference_mode():
            states = [norm(state) for state in states] if isinstance(norm, nn.Module) else states
    layers = tuple(layer for layer in seen.layers if isinstance(layer, Attention))
    if len(layers) < len(seen.layers) or any(layer.key_layout != model.layout for layer in layers):
        raise UnsupportedError(
            f"The layers of {model.name} attend inside windows or on different grids, so its patches have no common features. "
            "Choose a model whose layers all relate one grid of patches."
        )
    one_each = len(states) == len(layers) and all(len(state) == model.layout.num_tokens for state in states)
    return FeatureMaps(layers, tuple(states) if one_each else (), model.layout)


def patch_similarity(a: PatchFeatures, b: PatchFeatures | None = None) -> np.ndarray:
    """Cosine similarity of every two patches.

    Args:
        a: Features of one facet and layer.
        b: Features of the same facet and layer, also of another picture; `a` by default.

    Returns:
        (patches of a, patches of b) float32, from -1 to 1.

    Raises:
        ValueError: If `a` and `b` differ in facet, layer or width.
    """
    b = a if b is None else b
    _same_kind(a, b)
    return a.unit @ b.unit.T


def similar_patches(a: PatchFeatures, cell: tuple[int, int], b: PatchFeatures | None = None) -> Heatmap:
    """Cosine similarity of one patch of `a` to every patch of `b`.

    Args:
        a: Features of one facet and layer.
        cell: (row, col) of the patch in `a`.
        b: Features of the same facet and layer, also of another picture; `a` by default.

    Returns:
        Heatmap over the grid of `b`: cosine similarity from -1 to 1.

    Raises:
        IndexError: For a patch outside the grid.
        ValueError: If `a` and `b` differ in facet, layer or width.
    """
    b = a if b is None else b
    _same_kind(a, b)
    patch = a.layout.token_at(*cell) - a.layout.num_prefix
    return Heatmap(b.layout.patches(b.unit @ a.unit[patch]), "cosine similarity", signed=True)


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Pairs of patches, by decreasing similarity.

    Attributes:
        source: (pairs,) int, numbers of patches of the first picture.
        target: (pairs,) int, their partners in the second picture.
        similarity: (pairs,) float32, cosine similarity of each pair.
    """

    source: np.ndarray
    target: np.ndarray
    similarity: np.ndarray


def correspondences(
    a: PatchFeatures, b: PatchFeatures, mutual: bool = True, count: int | None = None
) -> Correspondences:
    """Each patch of `a` with its nearest neighbour in `b` by cosine similarity. Memory grows with the number of patches.

    Args:
        a: Features of the first picture.
        b: Features of the second, of the same model, layer and facet.
        mutual: Keep only mutual nearest neighbours ("best buddies").
        count: Keep this number of pairs, those of largest similarity; all by default.

    Returns:
        Numbers of the patches and their similarity, (pairs,) each, by decreasing similarity.

    Raises:
        ValueError: As `patch_similarity`.

    Source: Amir et al. 2021, "Deep ViT features as dense visual descriptors" (arXiv 2112.05814).
    """
    _same_kind(a, b)
    one, two = a.unit, b.unit
    source, target = np.arange(len(one)), np.zeros(len(one), int)
    similarity = np.zeros(len(one), np.float32)
    back, highest = np.zeros(len(two), int), np.full(len(two), -np.inf, np.float32)  # the nearest of `a` so far
    step = max(1, BLOCK_PAIRS // len(two))
    for start in range(0, len(one), step):
        block = one[start : start + step] @ two.T  # (patches of a in the block, patches of b)
        target[start : start + step], similarity[start : start + step] = block.argmax(1), block.max(1)
        nearest, most = block.argmax(0), block.max(0)
        closer = most > highest
        back[closer], highest[closer] = start + nearest[closer], most[closer]
    if mutual:
        source = source[back[target] == source]
    value = similarity[source]
    order = np.argsort(-value, kind="stable")[:count]
    source = source[order]
    return Correspondences(source, target[source], value[order])


@dataclass(frozen=True, eq=False)
class PatchComponents:
    """Principal components of the patches of all pictures together, so that colours of different pictures are comparable.

    Attributes:
        values: One (rows, cols, components) float32 array for each picture; NaN on background patches that were left out.
        explained: (components,) share of the variance of the patches that were kept, descending.
        foreground: One (rows, cols) boolean array for each picture; all True if the background was kept.
    """

    values: tuple[np.ndarray, ...]
    explained: np.ndarray
    foreground: tuple[np.ndarray, ...]

    def colours(self, percentile: float = 1.0) -> tuple[np.ndarray, ...]:
        """One (rows, cols, 3) float32 array in [0, 1] for each picture: the first three components as red, green and blue.

        Each component is scaled from its `percentile` and 100 - `percentile` over all pictures to [0, 1] and clipped.
        Background is black; a missing or constant component is 0.5.
        """
        shown = np.concatenate([values[kept] for values, kept in zip(self.values, self.foreground, strict=True)])[:, :3]
        low, high = np.percentile(shown, (percentile, 100 - percentile), axis=0)  # (components,) each
        answer = []
        for values, kept in zip(self.values, self.foreground, strict=True):
            colour = np.full((*kept.shape, 3), 0.5, np.float32)
            for index in range(shown.shape[1]):
                if high[index] > low[index]:
                    colour[..., index] = (values[..., index] - low[index]) / (high[index] - low[index])
            colour[~kept] = 0
            answer.append(np.clip(colour, 0, 1))
        return tuple(answer)


def principal_components(
    pictures: Sequence[PatchFeatures], count: int = 3, foreground: bool = False
) -> PatchComponents:
    """The leading `count` principal components of the patches of all `pictures` together.

    Args:
        pictures: Features of one model, layer and facet.
        count: Number of components.
        foreground: Keep only patches with a positive first component, and compute the components of those, as Oquab et al.
            2023. The sign of a component is arbitrary; the side that is rarer at the pictures' borders is taken as the
            foreground. If fewer patches than components would be left, all are kept.

    Returns:
        The components; the largest absolute entry of each direction is positive, so that colours are reproducible.

    Raises:
        ValueError: Without pictures, for features of different layers or facets, or for more components than dimensions.

    Source: Oquab et al. 2023, "DINOv2" (arXiv 2304.07193), figure 1.
    """
    if not pictures:
        raise ValueError("principal components need the features of at least one picture")
    for other in pictures[1:]:
        _same_kind(pictures[0], other)
    stacked = np.concatenate([picture.values for picture in pictures]).astype(np.float64)  # (all patches, width)
    if not 1 <= count <= min(stacked.shape):
        raise ValueError(f"there are 1 to {min(stacked.shape)} components here, not {count}")
    kept = np.ones(len(stacked), bool)
    if foreground:
        first = _components(stacked, kept, 1)[0][:, 0]  # (all patches,), of mean 0
        border = np.concatenate([_border(picture.layout.grid) for picture in pictures])
        kept = first > 0 if first[border].mean() <= 0 else first < 0
        if kept.sum() <= count:
            kept = np.ones(len(stacked), bool)
    values, explained = _components(stacked, kept, count)
    values[~kept] = np.nan
    ends = np.cumsum([len(picture.values) for picture in pictures])[:-1]
    grids = [picture.layout.grid for picture in pictures]
    return PatchComponents(
        tuple(
            part.reshape(*grid, count).astype(np.float32)  # (patches, count) -> (rows, cols, count)
            for part, grid in zip(np.split(values, ends), grids, strict=True)
        ),
        explained,
        tuple(part.reshape(grid) for part, grid in zip(np.split(kept, ends), grids, strict=True)),  # (rows, cols)
    )


def _components(rows: np.ndarray, kept: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(all rows, count) projections on the components of the kept rows, and (count,) shares of their variance."""
    mean = rows[kept].mean(0)
    centred = rows[kept] - mean
    variance, directions = np.linalg.eigh(centred.T @ centred)  # ascending; directions in columns
    variance, directions = variance[::-1][:count].clip(0), directions[:, ::-1][:, :count]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(0)[None], 0)[0]  # (count,)
    directions = directions * np.where(largest < 0, -1, 1)
    whole = max(float((centred**2).sum()), _TINY)
    return (rows - mean) @ directions, (variance / whole).astype(np.float32)


def _border(grid: tuple[int, int]) -> np.ndarray:
    """(patches,) boolean: patches at the edge of the picture."""
    edge = np.ones(grid, bool)
    edge[1:-1, 1:-1] = False
    return edge.ravel()


def cluster_patches(pictures: Sequence[PatchFeatures], count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """k-means (SciPy, k-means++ initialisation) over the unit vectors of all patches of all pictures together.

    Args:
        pictures: Features of one model, layer and facet.
        count: Number of clusters; there are fewer if patches have fewer different features.
        seed: Seed of the initialisation.

    Returns:
        One (rows, cols) int array for each picture: the cluster of each patch; cluster 0 has the most patches.

    Raises:
        ValueError: For no pictures, or a number of clusters below 1 or above that of the patches.
    """
    if not pictures:
        raise ValueError("clusters need the features of at least one picture")
    for other in pictures[1:]:
        _same_kind(pictures[0], other)
    unit = np.concatenate([picture.unit for picture in pictures]).astype(np.float64)  # (all patches, width)
    different = len(np.unique(unit.round(6), axis=0))
    if not 1 <= count <= len(unit):
        raise ValueError(f"{len(unit)} patches make 1 to {len(unit)} clusters, not {count}")
    count = min(count, different)
    best, least = np.zeros(len(unit), int), np.inf
    for start in range(STARTS):
        centres, labels = kmeans2(unit, count, minit="++", seed=np.random.default_rng([seed, start]), iter=30)
        spread = float(((unit - centres[labels]) ** 2).sum())
        if spread < least:
            best, least = labels, spread
    sizes = np.bincount(best, minlength=count)
    rank = np.empty(count, int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    ends = np.cumsum([len(picture.values) for picture in pictures])[:-1]
    parts = np.split(rank[best], ends)
    return tuple(part.reshape(picture.layout.grid) for part, picture in zip(parts, pictures, strict=True))


def _same_kind(a: PatchFeatures, b: PatchFeatures) -> None:
    if (a.layer, a.facet, a.values.shape[1]) != (b.layer, b.facet, b.values.shape[1]):
        raise ValueError(
            f"features of layer {a.layer} ({a.facet}, {a.values.shape[1]} numbers) and of layer {b.layer} ({b.facet}, "
            f"{b.values.shape[1]} numbers) cannot be compared; take both from the same model, layer and facet"
        )
