"""The prediction: the largest logits as names and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

# Below this probability, the best guess of a classifier is no answer. Of 306 held-out photographs of its own classes
# (224 pixels, centre crop) the embedded model gives 1.7% of its right answers less than this;
# a cat and an astronaut, which it does not know, stay below it.
DOUBTFUL = 0.35


@dataclass(frozen=True)
class Prediction:
    """One class: its index among the outputs, its name, its softmax probability and its logit."""

    index: int
    label: str
    probability: float
    logit: float


def top_predictions(logits: Tensor, labels: Sequence[str] | None = None, count: int = 5) -> list[Prediction]:
    """The `count` likeliest classes of logits (classes,), likeliest first; "class 17" where names are not known.

    Raises ValueError where there is not one label a class.
    """
    if labels is not None and len(labels) != logits.shape[0]:
        raise ValueError(f"{len(labels)} labels cannot name {logits.shape[0]} classes")
    best = logits.float().softmax(-1).topk(min(count, logits.shape[0]))
    return [
        Prediction(index, labels[index] if labels else f"class {index}", probability, float(logits[index]))
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def is_doubtful(predictions: Sequence[Prediction]) -> bool:
    """Whether the best guess is so weak that perhaps none of the classes fits."""
    return predictions[0].probability < DOUBTFUL
