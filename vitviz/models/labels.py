"""Class labels in plain words."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import PretrainedCfg


def imagenet_labels(cfg: PretrainedCfg) -> tuple[str, ...] | None:
    """Labels of a classifier pretrained on a subset of ImageNet that timm lists, or None for any other.

    timm has no field for the data set, so the subset follows from the number of classes, as in timm's own inference
    script.
    """
    subset = infer_imagenet_subset({"num_classes": cfg.num_classes})
    return None if subset is None else _subset_labels(subset)


@lru_cache(maxsize=4)
def _subset_labels(subset: str) -> tuple[str, ...]:
    full = ImageNetInfo(subset).label_descriptions()
    first = [names.split(",")[0] for names in full]  # "sports car, sport car": one of several names is enough
    uses = Counter(first)
    # "crane" is a bird and a machine: where two classes share their first name, all names are shown
    return tuple(names if uses[label] > 1 else label for label, names in zip(first, full, strict=True))


def read_labels(path: Path) -> tuple[str, ...]:
    """One class a line; with a tab, the data set's own name comes before it and the plain-word label after it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[-1].strip() for line in lines if line.strip())
