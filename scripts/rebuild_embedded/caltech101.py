"""Caltech-101 as the embedded models were shown it: its classes in order, and which images were held out.

The folder 101_ObjectCategories has one folder a class; BACKGROUND_Google is left out. Of each class a fifth is held out, at
least 6 and at most 20 images, drawn with a fixed seed from the images sorted by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Images:
    """paths (images,) sorted by class and name; labels (images,) class indices; held_out (images,) bool; classes, in order."""

    paths: tuple[Path, ...]
    labels: np.ndarray
    held_out: np.ndarray
    classes: tuple[str, ...]


def find_images(folder: Path, rng: np.random.Generator) -> Images:
    """`rng` has to be fresh from seed 0 for the split of the embedded models; it is used on for the order of training."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "BACKGROUND_Google")
    found = [sorted((folder / name).glob("*.jpg")) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in found])
    return Images(tuple(path for paths in found for path in paths), labels, hold_out(labels, rng), tuple(classes))


def hold_out(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(images,) bool: which are never trained on."""
    held_out = np.zeros(len(labels), bool)
    for label in range(labels.max() + 1):
        drawn = rng.permutation(np.where(labels == label)[0])
        held_out[drawn[: max(6, min(20, len(drawn) // 5))]] = True
    return held_out


def one_epoch(images: Images, cap: int, rng: np.random.Generator) -> np.ndarray:
    """Training images in random order, at most `cap` of each class."""
    drawn = []
    for label in range(len(images.classes)):
        mine = np.where((images.labels == label) & ~images.held_out)[0]
        drawn.extend(rng.permutation(mine)[:cap])
    return rng.permutation(drawn)
