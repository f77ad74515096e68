"""What a model's outputs are: classes, labels, plain numbers or features, and how a number is read from a logit.

The one place that decides it. The words are those of `problem_type` in configurations of transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

# Projection widths of image and text towers (CLIP, EVA-CLIP, MobileCLIP, ViTamin, PE) are whole multiples of this; no label
# set that a name of timm's registry was trained on has such a number of classes (tested over the whole registry).
_WIDTH_STEP = 64


class OutputKind(StrEnum):
    """What the outputs (outputs,) of a model are.

    Attributes:
        CLASSES: one of them is right: probabilities are the softmax over all outputs
        LABELS: each may be right or not: probabilities are the sigmoid of each output; also a single output
        NUMBERS: plain numbers whose unit is unknown (regression)
        FEATURES: a vector that names nothing: the model has no classifier
    """

    CLASSES = "single_label_classification"
    LABELS = "multi_label_classification"
    NUMBERS = "regression"
    FEATURES = "features"

    @property
    def is_probability(self) -> bool:
        """Whether `read` gives probabilities."""
        return self in (OutputKind.CLASSES, OutputKind.LABELS)

    @property
    def noun(self) -> str:
        """What one output is called: "class", "label", "output" or "feature"."""
        return {"CLASSES": "class", "LABELS": "label", "NUMBERS": "output", "FEATURES": "feature"}[self.name]

    @property
    def nouns(self) -> str:
        """What several are called: "classes", "labels", ..."""
        return "classes" if self is OutputKind.CLASSES else f"{self.noun}s"

    @property
    def quantity(self) -> str:
        """What `read` gives, for the axis of a chart."""
        return "probability" if self.is_probability else "the model's output"

    def read(self, logits: Any) -> Any:
        """(..., outputs) float, of a tensor (..., outputs): probabilities of classes or labels; other outputs as they are."""
        if self is OutputKind.CLASSES:
            return logits.float().softmax(-1)
        return logits.float().sigmoid() if self is OutputKind.LABELS else logits.float()

    def text(self, value: float, digits: int = 1) -> str:
        """One value that `read` gave, for people: "92.0%", or "3.25" where it is no probability."""
        return f"{value:.{digits}%}" if self.is_probability else f"{value:.3g}"


# Scores of logits (..., classes) that are larger for pictures of the classes than for others; which one separates them best is
# measured for each model.
DOUBT_SCORES: dict[str, Callable[[Any], Any]] = {
    "largest probability": lambda logits: logits.softmax(-1).amax(-1),  # Hendrycks and Gimpel 2017, arXiv 1610.02136
    "largest logit": lambda logits: logits.amax(-1),  # Hendrycks et al. 2022, arXiv 1911.11132
    "log of the sum of exponentials": lambda logits: logits.logsumexp(-1),  # energy, Liu et al. 2020, arXiv 2010.03759
    "largest logit less the mean": lambda logits: logits.amax(-1) - logits.mean(-1),
    "negative entropy": lambda logits: (logits.softmax(-1) * logits.log_softmax(-1)).sum(-1),
}


@dataclass(frozen=True)
class Doubt:
    """How pictures that show none of a model's classes are detected: by a score of the logits that is smaller for them than
    for photographs of the classes. Measured for one model, and valid for no other.

    Attributes:
        score: a key of `DOUBT_SCORES`
        threshold: below it, perhaps none of the classes fits
    """

    score: str
    threshold: float

    def about(self, logits: Any) -> bool:
        """Whether perhaps none of the classes fits a picture with these logits, a tensor (classes,)."""
        return float(DOUBT_SCORES[self.score](logits.float())) < self.threshold


def kind_of_count(count: int) -> OutputKind:
    """The kind where only the number of outputs is known. A single output is read by a sigmoid, as in transformers'
    pipeline for image classification: its softmax is 1 whatever the model says.
    """
    return OutputKind.FEATURES if count == 0 else OutputKind.LABELS if count == 1 else OutputKind.CLASSES


def output_kind(subject: Any) -> OutputKind:
    """The kind that a model or its module states as `output_kind`; else what the module's attributes show.

    A timm module with the outputs of its pretrained configuration has no classifier where their number is the width of a
    joint embedding of images and texts. A module without `num_classes` gives features.
    """
    module = getattr(subject, "module", subject)
    for stating in (subject, module):
        stated = getattr(stating, "output_kind", None)
        if stated is not None:
            return OutputKind(stated)
    count = int(getattr(module, "num_classes", None) or 0)
    return OutputKind.FEATURES if count and _embeds(module, count) else kind_of_count(count)


def has_classifier(subject: Any) -> bool:
    """Whether the outputs of a model or module are answers, one a class, label or quantity, and not features."""
    return output_kind(subject) is not OutputKind.FEATURES


def output_name(labels: Sequence[str] | None, index: int, kind: OutputKind = OutputKind.CLASSES) -> str:
    """The output's label; "class 17" ("label 17", "output 17") where it has none, and "crane (class 134)" where several do."""
    label = labels[index] if labels is not None and index < len(labels) else ""
    numbered = f"{kind.noun} {index}"
    return f"{label} ({numbered})" if label in _shared(tuple(labels or ())) else label or numbered


@lru_cache(maxsize=16)
def _shared(labels: tuple[str, ...]) -> frozenset[str]:
    """The labels that several outputs have."""
    return frozenset(label for label, count in Counter(labels).items() if label and count > 1)


def _embeds(module: Any, count: int) -> bool:
    cfg = getattr(module, "pretrained_cfg", None)
    if not cfg:
        return False
    given = cfg if isinstance(cfg, dict) else vars(cfg)
    return given.get("num_classes") == count and not given.get("label_names") and count % _WIDTH_STEP == 0
