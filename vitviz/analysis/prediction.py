"""Predictions: the largest outputs by name, and the logit lens, which applies the model's head to every layer.

Logit lens: nostalgebraist 2020 for language models; for Vision Transformers Vilas et al. 2023 (arXiv 2310.18969). Each state
goes through the model's own final norm, pooling and head. These were trained on the last layer only, so that predictions from
early layers are uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitviz.analysis.question import LoadedNetwork, Question
from vitviz.analysis.targets import need_one_vector
from vitviz.capture.blocks import Output
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.outputs import OutputKind, has_classifier, kind_of_count, output_kind, output_name


@dataclass(frozen=True)
class Prediction:
    """One output.

    Attributes:
        index: Number of the output.
        label: Its name.
        probability: Of the class (softmax) or of the label (sigmoid); None for regression.
        logit: The output itself.
        kind: What the outputs are.
    """

    index: int
    label: str
    probability: float | None
    logit: float
    kind: OutputKind = OutputKind.CLASSES

    @property
    def value(self) -> float:
        """The probability; for regression the output itself."""
        return self.logit if self.probability is None else self.probability

    @property
    def text(self) -> str:
        """`value` as text: "92.0%", or "3.25" for regression."""
        return self.kind.text(self.value)


def top_predictions(
    logits: Tensor,
    labels: Sequence[str] | LoadedNetwork | None = None,
    count: int = 5,
    *,
    kind: OutputKind | str | None = None,
) -> list[Prediction]:
    """The most probable classes or labels in order; for regression the first outputs in the model's order.

    Args:
        logits: (outputs,).
        labels: The model, which has names and kind of its outputs, or the names alone; "class 17" without names.
        count: How many.
        kind: What the outputs are, if no model is given: an OutputKind or its name, such as "multi_label_classification". By
            default one output is read by a sigmoid, and more by a softmax.

    Returns:
        At most `count` predictions with number, label, probability from 0 to 1 and logit.

    Raises:
        ValueError: For another number of labels than of outputs.
        UnsupportedError: For features.
        NotFiniteError: For logits that are not finite.
    """
    need_one_vector(logits, 1)
    names = labels if labels is None or isinstance(labels, Sequence) else labels.labels
    if kind is None and labels is not None and not isinstance(labels, Sequence):
        kind = output_kind(labels)
    kind = kind_of_count(logits.shape[0]) if kind is None else OutputKind(kind)
    if kind is OutputKind.FEATURES:
        raise UnsupportedError("This model has no classifier: its outputs are features without class names.")
    if names is not None and len(names) != logits.shape[0]:
        raise ValueError(f"{len(names)} labels cannot name {logits.shape[0]} outputs")
    if not bool(torch.isfinite(logits).all()):
        raise NotFiniteError(
            "Some logits are not finite numbers (not-a-number or infinite), so there is no prediction."
        )
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


# Patches in one batch of `patch_lens`: each is a sequence of its own for pooling and head.
CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Lens:
    """The outputs that the model's head reads from every layer.

    Attributes:
        logits: (layers + 1, outputs), at least float32: read before the first layer, then after each layer.
        kind: What the outputs are.
    """

    logits: Tensor
    kind: OutputKind = OutputKind.CLASSES

    @property
    def values(self) -> Tensor:
        """(layers + 1, outputs): probabilities of classes or labels; for regression the outputs."""
        values: Tensor = self.kind.read(self.logits)
        return values

    @property
    def probabilities(self) -> Tensor:
        """(layers + 1, outputs). Raises UnsupportedError for regression."""
        if not self.kind.is_probability:
            raise UnsupportedError("The outputs of this model are plain numbers and no probabilities; read `values`.")
        return self.values


def logit_lens(question: Question) -> Lens:
    """The model's final norm, pooling and head applied to the sequence after every layer.

    Args:
        question: The model, image and target.

    Returns:
        Logits (layers + 1, outputs), read before the first layer and after each; `values` has their probabilities.

    Raises:
        UnsupportedError: For a model without a classifier, or whose head cannot be applied to a layer.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; Vilas et al. 2023 (arXiv 2310.18969).
    """
    _need_classifier(question)
    need_one_vector(question.hidden_states.output.logits, 2)
    with question.eval_mode():
        read = [question.blocks.read(state).logits[0] for state in question.hidden_states.states]
    return Lens(_at_least_single(torch.stack(read)), question.kind)


def patch_lens(question: Question, layer: int | None = None) -> Tensor:
    """The logit lens of each patch alone.

    The head is given a sequence whose every token, prefix tokens included, is the patch's token: whatever it pools (a token,
    the mean, an attention pooling), it reads this patch alone.

    Args:
        question: The model, image and target.
        layer: Read after this number of layers; all by default.

    Returns:
        (layers + 1, rows, cols, classes) logits, or (rows, cols, classes) for one `layer`.

    Raises:
        UnsupportedError: As `logit_lens`.
        IndexError: For a layer that does not exist.

    Source: Vilas et al. 2023 (arXiv 2310.18969).
    """
    _need_classifier(question)
    need_one_vector(question.hidden_states.output.logits, 2)
    states = question.hidden_states.states if layer is None else (question.hidden_states.states[layer],)
    layout = question.layout
    length = layout.num_prefix + 1
    maps = []
    for state in states:
        patches = state[0, layout.num_prefix :]  # (patches, width)
        with question.eval_mode():
            parts = [question.blocks.read(part[:, None].expand(-1, length, -1)).logits for part in patches.split(CHUNK)]
        maps.append(
            _at_least_single(torch.cat(parts)).reshape(*layout.grid, -1)
        )  # (patches, classes) -> (rows, cols, classes)
    return maps[0] if layer is not None else torch.stack(maps)


def target_by_layer(question: Question) -> Tensor:
    """(layers + 1,): the likelihood of the question's target, read before the first layer and after each."""
    with question.eval_mode():
        read = [
            question.target.likelihood(_whole(question, state), question.reference)[0]
            for state in question.hidden_states.states
        ]
    return torch.stack(read)


def _at_least_single(values: Tensor) -> Tensor:
    """Half precision as float32: numpy has no bfloat16, and a softmax in it has few digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _whole(question: Question, state: Tensor) -> Output:
    return question.blocks.read(state)


def _need_classifier(question: Question) -> None:
    if not has_classifier(question.model):
        raise UnsupportedError(
            f"{question.model.name} has no classifier, so there are no classes to read from its layers."
        )
