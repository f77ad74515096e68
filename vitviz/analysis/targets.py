"""Targets of explanations: functions of a model's output to one number, which is differentiated or followed in curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional as F

from vitviz.capture.blocks import Output
from vitviz.errors import UnsupportedError
from vitviz.outputs import OutputKind, output_kind


class Target(Protocol):
    """Two numbers for each image of a batch.

    `score` is the number that gradients and occlusion explain: unbounded, and of opposite sign for a swapped difference.
    `likelihood` is the number that deletion curves follow: in [0, 1] for classes and labels, for regression the output. Both
    also take the output of the unchanged image (batch of 1, detached). `output.kind` says what the outputs are. `quantity`
    names the likelihood for every kind of output; `quantity_of` names it for one kind.
    """

    def __hash__(self) -> int: ...
    @property
    def quantity(self) -> str: ...
    def score(self, output: Output, reference: Output) -> Tensor: ...
    def likelihood(self, output: Output, reference: Output) -> Tensor: ...


@dataclass(frozen=True)
class ClassLogit:
    """One output. Its likelihood is the softmax of a class, the sigmoid of a label, and for regression the output itself.

    Attributes:
        index: Number of the output.
    """

    index: int

    @property
    def quantity(self) -> str:
        return "probability of the class or label, or the number itself"

    def score(self, output: Output, reference: Output) -> Tensor:
        """(batch,)."""
        return _logit(output, self.index)

    def likelihood(self, output: Output, reference: Output) -> Tensor:
        """(batch,): in [0, 1] for classes and labels."""
        return _logit(Output(output.values, kind=output.kind), self.index)


@dataclass(frozen=True)
class LogitDifference:
    """The difference of two outputs: why `index` and not `other`.

    Its likelihood is the sigmoid of the difference: for classes the probability of `index` if only these two are possible, for
    labels the probability that it is `index` if exactly one of the two applies. For regression it is the difference itself.

    Attributes:
        index: Number of the output.
        other: Number of the output that is subtracted.
    """

    index: int
    other: int

    @property
    def quantity(self) -> str:
        return "probability of the one against the other, or the difference of two numbers"

    def score(self, output: Output, reference: Output) -> Tensor:
        """(batch,)."""
        return _logit(output, self.index) - _logit(output, self.other)

    def likelihood(self, output: Output, reference: Output) -> Tensor:
        """(batch,): in [0, 1] for classes and labels."""
        difference = self.score(output, reference).float()
        return difference.sigmoid() if output.kind.is_probability else difference


@dataclass(frozen=True)
class SelfDot:
    """For models without a classifier: the dot product of a token with its constant value in the unchanged image.

    The cosine of a token with itself has a gradient of zero, the dot product does not. The likelihood is the cosine with the
    token of the unchanged image, in [-1, 1].

    Attributes:
        token: Index of the token; None for the pooled output.
    """

    token: int | None = None

    @property
    def quantity(self) -> str:
        return "cosine with the token of the unchanged image"

    def _pair(self, output: Output, reference: Output) -> tuple[Tensor, Tensor]:
        if self.token is None:
            need_one_vector(output.logits, 2)
            return output.logits, reference.logits.detach()
        if output.tokens is None or reference.tokens is None:
            raise UnsupportedError(
                "The tokens after the last layer could not be found in this model; explain its pooled output."
            )
        if not 0 <= self.token < reference.tokens.shape[1]:
            raise UnsupportedError(
                f"Token {self.token} does not exist: the sequence has {reference.tokens.shape[1]} tokens."
            )
        if output.tokens.shape[1] != reference.tokens.shape[1]:
            raise UnsupportedError(
                "Tokens were taken out of the sequence, so this token cannot be compared with what it was before."
            )
        return output.tokens[:, self.token], reference.tokens[:, self.token].detach()

    def score(self, output: Output, reference: Output) -> Tensor:
        """(batch,)."""
        now, before = self._pair(output, reference)  # (batch, width), (1, width)
        return (now * before).sum(-1)

    def likelihood(self, output: Output, reference: Output) -> Tensor:
        """(batch,) in [-1, 1]."""
        now, before = self._pair(output, reference)
        return F.cosine_similarity(now.float(), before.float(), dim=-1)


def default_target(subject: Any, logits: Tensor) -> Target:
    """The most probable class or label; for regression the first output; without a classifier `SelfDot` of the pooled output.

    Args:
        subject: A model, or its module.
        logits: (outputs,).
    """
    need_one_vector(logits, 1)
    kind = output_kind(subject)
    if kind is OutputKind.FEATURES:
        return SelfDot()
    return ClassLogit(int(logits.argmax()) if kind.is_probability else 0)


def quantity_of(target: Target, kind: OutputKind) -> str:
    """Display name of a target's likelihood for a model with this kind of outputs."""
    match target:
        case ClassLogit():
            return f"{kind.quantity} of the {kind.noun}" if kind.is_probability else kind.quantity
        case LogitDifference():
            one = f"the one {kind.noun}"
            return f"probability of {one} against the other" if kind.is_probability else f"{one} less the other"
        case _:
            return target.quantity


def needs_classifier(target: Target) -> bool:
    """Whether the target requires outputs that are classes, labels or numbers, and not features."""
    return isinstance(target, ClassLogit | LogitDifference)


def need_one_vector(logits: Tensor, dimensions: int) -> None:
    """Raises UnsupportedError for outputs (outputs,), or (batch, outputs), of more dimensions: one vector for each token."""
    if logits.ndim != dimensions:
        raise UnsupportedError(
            f"This model does not pool its tokens: it gives {' x '.join(map(str, logits.shape))} numbers and not one vector of "
            'outputs an image. Load it with a pooling, such as global_pool="avg".'
        )


def _logit(output: Output, index: int) -> Tensor:
    need_one_vector(output.logits, 2)
    classes = output.logits.shape[-1]
    if not 0 <= index < classes:
        kind = output.kind
        raise UnsupportedError(
            f"{kind.noun.capitalize()} {index} does not exist: the model has {classes} {kind.nouns}, counted from 0."
        )
    return output.logits[:, index]
