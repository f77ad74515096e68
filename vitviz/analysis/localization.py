"""Finds objects from patch features without a trained head: LOST, TokenCut and MaskCut.

LOST: Simeoni et al. 2021 (arXiv 2109.14279). TokenCut: Wang et al. 2022 (arXiv 2202.11539), a normalised cut (Shi and Malik
2000). MaskCut, the same cut repeated for several objects: Wang, Girdhar, Yu and Misra 2023 (arXiv 2301.11320). The papers use
the keys of the last layer of a self-supervised DINO model. In models whose patches share one strong direction all similarities
exceed the papers' thresholds, so the mean patch is subtracted first. `centred=False` is the papers' own form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, ndimage
from scipy.sparse.linalg import LinearOperator, eigsh

from vitviz.analysis.features import PatchFeatures
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

LOST_PATCHES = 100  # k of the paper: the seed is extended among this number of patches of lowest degree
TOKENCUT_THRESHOLD = 0.2  # tau of the paper for a ViT-S
MASKCUT_THRESHOLD = 0.15
WEAK_EDGE = 1e-5  # epsilon of the paper: weight of edges below the threshold, which keep the graph connected
# The computation of the eigenvector of a dense graph of this size takes 0.8 GB.
MOST_PATCHES = 6000
REGION_THRESHOLD, REGION_ROUNDS = 0.1, 3
_LARGEST_OVERLAP, _SMALLEST_SHARE = 0.5, 0.01  # MaskCut drops masks with a larger overlap or a smaller area


@dataclass(frozen=True)
class Box:
    """A box in pixels of the model's input; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return max(self.right - self.left, 0) * max(self.bottom - self.top, 0)

    def iou(self, other: Box) -> float:
        """Intersection over union, from 0 (disjoint) to 1 (equal)."""
        both = Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area
        return both / max(self.area + other.area - both, 1)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One object with the intermediate results of the method.

    Attributes:
        method: "LOST", "TokenCut" or "MaskCut".
        graph: (patches, patches) boolean: edges between similar patches, without weak edges.
        degree: (rows, cols) float32: number of other patches that each is joined to.
        eigenvector: (rows, cols) float32: the generalised eigenvector of the second smallest eigenvalue, positive on the
            object's side; None for LOST.
        seed: (row, col) of the patch that the object is grown from.
        chosen: (rows, cols) boolean: for LOST the patches of low degree that are similar to the seed; for the others the
            object's side of the cut, whose part connected with the seed is the mask.
        similarity: (rows, cols) float32: for LOST the sum of products with the chosen patches, which is positive on the
            object's side; for the others the cosine similarity to the seed.
        mask: (rows, cols) boolean: the object.
        box: Around the mask, in pixels of the model's input.
        score: Mean cosine similarity of pairs of patches inside the mask minus that of pairs across its border, from -2 to 2,
            of the same vectors as in the graph. It ranks objects of one picture; it is not a probability.
    """

    method: str
    graph: np.ndarray
    degree: np.ndarray
    eigenvector: np.ndarray | None
    seed: tuple[int, int]
    chosen: np.ndarray
    similarity: np.ndarray
    mask: np.ndarray
    box: Box
    score: float


def box_of(mask: np.ndarray, layout: TokenLayout) -> Box:
    """The smallest box around a mask (rows, cols). Raises ValueError for an empty mask."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    height, width = layout.patch_size
    return Box(int(cols[0]) * width, int(rows[0]) * height, (int(cols[-1]) + 1) * width, (int(rows[-1]) + 1) * height)


def lost(features: PatchFeatures, patches: int = LOST_PATCHES, centred: bool = True) -> FoundObject:
    """LOST: the patch with the fewest similar patches is the seed of the object, which is extended to patches similar to it.

    Args:
        features: Of one picture.
        patches: The seed is extended among this number of patches of lowest degree; among all if there are fewer.
        centred: Subtract the mean patch first.

    Returns:
        Mask (rows, cols), box in pixels, score, and the intermediate results of the method.

    Raises:
        UnsupportedError: For a picture of more than `MOST_PATCHES` patches.

    Source: Simeoni et al. 2021, "Localizing objects with self-supervised transformers and no labels" (arXiv 2109.14279).
    """
    _need_few(features)
    layout = features.layout
    values = features.values.astype(np.float64)
    values = values - values.mean(0) if centred else values
    products = values @ values.T  # (patches, patches)
    graph = products > 0
    np.fill_diagonal(graph, False)
    degree = graph.sum(1)
    order = np.argsort(degree, kind="stable")  # (patches,), lowest degree first
    seed = int(order[0])
    lowest = order[:patches]
    chosen = lowest[(products[seed, lowest] > 0) | (lowest == seed)]
    similarity = products[chosen].sum(0)  # (patches,)
    side = similarity > 0
    side[seed] = True
    mask = _connected(layout.patches(side), layout, seed)
    marked = np.isin(np.arange(len(values)), chosen)
    return _found("LOST", layout, _unit(features, centred), graph, degree, None, seed, marked, similarity, mask)


