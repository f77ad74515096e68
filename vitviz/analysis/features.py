"""Patch features: what a layer's queries, keys, values or tokens say of each patch, and how alike they are, within one
picture and between pictures.

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
from vitviz.errors import NotFiniteError, UnsupportedError, existing
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout

FACETS = ("key", "query", "value", "token")
STARTS = 4  # k-means from so many starting points; the one with the least spread is kept
BLOCK_PAIRS = 4_000_000  # similarities that are held at one time while neighbours are looked for
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """One vector a patch.

    Attributes:
        values: (patches, width) float32, in sequence order.
        layout: Which patch is where.
        layer: Counted from 0.
        facet: One of `FACETS`.
    """

    values: np.ndarray
    layout: TokenLayout
    layer: int
    facet: str

    @property
    def unit(self) -> np.ndarray:
        """(patches, width) float32: each vector divided by its length; a vector of length 0 stays 0."""
        length = np.linalg.norm(self.values, axis=1, keepdims=True)
        return self.values / np.maximum(length, _TINY)

    def packed(self) -> np.ndarray:
        """(patches, width) float16: the unit vectors as a browser gets them.

        The cosine similarity of two patches is the dot product of their rows, to within about 0.001.
        """
        return np.ascontiguousarray(self.unit, np.float16)


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """One forward pass with the queries, keys and values of every layer, and the tokens after it.

    Attributes:
        layers: One `Attention` a layer, with values.
        states: One (tokens, width) tensor a layer: its tokens after the layer and the model's final norm, where it has one.
            Empty for a model that is not one row of blocks.
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
            facet: "key", "query" or "value", the vectors of all heads one behind the other, exactly as the attention used them
                (after a norm or a rotation of queries and keys, where there is one); or "token", what the layer leaves.
            layer: Counted from 0; the last by default.

        Raises:
            ValueError: For another facet.
            IndexError: For a layer that does not exist.
            UnsupportedError: Where the model gives weights and no queries and keys, or is not one row of blocks.
            NotFiniteError: For features that are not finite.
        """
        if facet not in FACETS:
            raise ValueError(f"a facet is one of {', '.join(FACETS)}, not {facet!r}")
        layer = existing(self.num_layers - 1 if layer is None else layer, self.num_layers, "layer")
        if facet == "token":
            if not self.states:
                raise UnsupportedError(
                    "This model does not hand one sequence of tokens from layer to layer; ask for its keys instead."
                )
            rows = self.states[layer]  # (tokens, width)
        else:
            attention = self.layers[layer]
            vectors = {"key": attention.k, "query": attention.q, "value": attention.v}[facet]
            if vectors is None:
                raise UnsupportedError(
                    f"{attention.name} hands over its weights and no {facet} vectors; ask for its tokens instead."
                )
            rows = vectors.transpose(0, 1).flatten(1)  # (heads, tokens, head_dim) -> (tokens, heads * head_dim)
        values = rows[self.layout.num_prefix :].float().cpu().numpy()  # (patches, width)
        if not np.isfinite(values).all():
            raise NotFiniteError(f"The {facet} features of layer {layer} are not all finite numbers.")
        return PatchFeatures(values, self.layout, layer, facet)


def feature_maps(model: ModelLike, pixels: Tensor) -> FeatureMaps:
    """One forward pass over a model input (3, height, width), every layer's features kept.

    Raises:
        UnsupportedError: For a model without attention over one grid of patches.
        NotFiniteError: Where the model's output is not finite.
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
    """(patches of a, patches of b) float32: cosine similarity of every pair; of `a` with itself where b is not given."""
    b = a if b is None else b
    _same_kind(a, b)
    return a.unit @ b.unit.T


