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
from vitviz.draw.sheet import beside
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, literal, made, snippet_framing
from vitviz.tokens import cell_name

_MAPS = "maps = vitviz.feature_maps(model, trace.input)"
Other = tuple[TracedImage, FeatureMaps]  # a further picture in the same model
_CALLS = {"LOST": "lost", "TokenCut": "token_cut", "MaskCut": "mask_cut"}


def _others(subject: TracedImage, others: Sequence[Other], facet: str, layer: int) -> list[str]:
    """Lines of Python that put the features of all pictures into a list."""
    lines = [_MAPS, f"features = maps.facet({facet!r}, {layer})", "pictures = [features]"]
    for other, _ in others:
        size = other.model.input_size
        model = "model" if size == subject.model.input_size else f"vitviz.resized(model, {literal(size)})"
        image, framing = f"vitviz.load_image({other.image_name!r})", snippet_framing(other.prepared)
        lines += [
            f"other = vitviz.trace({model}, {image}, framing={framing!r})",
            f"pictures.append(vitviz.feature_maps({model}, other.input).facet({facet!r}, {layer}))",
        ]
    return lines


def _hashes(others: Sequence[Other]) -> dict[str, str]:
    return {"others": ", ".join(other.image_hash for other, _ in others)} if others else {}


def _together(pictures: Sequence[Image.Image]) -> Image.Image:
    """All of them beside each other, as high as the first."""
    height = pictures[0].height
    same = [each.resize((max(1, round(each.width * height / each.height)), height)) for each in pictures]
    return beside(same, LIGHT) if len(same) > 1 else pictures[0]


def similarity_figure(
    subject: TracedImage,
    maps: FeatureMaps,
    cell: tuple[int, int],
    facet: str = "key",
    layer: int | None = None,
    theme: Theme = LIGHT,
    width: int = 640,
    others: Sequence[Other] = (),
) -> Figure:
    """How alike every patch of the picture, and of `others`, is to one of it.

    Args:
        subject: The picture.
        maps: Its features.
        cell: (row, col) of the patch.
        facet: As `FeatureMaps.facet`.
        layer: The last by default.
        others: Further pictures; each map has its own scale.

    Raises:
        UnsupportedError: As `FeatureMaps.facet`.
    """
    features = maps.facet(facet, layer)
    heatmap = similar_patches(features, cell)
    beyond = [similar_patches(features, cell, other.facet(facet, features.layer)) for _, other in others]
    drawn = [draw_heatmap(heatmap, image=subject.prepared.shown, query=cell, theme=theme, width=width)]
    drawn += [
        draw_heatmap(other, image=of.prepared.shown, theme=theme, width=width)
        for other, (of, _) in zip(beyond, others, strict=True)
    ]
    rest = np.delete(heatmap.values.ravel(), cell[0] * heatmap.grid[1] + cell[1])
    best = int(rest.argmax())
    row, col = divmod(best + (best >= cell[0] * heatmap.grid[1] + cell[1]), heatmap.grid[1])
    return Figure(
        arrays={"similarity": heatmap.values} | {f"similarity_{n}": each.values for n, each in enumerate(beyond, 2)},
        drawing=beside(drawn, theme) if others else drawn[0],
        alt=(
            f"Cosine similarity of every patch's {facet} in layer {features.layer} with that of row {cell[0]}, column "
            f"{cell[1]}. "
            f"The most alike is row {row}, column {col}, at {rest.max():.2f}; the median is {np.median(rest):.2f}."
        ),
        provenance=subject.provenance(
            "patch similarity",
            layer=features.layer,
            query=cell_name(*cell),
            parameters={"facet": facet} | _hashes(others),
        ),
        snippet=subject.snippet(
            *_others(subject, others, facet, features.layer),
            f"found = [vitviz.similar_patches(features, {literal(cell)}, each).values for each in pictures]",
            "print(found)  # (rows, cols) of each picture",
        ),
    )


