"""Masks and values of patches as those of pixels, and masks exported in COCO's format.

Refinement: random walker (Grady 2006), by scikit-image. COCO's format: Lin et al. 2014 (arXiv 1405.0312).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from vitviz.analysis.localization import Box
from vitviz.errors import need_package

Region = tuple[float, float, float, float]
# Penalty of the random walker for differences of colour: scikit-image's default of beta.
STIFFNESS = 130.0


def pixel_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(rows, cols) boolean -> (height, width) boolean: each patch one rectangle. The size is a multiple of the grid."""
    rows, cols = mask.shape
    if size[0] % rows or size[1] % cols:
        raise ValueError(f"a grid of {rows}x{cols} does not cut {size[0]}x{size[1]} pixels into equal patches")
    return np.kron(mask, np.ones((size[0] // rows, size[1] // cols), bool)).astype(bool)


def upsampled(values: np.ndarray, size: tuple[int, int], method: str = "bicubic") -> np.ndarray:
    """(rows, cols, channels) -> (height, width, channels) float32: interpolation between the patches' centres.

    The picture is not used: edges in the result come from the interpolation, not from the model.

    Args:
        values: (rows, cols, channels); NaN counts as 0.
        size: (height, width) in pixels.
        method: "nearest" (each patch one rectangle), "bilinear", or "bicubic" (Keys 1981, a = -0.75, as PyTorch), which
            may overshoot.

    Raises:
        ValueError: For another method.
    """
    methods = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}
    if method not in methods:
        raise ValueError(f"a method is one of {', '.join(methods)}, not {method!r}")
    channels = torch.from_numpy(np.nan_to_num(values.astype(np.float32))).permute(2, 0, 1)  # (channels, rows, cols)
    large = nn.functional.interpolate(channels[None], size=size, mode=methods[method])
    return np.ascontiguousarray(large[0].permute(1, 2, 0).numpy())  # (height, width, channels)


def refine_mask(mask: np.ndarray, picture: np.ndarray, stiffness: float = STIFFNESS) -> np.ndarray:
    """A mask of patches refined along the edges of the picture; `refine_labels` with two groups.

    Args:
        mask: (rows, cols) boolean, the object on the grid of patches.
        picture: (height, width, 3) uint8, the model input before normalisation.
        stiffness: scikit-image's beta: with a larger value the walker crosses an edge less often.

    Returns:
        (height, width) boolean.

    Raises:
        ValueError: For a picture whose size is not a multiple of the grid.
        MissingPackageError: Without scikit-image.

    Source: Grady 2006, "Random walks for image segmentation" (doi 10.1109/TPAMI.2006.233), section III.
    """
    return refine_labels(mask.astype(int), picture, stiffness) == 1


def refine_labels(labels: np.ndarray, picture: np.ndarray, stiffness: float = STIFFNESS) -> np.ndarray:
    """Groups of patches refined along the edges of the picture.

    Seeds are the patches whose neighbours all belong to the same group; for a group without one, the middles of its
    patches. Every other pixel gets the group whose seeds a random walker, which seldom crosses edges of colour, is most
    likely to reach first.

    Args:
        labels: (rows, cols) int, the group of each patch.
        picture: As `refine_mask`.
        stiffness: As `refine_mask`.

    Returns:
        (height, width) int, the group of each pixel.

    Raises:
        ValueError: As `refine_mask`.
        MissingPackageError: Without scikit-image.

    Source: As `refine_mask`.
    """
    need_package("skimage", "masks", "Refining a mask")
    from skimage.segmentation import random_walker  # imported here because the import takes long

    size = picture.shape[0], picture.shape[1]
    groups = np.unique(labels)
    if len(groups) < 2:
        return np.full(size, groups[0])
    seeds = np.zeros(size, np.int32)  # 0 for pixels to be assigned; groups are counted from 1
    for number, group in enumerate(groups, 1):
        side = labels == group
        inner = ndimage.binary_erosion(side, np.ones((3, 3), bool), border_value=1)
        seeds[pixel_mask(inner, size) if inner.any() else _middles(side, size)] = number
    found = random_walker(
        picture.astype(np.float64) / 255, seeds, beta=stiffness, mode="cg_j", tol=1e-5, channel_axis=-1
    )
    return groups[np.asarray(found) - 1]


def _middles(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(height, width) boolean: the middle half of each side of each patch of the mask, one pixel at least."""
    height, width = size[0] // mask.shape[0], size[1] // mask.shape[1]
    middle = np.zeros((height, width), bool)
    middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return np.kron(mask, middle).astype(bool)


def otsu_mask(values: np.ndarray) -> np.ndarray:
    """(rows, cols) boolean: values above Otsu's threshold (Otsu 1979, by scikit-image). Constant values give an empty mask.

    Raises:
        MissingPackageError: Without scikit-image.
    """
    need_package("skimage", "masks", "Otsu's threshold")
    from skimage.filters import threshold_otsu

    return np.zeros(values.shape, bool) if np.ptp(values) == 0 else values > threshold_otsu(values)


def in_photograph(mask: np.ndarray, region: Region, size: tuple[int, int]) -> np.ndarray:
    """A mask of the model's input as a mask of the photograph: (height, width) boolean, False outside the input's crop.

    Args:
        mask: (input height, input width) boolean.
        region: (left, top, right, bottom) of the input in the photograph's pixels: `Prepared.box`.
        size: (height, width) of the photograph.
    """
    left, top, right, bottom = region
    rows = (
        (np.arange(size[0]) + 0.5 - top) / (bottom - top) * mask.shape[0]
    )  # where each pixel's centre lies in the input
    cols = (np.arange(size[1]) + 0.5 - left) / (right - left) * mask.shape[1]
    inside_rows, inside_cols = (rows >= 0) & (rows < mask.shape[0]), (cols >= 0) & (cols < mask.shape[1])
    large = np.zeros(size, bool)
    picked = mask[rows[inside_rows].astype(int)[:, None], cols[inside_cols].astype(int)[None, :]]
    large[np.ix_(inside_rows, inside_cols)] = picked
    return large


def box_in_photograph(box: Box, region: Region, input_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in the photograph's pixels of a box in the model's input (height, width)."""
    left, top, right, bottom = region
    across, down = (right - left) / input_size[1], (bottom - top) / input_size[0]
    return left + box.left * across, top + box.top * down, left + box.right * across, top + box.bottom * down


@dataclass(frozen=True, eq=False)
class Annotation:
    """One object of one photograph, in its pixels.

    Attributes:
        image: The photograph's file name.
        box: (left, top, right, bottom).
        mask: (height, width) boolean, or None for a box alone.
        category: The object's class; "object" where it is not known.
        score: Score of the method, or None.
    """

    image: str
    box: tuple[float, float, float, float]
    mask: np.ndarray | None = None
    category: str = "object"
    score: float | None = None


def coco(sizes: Mapping[str, tuple[int, int]], annotations: Sequence[Annotation]) -> dict[str, Any]:
    """Annotations in COCO's format, as a dictionary for JSON; masks as uncompressed run lengths, which pycocotools reads.

    Args:
        sizes: File name -> (height, width) of each photograph.
        annotations: The objects; ids count from 1 in their order.

    Returns:
        "images", "annotations" and "categories"; boxes are [left, top, width, height] in pixels.

    Raises:
        ValueError: For an annotation of a photograph without a size, or a mask of another size.

    Source: Lin et al. 2014, "Microsoft COCO" (arXiv 1405.0312).
    """
    images = {name: index + 1 for index, name in enumerate(sizes)}
    categories = {name: index + 1 for index, name in enumerate(dict.fromkeys(each.category for each in annotations))}
    rows: list[dict[str, Any]] = []
    for index, each in enumerate(annotations):
        if each.image not in sizes:
            raise ValueError(f"an annotation is of {each.image!r}, whose size is not given")
        if each.mask is not None and each.mask.shape != tuple(sizes[each.image]):
            raise ValueError(f"a mask of {each.mask.shape} does not fit {each.image!r}, which is {sizes[each.image]}")
        left, top, right, bottom = (round(float(side), 2) for side in each.box)
        row: dict[str, Any] = {
            "id": index + 1,
            "image_id": images[each.image],
            "category_id": categories[each.category],
            "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
            "area": float((right - left) * (bottom - top)) if each.mask is None else int(each.mask.sum()),
            "iscrowd": 0,
        }
        if each.mask is not None:
            row["segmentation"] = {"size": list(each.mask.shape), "counts": run_lengths(each.mask)}
        if each.score is not None:
            row["score"] = round(float(each.score), 6)
        rows.append(row)
    return {
        "images": [
            {"id": number, "file_name": name, "height": sizes[name][0], "width": sizes[name][1]}
            for name, number in images.items()
        ],
        "annotations": rows,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of alternating runs of False and True, False first, in column-major order as in COCO."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else runs