def token_cut(
    features: PatchFeatures, threshold: float = TOKENCUT_THRESHOLD, centred: bool = True, side: str = "border"
) -> FoundObject:
    """TokenCut: the normalised cut of the graph of patches into object and background.

    Args:
        features: Of one picture.
        threshold: Patches with a larger cosine similarity are joined by an edge of weight 1, others by one of `WEAK_EDGE`.
        centred: Subtract the mean patch first.
        side: Which side of the cut is the object. "strongest": that of the eigenvector's largest absolute entry, as in the
            paper. "border": that with fewer patches at the picture's border.

    Returns:
        As of `lost`, with the eigenvector (rows, cols).

    Raises:
        ValueError: For another `side`.
        UnsupportedError: For a picture of more than `MOST_PATCHES` patches.

    Source: Wang et al. 2022, "Self-supervised transformers for unsupervised object discovery using normalized cut"
    (arXiv 2202.11539).
    """
    if side not in ("strongest", "border"):
        raise ValueError(f'a side is chosen as "strongest" or "border", not {side!r}')
    _need_few(features)
    return _cut("TokenCut", features, _unit(features, centred), threshold, side)


def mask_cut(
    features: PatchFeatures, count: int = 3, threshold: float = MASKCUT_THRESHOLD, centred: bool = True
) -> tuple[FoundObject, ...]:
    """MaskCut: TokenCut repeated, each time without the patches of earlier objects.

    A side with three or more corners of the picture is background. A mask that overlaps an earlier one by more than half, or
    covers less than a hundredth of the picture, is dropped.

    Args:
        features: Of one picture; the paper uses the keys of the last layer.
        count: Largest number of objects.
        threshold: Patches with a larger cosine similarity are joined in the graph.
        centred: Subtract the mean patch first.

    Returns:
        One to `count` objects in the order in which they were found.

    Raises:
        ValueError: For a count below 1.
        UnsupportedError: For a picture of more than `MOST_PATCHES` patches.

    Source: Wang et al. 2023, "Cut and Learn for Unsupervised Object Detection and Instance Segmentation" (arXiv 2301.11320).
    """
    if count < 1:
        raise ValueError(f"at least one object is asked for, not {count}")
    _need_few(features)
    unit = _unit(features, centred)
    found: list[FoundObject] = []
    painted = np.zeros(len(unit), bool)
    for _ in range(count):
        if painted.all():
            break
        one = _cut("MaskCut", features, np.where(painted[:, None], 0.0, unit), threshold, "corners")
        new = one.mask & ~features.layout.patches(painted)
        overlap = max((_mask_iou(one.mask, other.mask) for other in found), default=0.0)
        painted |= one.mask.ravel()
        if not found or (overlap <= _LARGEST_OVERLAP and new.mean() > _SMALLEST_SHARE):
            found.append(one)
    return tuple(found)


def region_around(
    features: PatchFeatures, cell: tuple[int, int], threshold: float = REGION_THRESHOLD, centred: bool = True
) -> np.ndarray:
    """(rows, cols) boolean: the connected region of patches that are similar to one patch.

    A patch shows only a part of an object, so each of `REGION_ROUNDS` further rounds computes the region of patches similar
    to the mean of the region before. The region always contains the patch itself.

    Args:
        features: Of one picture.
        cell: (row, col) of the patch.
        threshold: Patches with a larger cosine similarity count as similar.
        centred: Subtract the mean patch first.
    """
    layout, unit = features.layout, _unit(features, centred)
    seed = cell[0] * layout.grid[1] + cell[1]
    like, region = unit[seed], np.zeros(layout.grid, bool)
    for _ in range(REGION_ROUNDS):
        side = unit @ like > threshold  # (patches,)
        side[seed] = True
        region = _connected(layout.patches(side), layout, seed)
        like = unit[region.ravel()].mean(0)  # (width,)
        like = like / max(float(np.linalg.norm(like)), 1e-12)
    return region


