"""What a model's outputs are (classes, labels, numbers or features), and how probabilities are computed from its logits.

No other module decides this. The names are those of `problem_type` in configurations of transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

# Projection widths of image and text towers (CLIP, EVA-CLIP, MobileCLIP, ViTamin, PE) are multiples of this; no label set of
# a pretrained model in timm's registry has such a number of classes (tested over the whole registry).
_WIDTH_STEP = 64


class OutputKind(StrEnum):
    """The kind of a model's outputs (outputs,).

    Attributes:
        CLASSES: Exactly one class applies: probabilities are the softmax over all outputs.
        LABELS: Each label applies or not, independently: probabilities are the sigmoid of each output; also a single output.
        NUMBERS: Numbers of a regression, whose unit is unknown.
        FEATURES: A feature vector: the model has no classifier.
    """

    CLASSES = "single_label_classification"
    LABELS = "multi_label_classification"
    NUMBERS = "regression"
    FEATURES = "features"

    @property
    def is_probability(self) -> bool:
        """Whether `read` returns probabilities."""
        return self in (OutputKind.CLASSES, OutputKind.LABELS)

    @property
    def noun(self) -> str:
        """What one output is called: "class", "label", "output" or "feature"."""
        return {"CLASSES": "class", "LABELS": "label", "NUMBERS": "output", "FEATURES": "feature"}[self.name]

    @property
    def nouns(self) -> str:
        """The plural of `noun`: "classes", "labels", ..."""
        return "classes" if self is OutputKind.CLASSES else f"{self.noun}s"

    @property
    def quantity(self) -> str:
        """Name of the quantity that `read` returns, for the axis of a chart."""
        return "probability" if self.is_probability else "the model's output"

    def read(self, logits: Any) -> Any:
        """Tensor (..., outputs) -> (..., outputs) float: probabilities of classes or labels; other outputs unchanged."""
        if self is OutputKind.CLASSES:
            return logits.float().softmax(-1)
        return logits.float().sigmoid() if self is OutputKind.LABELS else logits.float()

    def text(self, value: float, digits: int = 1) -> str:
        """One value of `read` as text: "92.0%" for a probability, else "3.25"."""
        return f"{value:.{digits}%}" if self.is_probability else f"{value:.3g}"


# Scores of logits (..., classes) for out-of-distribution detection, larger for pictures of the classes than for others; the
# one that separates them best is measured for each model.
OOD_SCORES: dict[str, Callable[[Any], Any]] = {
    "largest probability": lambda logits: logits.softmax(-1).amax(-1),  # Hendrycks and Gimpel 2017, arXiv 1610.02136
    "largest logit": lambda logits: logits.amax(-1),  # Hendrycks et al. 2022, arXiv 1911.11132
    "log of the sum of exponentials": lambda logits: logits.logsumexp(-1),  # energy, Liu et al. 2020, arXiv 2010.03759
    "largest logit less the mean": lambda logits: logits.amax(-1) - logits.mean(-1),
    "negative entropy": lambda logits: (logits.softmax(-1) * logits.log_softmax(-1)).sum(-1),
}


@dataclass(frozen=True)
class OODDetector:
    """Out-of-distribution detection: pictures of none of a model's classes have a smaller score than pictures of the classes.

    The threshold is measured for one model and valid for no other.

    Attributes:
        score: A key of `OOD_SCORES`.
        threshold: Scores below it are reported as perhaps none of the classes.
    """

    score: str
    threshold: float

    def is_ood(self, logits: Any) -> bool:
        """Whether the score of a picture's logits, a tensor (classes,), is below the threshold."""
        return float(OOD_SCORES[self.score](logits.float())) < self.threshold


def kind_of_count(count: int) -> OutputKind:
    """The kind when only the number of outputs is known.

    A single output is read by a sigmoid, as in transformers' pipeline for image classification: its softmax is always 1.
    """
    return OutputKind.FEATURES if count == 0 else OutputKind.LABELS if count == 1 else OutputKind.CLASSES


def output_kind(subject: Any) -> OutputKind:
    """The kind that a model or its module declares as `output_kind`, else the kind that follows from the module's attributes.

    A timm module with as many outputs as its pretrained configuration has no classifier if that number is the width of a joint
    embedding of images and texts. A module without `num_classes` gives features.
    """
    module = getattr(subject, "module", subject)
    for stating in (subject, module):
        stated = getattr(stating, "output_kind", None)
        if stated is not None:
            return OutputKind(stated)
    count = int(getattr(module, "num_classes", None) or 0)
    return OutputKind.FEATURES if count and _embeds(module, count) else kind_of_count(count)


def has_classifier(subject: Any) -> bool:
    """Whether each output of a model or module is a class, label or quantity, and not a feature."""
    return output_kind(subject) is not OutputKind.FEATURES


def output_name(labels: Sequence[str] | None, index: int, kind: OutputKind = OutputKind.CLASSES) -> str:
    """The output's label; "class 17" ("label 17", "output 17") without one; "crane (class 134)" if several have this label."""
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
