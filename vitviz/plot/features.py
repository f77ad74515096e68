"""Figures of the vectors of patches in one layer: similarity, components, clusters, and objects found in them."""

from __future__ import annotations

from typing import Unpack

from vitviz.analysis.features import FeatureMaps, feature_maps
from vitviz.analysis.localization import FoundObject, lost, mask_cut, token_cut
from vitviz.capture.trace import Trace
from vitviz.figure import Figure
from vitviz.figures import features
from vitviz.figures.style import ComponentsStyle, FigureStyle, ObjectsStyle
from vitviz.figures.traced_image import TracedImage, subject_of


def similarity(
    trace: Trace, row: int, col: int, facet: str = "key", layer: int | None = None, **style: Unpack[FigureStyle]
) -> Figure:
    """Cosine similarity of one patch to every other, as a map.

    Args:
        trace: Of `vitviz.trace`.
        row: Of the patch.
        col: Of the patch.
        facet: "key", "query", "value" or "token": which vectors.
        layer: Counted from 0; the last by default.
        **style: See `FigureStyle`.

    Returns:
        Figure with `similarity` (rows, cols), from -1 to 1.

    Raises:
        UnsupportedError: If the model has no such vectors.
    """
    about = subject_of(trace)
    return features.similarity_figure(about, _maps(about), (row, col), facet, layer, **style)


def components(
    trace: Trace, facet: str = "token", layer: int | None = None, **style: Unpack[ComponentsStyle]
) -> Figure:
    """The first three principal components of the patches as red, green and blue.

    Args:
        trace: Of `vitviz.trace`.
        facet: "key", "query", "value" or "token": which vectors.
        layer: Counted from 0; the last by default.
        **style: See `ComponentsStyle`.

    Returns:
        Figure with `components` (rows, cols, 3), `explained` (3,), shares of the variance, and `foreground` (rows, cols).

    Raises:
        UnsupportedError: If the model has no such vectors.

    Source: Oquab et al. 2023, "DINOv2" (arXiv 2304.07193), figure 1.
    """
    about = subject_of(trace)
    return features.components_figure(about, _maps(about), facet, layer, **style)


def clusters(trace: Trace, count: int = 4, facet: str = "key", layer: int | None = None) -> Figure:
    """k-means clusters of the patches as colours over the grey photograph.

    Args:
        trace: Of `vitviz.trace`.
        count: How many clusters.
        facet: "key", "query", "value" or "token": which vectors.
        layer: Counted from 0; the last by default.

    Returns:
        Figure with `clusters` (rows, cols) int.

    Raises:
        UnsupportedError: If the model has no such vectors.
    """
    about = subject_of(trace)
    return features.clusters_figure(about, _maps(about), count, facet, layer)


def objects(
    trace: Trace,
    method: str = "token_cut",
    facet: str = "key",
    layer: int | None = None,
    count: int = 3,
    **style: Unpack[ObjectsStyle],
) -> Figure:
    """Objects found without a trained head: boxes with scores, and the photograph dimmed outside all masks.

    Args:
        trace: Of `vitviz.trace`.
        method: "lost", "token_cut" or "mask_cut".
        facet: "key", "query", "value" or "token": which vectors.
        layer: Counted from 0; the last by default.
        count: The most objects that "mask_cut" finds; the others find one.
        **style: See `ObjectsStyle`.

    Returns:
        Figure with `boxes` (objects, 4) in input pixels, `scores` (objects,) and `masks` (objects, rows, cols).

    Raises:
        ValueError: For another method.
        UnsupportedError: If the model has no such vectors, and for too many patches.
    """
    if method not in ("lost", "token_cut", "mask_cut"):
        raise ValueError(f'method is "lost", "token_cut" or "mask_cut", not {method!r}')
    about, centred = subject_of(trace), style.get("centred", True)
    vectors = _maps(about).facet(facet, layer)
    found: tuple[FoundObject, ...]
    if method == "mask_cut":
        found = mask_cut(vectors, count, centred=centred)
    else:
        found = (lost(vectors, centred=centred) if method == "lost" else token_cut(vectors, centred=centred),)
    return features.objects_figure(about, found, facet, vectors.layer, **style)


def _maps(about: TracedImage) -> FeatureMaps:
    return feature_maps(about.model, about.trace.input)
