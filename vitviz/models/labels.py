"""Class labels in plain words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import Path

from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import PretrainedCfg

from vitviz.errors import ModelError

_MAX_BYTES, _MAX_LENGTH = 8 << 20, 300
# Characters that turn the reading direction of whatever follows them, beyond the end of the label.
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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
    """One class a line; with a tab, the data set's own name comes before it and the plain-word label after it.

    Raises ModelError for a file that is too large or not in UTF-8.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ModelError(f"{path.name} is larger than {_MAX_BYTES >> 20} MB, so it is no list of labels.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path.name} is not text in UTF-8 (byte {error.start} does not fit); save the labels in UTF-8."
        ) from error
    return tuple(one_line(line.split("\t")[-1]) for line in lines if line.strip())


def one_line(label: str) -> str:
    """A label as one line of printable text: no control characters, no lone surrogates, no change of the reading direction,
    at most 300 characters. Markup stays as it is; whoever shows it escapes it.
    """
    words = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char
        for char in label
        if char not in _DIRECTION
    ).split()
    text = " ".join(words)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
