"""The images of a folder, in an order that is the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitviz.errors import ImageError

# What is tried; content decides in the end, and a file that is no image is left out and counted.
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif"}


def image_paths(folder: Path, limit: int | None = None, seed: int | None = None) -> list[Path]:
    """Images in `folder` and below, sorted by name, or in an order drawn by `seed`; the first `limit` of them.

    Raises ImageError where there is no folder or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; give the folder that holds the images.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ImageError(f"There is no image in {folder}.")
    if seed is not None:
        paths = [paths[index] for index in np.random.default_rng(seed).permutation(len(paths))]
    return paths[:limit]


def image_name(path: Path, folder: Path | None = None) -> str:
    """What an image is called in results: its path relative to `folder`, with "/" between the parts."""
    return (path if folder is None else path.relative_to(folder)).as_posix()
