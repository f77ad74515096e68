"""The prediction: the largest outputs as names and probabilities, or as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vitviz.analysis.targets import need_one_vector
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.outputs import OutputKind, kind_of_count, output_name


class Classifier(Protocol):
    """What names the outputs: a loaded `Model` has both."""

    @property
    def labels(self) -> tuple[str, ...] | None: ...
    @property
    def output_kind(self) -> OutputKind: ...


@dataclass(frozen=True)
class Prediction:
    """One output.

    index        among the outputs; label: its name
    probability  of the class (softmax) or of the label (sigmoid); None for a plain number
    logit        the output itself
    kind         what the outputs are
    """

    index: int
    label: str
    probability: float | None
    logit: float
    kind: OutputKind = OutputKind.CLASSES

    @property
    def value(self) -> float:
        """The probability, or the number itself where the outputs are plain numbers."""
        return self.logit if self.probability is None else self.probability

    @property
    def text(self) -> str:
        """The value for people: "92.0%", or "3.25" for a plain number."""
        return self.kind.text(self.value)


def top_predictions(
    logits: Tensor,
    labels: Sequence[str] | Classifier | None = None,
    count: int = 5,
    *,
    kind: OutputKind | str | None = None,
) -> list[Prediction]:
    """The `count` likeliest classes or labels of logits (outputs,), likeliest first; plain numbers in the model's order.

    labels  the model, which knows the names of its outputs and what they are; or the names alone; "class 17" where they are
            not known
    kind    what the outputs are, where no model is given: an OutputKind or its name, such as "multi_label_classification".
            Where it is not given either, a sigmoid for one output and a softmax for more

    Raises ValueError where there is not one label an output, UnsupportedError for features, which name nothing, and
    NotFiniteError for logits that are not finite.
    """
    need_one_vector(logits, 1)
    names = labels if labels is None or isinstance(labels, Sequence) else labels.labels
    if kind is None and labels is not None and not isinstance(labels, Sequence):
        kind = labels.output_kind
    kind = kind_of_count(logits.shape[0]) if kind is None else OutputKind(kind)
    if kind is OutputKind.FEATURES:
        raise UnsupportedError("This model has no classifier: its outputs are features, which name nothing.")
    if names is not None and len(names) != logits.shape[0]:
        raise ValueError(f"{len(names)} labels cannot name {logits.shape[0]} outputs")
    if not bool(torch.isfinite(logits).all()):
        raise NotFiniteError("Some logits are not finite numbers (not-a-number or infinite), so they predict nothing.")
    values = kind.read(logits)  # (outputs,)
    count = min(count, logits.shape[0])
    order = values.topk(count).indices.tolist() if kind.is_probability else list(range(count))
    return [
        Prediction(
            index,
            output_name(names, index, kind),
            float(values[index]) if kind.is_probability else None,
            float(logits[index]),
            kind,
        )
        for index in order
    ]
