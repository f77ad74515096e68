"""Figures of patch features: similarity, principal components, clusters, and objects found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vitviz.analysis.features import (
    FeatureMaps,
    cluster_patches,
    principal_components,
    similar_patches,
)
from vitviz.analysis.localization import FoundObject
from vitviz.analysis.masks import pixel_mask, upsampled
from vitviz.draw import LIGHT, Theme, draw_heatmap
from vitviz.draw.objects import paint_boxes, paint_clusters, paint_colours, paint_mask
from vitviz.draw.sheet import beside
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, literal, made, snippet_framing
from vitviz.tokens import cell_name

_MAPS = "maps = vitviz.feature_maps(model, trace.input)"
Other = tuple[TracedImage, FeatureMaps]  # a further picture in the same model
_CALLS = {"LOST": "lost", "TokenCut": "token_cut", "MaskCut": "mask_cut"}


def _others(subject: TracedImage, others: Sequence[Other], facet: str, layer: int, *, shown: bool = False) -> list[str]:
    """Lines of Python that make a list of the features of all pictures, and with `shown` a list of the model's inputs."""
    lines = [_MAPS, f"features = maps.facet({facet!r}, {layer})", "pictures = [features]"]
    lines += ["shown = [trace.shown]"] if shown else []
    for other, _ in others:
        size = other.model.input_size
        model = "model" if size == subject.model.input_size else f"vitviz.resized(model, {literal(size)})"
        image, framing = f"vitviz.load_image({other.image_name!r})", snippet_framing(other.prepared)
        lines += [
            f"other = vitviz.trace({model}, {image}, framing={framing!r})",
            f"pictures.append(vitviz.feature_maps({model}, other.input).facet({facet!r}, {layer}))",
            *(["shown.append(other.shown)"] if shown else []),
        ]
    return lines


def _hashes(others: Sequence[Other]) -> dict[str, str]:
    return {"others": ", ".join(other.image_hash for other, _ in others)} if others else {}


def _together(pictures: Sequence[Image.Image]) -> Image.Image:
    """All pictures beside each other, scaled to the height of the first."""
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
    """Cosine similarity of one patch to every patch of its picture and of further pictures.

    Args:
        subject: The traced picture.
        maps: Its features.
        cell: (row, col) of the patch.
        facet: As `FeatureMaps.facet`.
        layer: Counted from 0; the last by default.
        theme: Colours and font size.
        width: Pixels of each picture.
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
            f"The most similar patch is row {row}, column {col}, at {rest.max():.2f}; the median is {np.median(rest):.2f}."
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
    """The first three principal components of the patches of all pictures as red, green and blue.

    Args:
        subject: The traced picture.
        maps: Its features.
        facet: As `FeatureMaps.facet`.
        layer: Counted from 0; the last by default.
        foreground: Leave out background patches, as `principal_components`.
        smooth: Interpolate between the patches' centres (bicubic) instead of one rectangle for each patch.
        width: Pixels of each picture.
        others: Further pictures.
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
            f"Three principal components of the patches' {facet}s in layer {features.layer} as red, green and blue; they "
            f"explain {found.explained.sum():.0%} of the variance of {kept} of {total} patches. Similar colours mean "
            "similar features; a colour alone has no meaning."
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
    along_edges: Sequence[np.ndarray] = (),
) -> Figure:
    """k-means clusters of the patches of all pictures as colours over the grey pictures. Raises as `cluster_patches`.

    Args:
        subject: The traced picture.
        maps: Its features.
        count: Number of clusters.
        facet: As `FeatureMaps.facet`.
        layer: Counted from 0; the last by default.
        others: Further pictures.
        along_edges: (height, width) int of every picture, its clusters by `refine_labels`: drawn in place of patches.
    """
    features = maps.facet(facet, layer)
    labels = cluster_patches([features, *(other.facet(facet, features.layer) for _, other in others)], count)
    sizes = np.bincount(np.concatenate([each.ravel() for each in labels]))
    shown = [subject.prepared.shown, *(of.prepared.shown for of, _ in others)]
    refined = "random walker" if along_edges else "none"
    return Figure(
        arrays=_numbered("clusters", labels) | _numbered("clusters_along_edges", along_edges),
        drawing=_together([paint_clusters(of, each) for of, each in zip(shown, along_edges or labels, strict=True)]),
        alt=(
            f"{len(sizes)} clusters of patches by their {facet}s in layer {features.layer}; the largest has {sizes[0]} of "
            f"{sizes.sum()} patches, the smallest {sizes[-1]}."
            f"{' Their borders follow the edges of the picture.' if along_edges else ''}"
        ),
        provenance=subject.provenance(
            "k-means over patches",
            layer=features.layer,
            parameters={"facet": facet, "k": count, "refinement": refined} | _hashes(others),
        ),
        snippet=subject.snippet(
            *_others(subject, others, facet, features.layer, shown=bool(along_edges)),
            f"found = vitviz.cluster_patches(pictures, {count})",
            *(["along_edges = list(map(vitviz.refine_labels, found, shown))"] if along_edges else []),
            "print(found)  # (rows, cols) of each picture",
        ),
    )