def similar_patches(a: PatchFeatures, cell: tuple[int, int], b: PatchFeatures | None = None) -> Heatmap:
    """How alike each patch of `b` (of `a` itself where not given) is to one patch of `a`.

    Args:
        a: Features of one facet and layer.
        cell: (row, col) of the patch in `a`.
        b: Features of the same facet and layer, also of another picture.

    Returns:
        Heatmap over the grid of `b`: cosine similarity from -1 to 1.

    Raises:
        IndexError: For a patch outside the grid.
        ValueError: Where `a` and `b` are not of one kind.
    """
    b = a if b is None else b
    _same_kind(a, b)
    patch = a.layout.token_at(*cell) - a.layout.num_prefix
    return Heatmap(b.layout.patches(b.unit @ a.unit[patch]), "cosine similarity", signed=True)


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Pairs of patches, the most alike first.

    Attributes:
        source: (pairs,) int, patches of the first picture in sequence order.
        target: (pairs,) int, their partners in the second.
        similarity: (pairs,) float32, cosine similarity of each pair.
    """

    source: np.ndarray
    target: np.ndarray
    similarity: np.ndarray


def correspondences(
    a: PatchFeatures, b: PatchFeatures, mutual: bool = True, count: int | None = None
) -> Correspondences:
    """Each patch of `a` with the patch of `b` that is most like it. Memory grows with the patches and not with their pairs.

    Args:
        a: Features of the first picture.
        b: Features of the second, of the same model, layer and facet.
        mutual: Keep only pairs each of which is the other's nearest ("best buddies").
        count: Keep so many, the most alike.
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
    """Principal components of the patches of one or several pictures, computed jointly: one colour means one thing in all.

    Attributes:
        values: One (rows, cols, components) float32 array a picture; not-a-number on background patches where it was left out.
        explained: (components,) share of the variance of the patches that were kept, descending.
        foreground: One (rows, cols) boolean array a picture; all True where the background was kept.
    """

    values: tuple[np.ndarray, ...]
    explained: np.ndarray
    foreground: tuple[np.ndarray, ...]

    def colours(self, percentile: float = 1.0) -> tuple[np.ndarray, ...]:
        """One (rows, cols, 3) float32 array in [0, 1] a picture: the first three components as red, green and blue.

        Each component is stretched between its `percentile` and 100 - `percentile` over all pictures together and clipped;
        background is black, and a component that is missing or constant is 0.5.
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
        count: How many components.
        foreground: Keep the patches whose first component is positive and compute the components of those alone, as Oquab et
            al. 2023 do. A component has no sign of its own; the side that is rarer at the pictures' borders is taken for the
            foreground. Where fewer patches than components would be left, all are kept.

    Returns:
        The components with their share of the variance. The entry of largest size of each direction is positive, so that
        colours repeat.

    Raises:
        ValueError: Without pictures, for features that differ in kind, or for more components than there are dimensions.
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
            part.reshape(*grid, count).astype(np.float32)
            for part, grid in zip(np.split(values, ends), grids, strict=True)
        ),
        explained,
        tuple(part.reshape(grid) for part, grid in zip(np.split(kept, ends), grids, strict=True)),
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


def upsampled(values: np.ndarray, size: tuple[int, int], method: str = "bicubic") -> np.ndarray:
    """(rows, cols, channels) -> (height, width, channels) float32: values between the patches' centres.

    Args:
        values: One vector a patch; not-a-number is taken for 0.
        size: (height, width) in pixels.
        method: "nearest" (each patch one rectangle), "bilinear", or "bicubic" (Keys 1981, a = -0.75, as PyTorch has it), which
            may overshoot a little.

    Nothing about the picture is used: an edge that looks sharp here was made by interpolation and not by the model.
    """
    methods = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}
    if method not in methods:
        raise ValueError(f"a method is one of {', '.join(methods)}, not {method!r}")
    grid = torch.from_numpy(np.nan_to_num(values.astype(np.float32))).permute(2, 0, 1)[
        None
    ]  # (1, channels, rows, cols)
    large = nn.functional.interpolate(grid, size=size, mode=methods[method])
    return np.ascontiguousarray(large[0].permute(1, 2, 0).numpy())  # (height, width, channels)


def cluster_patches(pictures: Sequence[PatchFeatures], count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """k-means (SciPy's, k-means++ starts) over the unit vectors of all patches of all pictures together.

    Args:
        pictures: Features of one model, layer and facet.
        count: Number of clusters; fewer come back where patches have fewer different features.
        seed: The same answer for the same seed.

    Returns:
        One (rows, cols) int array a picture: the cluster of each patch, numbered from the largest cluster (0) down.

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
