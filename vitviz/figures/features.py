"""Patch features as figures: likeness, principal components, clusters, and objects found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vitviz.analysis.features import (
    FeatureMaps,
    cluster_patches,
    principal_components,
    similar_patches,
    upsampled,
)
from vitviz.analysis.localization import FoundObject
from vitviz.analysis.masks import pixel_mask
from vitviz.draw import LIGHT, Theme, draw_heatmap
from vitviz.draw.objects import paint_boxes, paint_clusters, paint_colours, paint_mask
from vitviz.figure import Figure
from vitviz.figures.subject import Subject, literal, made
from vitviz.tokens import cell_name

_MAPS = "maps = vitviz.feature_maps(model, trace.input)"
_CALLS = {"LOST": "lost", "TokenCut": "token_cut", "MaskCut": "mask_cut"}


def similarity_figure(
    subject: Subject,
    maps: FeatureMaps,
    cell: tuple[int, int],
    facet: str = "key",
    layer: int | None = None,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """How alike every patch of the picture is to one of them.

    Args:
        subject: The picture.
        maps: Its features.
        cell: (row, col) of the patch.
        facet: As `FeatureMaps.facet`.
        layer: The last by default.

    Raises:
        UnsupportedError: As `FeatureMaps.facet`.
    """
    features = maps.facet(facet, layer)
    heatmap = similar_patches(features, cell)
    others = np.delete(heatmap.values.ravel(), cell[0] * heatmap.grid[1] + cell[1])
    best = int(others.argmax())
    row, col = divmod(best + (best >= cell[0] * heatmap.grid[1] + cell[1]), heatmap.grid[1])
    return Figure(
        arrays={"similarity": heatmap.values},
        drawing=draw_heatmap(heatmap, image=subject.prepared.shown, query=cell, theme=theme, width=width),
        alt=(
            f"Cosine similarity of every patch's {facet} in layer {features.layer} with that of row {cell[0]}, column "
            f"{cell[1]}. "
            f"The most alike is row {row}, column {col}, at {others.max():.2f}; the median is {np.median(others):.2f}."
        ),
        provenance=subject.provenance(
            "patch similarity", layer=features.layer, query=cell_name(*cell), parameters={"facet": facet}
        ),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {features.layer})",
            f"print(vitviz.similar_patches(features, {literal(cell)}).values)  # (rows, cols)",
        ),
    )


def components_figure(
    subject: Subject,
    maps: FeatureMaps,
    facet: str = "token",
    layer: int | None = None,
    foreground: bool = False,
    smooth: bool = False,
    width: int = 640,
) -> Figure:
    """The first three principal components of the patches as red, green and blue.

    Args:
        foreground: Leave out patches whose first component says background, as Oquab et al. 2023 do.
        smooth: Interpolate between the patches' centres (bicubic) in place of one rectangle a patch.
    """
    features = maps.facet(facet, layer)
    found = principal_components([features], 3, foreground)
    (colours,) = found.colours()
    height = round(width * subject.prepared.shown.height / subject.prepared.shown.width)
    painted = upsampled(colours, (height, width)) if smooth else colours
    kept = int(found.foreground[0].sum())
    return Figure(
        arrays={"components": found.values[0], "explained": found.explained, "foreground": found.foreground[0]},
        drawing=paint_colours(painted, width, height),
        alt=(
            f"Three principal components of the patches' {facet}s in layer {features.layer} as red, green and blue; they hold "
            f"{found.explained.sum():.0%} of the variance of {kept} of {found.foreground[0].size} patches. Like colours mean "
            "like features; a colour has no meaning of its own."
        ),
        provenance=subject.provenance(
            "principal components of patches",
            layer=features.layer,
            parameters={"facet": facet, "foreground": foreground, "upsampling": "bicubic" if smooth else "nearest"},
        ),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {features.layer})",
            "found = " + made("vitviz.principal_components", "[features]", foreground=foreground),
            "print(found.explained, found.colours()[0])  # (3,), (rows, cols, 3)",
        ),
    )


def clusters_figure(
    subject: Subject, maps: FeatureMaps, count: int, facet: str = "key", layer: int | None = None
) -> Figure:
    """k-means over the patches, each cluster in a colour over the grey picture. Raises as `cluster_patches`."""
    features = maps.facet(facet, layer)
    (labels,) = cluster_patches([features], count)
    sizes = np.bincount(labels.ravel())
    return Figure(
        arrays={"clusters": labels},
        drawing=paint_clusters(subject.prepared.shown, labels),
        alt=(
            f"{len(sizes)} clusters of patches by their {facet}s in layer {features.layer}; the largest has {sizes[0]} of "
            f"{labels.size} patches, the smallest {sizes[-1]}."
        ),
        provenance=subject.provenance(
            "k-means over patches", layer=features.layer, parameters={"facet": facet, "k": count}
        ),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {features.layer})",
            f"print(vitviz.cluster_patches([features], {count})[0])  # (rows, cols)",
        ),
    )


def objects_figure(subject: Subject, found: Sequence[FoundObject], facet: str, layer: int, width: int = 640) -> Figure:
    """Objects found in the features of one facet and layer: their boxes with scores, and what lies outside all masks dimmed.

    Args:
        found: What `lost`, `token_cut` (one each) or `mask_cut` gave.
        facet, layer: What it was given.
    """
    shown = subject.prepared.shown
    scale = width / shown.width
    together = np.any([each.mask for each in found], axis=0)  # (rows, cols)
    large = paint_mask(shown, pixel_mask(together, (shown.height, shown.width))).resize(
        (width, round(shown.height * scale)), Image.Resampling.LANCZOS
    )
    boxes = [(each.box.left, each.box.top, each.box.right, each.box.bottom) for each in found]
    scaled = [tuple(side * scale for side in box) for box in boxes]
    names = [f"{index + 1}: {each.score:.2f}" for index, each in enumerate(found)]
    method = found[0].method
    call = f"vitviz.{_CALLS[method]}(features{f', {len(found)}' if method == 'MaskCut' else ''})"
    places = "; ".join(
        f"box {index + 1} from {box[0]}, {box[1]} to {box[2]}, {box[3]} pixels, score {each.score:.2f}"
        for index, (box, each) in enumerate(zip(boxes, found, strict=True))
    )
    return Figure(
        arrays={
            "boxes": np.array(boxes),
            "scores": np.array([each.score for each in found]),
            "masks": np.stack([each.mask for each in found]),
        },
        drawing=paint_boxes(large, scaled, names),  # type: ignore[arg-type]
        alt=f"Found by {method} in the {facet}s of layer {layer}, without a trained head: {places}.",
        provenance=subject.provenance(method, layer=layer, parameters={"facet": facet, "objects": len(found)}),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {layer})",
            f"found = {call}",
            f"print({'[(one.box, one.score) for one in found]' if method == 'MaskCut' else 'found.box, found.score'})",
        ),
    )