def _numbered(name: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Array names of a figure -> one array for each picture: "clusters", "clusters_2" and so on."""
    return {name if number == 1 else f"{name}_{number}": each for number, each in enumerate(arrays, 1)}


def objects_figure(
    subject: TracedImage,
    found: Sequence[FoundObject],
    facet: str,
    layer: int,
    width: int = 640,
    centred: bool = True,
    along_edges: Sequence[np.ndarray] = (),
) -> Figure:
    """Objects found in the features of one facet and layer: boxes with scores, and the picture dimmed outside all masks.

    Args:
        subject: The traced picture.
        found: Results of `lost`, `token_cut` (one each) or `mask_cut`.
        facet: Facet of their features.
        layer: Layer of their features.
        width: Pixels.
        centred: Whether the mean patch was subtracted.
        along_edges: (height, width) boolean of every object, its mask by `refine_mask`: drawn in place of patches.
    """
    shown = subject.prepared.shown
    scale = width / shown.width
    masks = along_edges or [pixel_mask(each.mask, (shown.height, shown.width)) for each in found]
    large = paint_mask(shown, np.any(masks, axis=0)).resize(
        (width, round(shown.height * scale)), Image.Resampling.LANCZOS
    )
    boxes = [(each.box.left, each.box.top, each.box.right, each.box.bottom) for each in found]
    scaled = [tuple(side * scale for side in box) for box in boxes]
    names = [f"{index + 1}: {each.score:.2f}" for index, each in enumerate(found)]
    method = found[0].method
    places = "; ".join(
        f"box {index + 1} from {box[0]}, {box[1]} to {box[2]}, {box[3]} pixels, score {each.score:.2f}"
        for index, (box, each) in enumerate(zip(boxes, found, strict=True))
    )
    return Figure(
        arrays={
            "boxes": np.array(boxes),
            "scores": np.array([each.score for each in found]),
            "masks": np.stack([each.mask for each in found]),
        }
        | ({"masks_along_edges": np.stack(along_edges)} if along_edges else {}),
        drawing=paint_boxes(large, scaled, names),  # type: ignore[arg-type]
        alt=f"Found by {method} in the {facet}s of layer {layer}, without a trained head: {places}.",
        provenance=subject.provenance(
            method,
            layer=layer,
            parameters={
                "facet": facet,
                "objects": len(found),
                "centred": centred,
                "refinement": "random walker" if along_edges else "none",
            },
        ),
        snippet=subject.snippet(
            _MAPS,
            f"features = maps.facet({facet!r}, {layer})",
            *_finding(found, centred, bool(along_edges)),
        ),
    )


def _finding(found: Sequence[FoundObject], centred: bool, along_edges: bool) -> list[str]:
    """Lines of Python that find the objects in `features`, and with `along_edges` refine their masks."""
    several = found[0].method == "MaskCut"
    given = ["features", *([str(len(found))] if several else []), *([] if centred else ["centred=False"])]
    edges = f"masks = [vitviz.refine_mask(one.mask, trace.shown) for one in {'found' if several else '[found]'}]"
    return [
        f"found = vitviz.{_CALLS[found[0].method]}({', '.join(given)})",
        *([edges] if along_edges else []),
        f"print({'[(one.box, one.score) for one in found]' if several else 'found.box, found.score'})",
    ]