def affinity(unit: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The graph of TokenCut: (graph (patches, patches) boolean, weights (patches, patches) float64).

    Args:
        unit: (patches, width) unit vectors; zero vectors are similar to no other.
        threshold: Patches with a larger cosine similarity are joined.
    """
    graph = unit @ unit.T > threshold
    return graph, np.where(graph, 1.0, WEAK_EDGE)


def second_eigenvector(weights: np.ndarray) -> np.ndarray:
    """(patches,): the eigenvector of (D - W) y = lambda D y with the second smallest eigenvalue; D holds W's row sums.

    Lanczos iterations (SciPy's `eigsh`) on the inverse of the normalised Laplacian. Its eigenvector of eigenvalue 0 is known
    and is shifted to eigenvalue 2. The inverse separates the small eigenvalues, which are close together if the graph is
    almost disconnected. The result has unit length under D; its sign is arbitrary.
    """
    root = np.sqrt(weights.sum(1))  # (patches,)
    if len(root) < 3:  # too small for Lanczos
        _, vectors = linalg.eigh(np.diag(root**2) - weights, np.diag(root**2))
        return vectors[:, min(1, len(root) - 1)]
    laplacian = -weights / root[:, None] / root
    laplacian[np.diag_indices_from(laplacian)] += 1
    known = root / np.linalg.norm(root)
    laplacian += 2 * np.outer(known, known)  # from eigenvalue 0 to 2, the upper bound of the spectrum
    factor = linalg.cho_factor(laplacian, lower=True, overwrite_a=True, check_finite=False)
    inverse = LinearOperator(
        weights.shape, matvec=lambda vector: linalg.cho_solve(factor, vector, check_finite=False), dtype=np.float64
    )
    start = np.random.default_rng(0).standard_normal(len(root))
    _, vectors = eigsh(inverse, k=1, which="LA", v0=start)
    return vectors[:, 0] / root


def _cut(method: str, features: PatchFeatures, unit: np.ndarray, threshold: float, rule: str) -> FoundObject:
    """One normalised cut.

    Args:
        method: Name of the calling method.
        features: Of one picture.
        unit: (patches, width) unit vectors of the features.
        threshold: Patches with a larger cosine similarity are joined.
        rule: "strongest", "border", or "corners": as "strongest", but never a side with three or more corners (MaskCut).
    """
    layout = features.layout
    graph, weights = affinity(unit, threshold)
    vector = second_eigenvector(weights)
    seed = int(np.abs(vector).argmax())
    side = vector > vector.mean()
    if not side[seed]:
        vector, side = -vector, ~side
    grid = layout.patches(side)
    if rule == "border":
        edge = np.ones(layout.grid, bool)
        edge[1:-1, 1:-1] = False
        wrong = grid[edge].mean() > 0.5
    else:
        wrong = rule == "corners" and grid[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 3
    if wrong and not side.all():
        vector, side = -vector, ~side
        seed = int(np.where(side, vector, -np.inf).argmax())
    side[seed] = True
    np.fill_diagonal(graph, False)
    mask = _connected(layout.patches(side), layout, seed)
    return _found(method, layout, unit, graph, graph.sum(1), vector, seed, side, unit @ unit[seed], mask)


def _connected(side: np.ndarray, layout: TokenLayout, seed: int) -> np.ndarray:
    """(rows, cols) boolean: the 4-connected part of a side that contains the seed."""
    parts, _ = ndimage.label(side)
    cell = layout.cell_of(seed + layout.num_prefix)
    return parts == parts[cell]


def _found(
    method: str,
    layout: TokenLayout,
    unit: np.ndarray,
    graph: np.ndarray,
    degree: np.ndarray,
    vector: np.ndarray | None,
    seed: int,
    chosen: np.ndarray,
    similarity: np.ndarray,
    mask: np.ndarray,
) -> FoundObject:
    cell = layout.cell_of(seed + layout.num_prefix)
    assert cell is not None
    return FoundObject(
        method=method,
        graph=graph,
        degree=layout.patches(degree.astype(np.float32)),
        eigenvector=None if vector is None else layout.patches(vector.astype(np.float32)),
        seed=cell,
        chosen=layout.patches(chosen),
        similarity=layout.patches(similarity.astype(np.float32)),
        mask=mask,
        box=box_of(mask, layout),
        score=contrast(unit, mask),
    )


def contrast(unit: np.ndarray, mask: np.ndarray) -> float:
    """Mean cosine similarity of pairs of different patches inside a mask minus that of pairs across its border.

    Args:
        unit: (patches, width) unit vectors.
        mask: (rows, cols) boolean.

    Returns:
        From -2 to 2; 0 if there are no pairs of one of the two kinds.
    """
    inside = mask.ravel()
    count, rest = int(inside.sum()), int((~inside).sum())
    if count < 2 or not rest:
        return 0.0
    within, without = unit[inside].sum(0), unit[~inside].sum(0)  # (width,) each
    own = float((unit[inside] ** 2).sum())  # each patch with itself
    return float((within @ within - own) / (count * (count - 1)) - within @ without / (count * rest))


def _unit(features: PatchFeatures, centred: bool) -> np.ndarray:
    """(patches, width) float64: unit vectors of the features, with the mean patch subtracted before if `centred`."""
    values = features.values.astype(np.float64)
    values = values - values.mean(0) if centred else values
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def _need_few(features: PatchFeatures) -> None:
    if len(features.values) > MOST_PATCHES:
        raise UnsupportedError(
            f"A graph of {len(features.values):,} patches would take too much memory; objects are looked for among at most "
            f"{MOST_PATCHES:,}. Choose a smaller input."
        )