def components_figure(
    subject: TracedImage,
    maps: FeatureMaps,
    facet: str = "token",
    layer: int | None = None,
    foreground: bool = False,
    smooth: bool = False,
    width: int = 640,
    others: Sequence[Other] = (),
) -> Figure:
    """The first three principal components of the patches as red, green and blue, jointly with those of `others`.

    Args:
        foreground: Leave out patches whose first component says background, as Oquab et al. 2023 do.
        smooth: Interpolate between the patches' centres (bicubic) in place of one rectangle a patch.
    """
    features = maps.facet(facet, layer)
    found = principal_components(
        [features, *(other.facet(facet, features.layer) for _, other in others)], 3, foreground
    )
    drawn = []
    for of, colours in zip((subject, *(other for other, _ in others)), found.colours(), strict=True):
        height = round(width * of.prepared.shown.height / of.prepared.shown.width)
        drawn.append(paint_colours(upsampled(colours, (height, width)) if smooth else colours, width, height))
    kept, total = (
        sum(int(part) for part in parts) for parts in zip(*((f.sum(), f.size) for f in found.foreground), strict=True)
    )
    return Figure(
        arrays={"components": found.values[0], "explained": found.explained, "foreground": found.foreground[0]}
        | {f"components_{number}": values for number, values in enumerate(found.values[1:], 2)},
        drawing=_together(drawn),
        alt=(
            f"Three principal components of the patches' {facet}s in layer {features.layer} as red, green and blue; they hold "
            f"{found.explained.sum():.0%} of the variance of {kept} of {total} patches. Like colours mean "
            "like features; a colour has no meaning of its own."
        ),
        provenance=subject.provenance(
            "principal components of patches",
            layer=features.layer,
            parameters={"facet": facet, "foreground": foreground, "upsampling": "bicubic" if smooth else "nearest"}
            | _hashes(others),
        ),
        snippet=subject.snippet(
            *_others(subject, others, facet, features.layer),
            "found = " + made("vitviz.principal_components", "pictures", foreground=foreground),
            "print(found.explained, found.colours())  # (3,), (rows, cols, 3) of each picture",
        ),
    )


def clusters_figure(
    subject: TracedImage,
    maps: FeatureMaps,
    count: int,
    facet: str = "key",
    layer: int | None = None,
    others: Sequence[Other] = (),
) -> Figure:
    """k-means over the patches of all pictures, each cluster in a colour over the grey picture. Raises as `cluster_patches`."""
    features = maps.facet(facet, layer)
    labels = cluster_patches([features, *(other.facet(facet, features.layer) for _, other in others)], count)
    sizes = np.bincount(np.concatenate([each.ravel() for each in labels]))
    shown = [subject.prepared.shown, *(of.prepared.shown for of, _ in others)]
    return Figure(
        arrays={"clusters": labels[0]} | {f"clusters_{number}": each for number, each in enumerate(labels[1:], 2)},
        drawing=_together([paint_clusters(of, each) for of, each in zip(shown, labels, strict=True)]),
        alt=(
            f"{len(sizes)} clusters of patches by their {facet}s in layer {features.layer}; the largest has {sizes[0]} of "
            f"{sizes.sum()} patches, the smallest {sizes[-1]}."
        ),
        provenance=subject.provenance(
            "k-means over patches", layer=features.layer, parameters={"facet": facet, "k": count} | _hashes(others)
        ),
        snippet=subject.snippet(
            *_others(subject, others, facet, features.layer),
            f"found = vitviz.cluster_patches(pictures, {count})",
            "print(found)  # (rows, cols) of each picture",
        ),
    )


def objects_figure(
    subject: TracedImage, found: Sequence[FoundObject], facet: str, layer: int, width: int = 640, centred: bool = True
) -> Figure:
    """Objects found in the features of one facet and layer: their boxes with scores, and what lies outside all masks dimmed.

    Args:
        found: What `lost`, `token_cut` (one each) or `mask_cut` gave.
        facet, layer, centred: What it was given.
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
    given = ["features", *([str(len(found))] if method == "MaskCut" else []), *([] if centred else ["centred=False"])]
    call = f"vitviz.{_CALLS[method]}({', '.join(given)})"
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
        provenance=subject.provenance(
            method, layer=layer, parameters={"facet": facet, "objects": len(found), "centred": centred}
        ),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {layer})",
            f"found = {call}",
            f"print({'[(one.box, one.score) for one in found]' if method == 'MaskCut' else 'found.box, found.score'})",
        ),
    )
