"""What is being explained: one number a model's output is turned into, so that it can be differentiated or watched
fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import functional as F

from vitviz.capture.blocks import Output
from vitviz.errors import UnsupportedError
from vitviz.outputs import OutputKind, output_kind


class Target(Protocol):
    """One number for each image of a batch, in two readings.

    `score` is what gradients and occlusion explain: unbounded, and antisymmetric under a swapped difference.
    `likelihood` is what deletion curves follow: in [0, 1] for classes and labels, the number itself for a plain number.
    Both are given the output of the unchanged image too (batch of 1, detached); what the outputs are stands in
    `output.kind`. `quantity` names the likelihood, whatever the outputs are; `quantity_of` knows more.
    """

    def __hash__(self) -> int: ...
    @property
    def quantity(self) -> str: ...
    def score(self, output: Output, reference: Output) -> Tensor: ...
    def likelihood(self, output: Output, reference: Output) -> Tensor: ...


@dataclass(frozen=True)
class ClassLogit:
    """One output: the logit of a class or label, or a plain number. Its likelihood is the softmax probability of a class,
    the sigmoid of a label, and a plain number itself.
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
    """Why `index` and not `other`: logit of the one less logit of the other.

    Its likelihood is the sigmoid of the difference: of classes, the probability of the one where only these two are
    possible; of labels, the probability that it is the one that applies where just one of the two does. Of plain numbers
    it is the difference itself.
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
    """For models without a classifier: the dot product of a token with its own value in the unchanged image, held
    fixed.

    The cosine of a token with itself has gradient zero; the dot product has not. `token` None is the pooled output.
    The likelihood is the cosine with the unchanged token, in [-1, 1].
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
    """The likeliest class or label of logits (outputs,), the first of plain numbers, or the pooled output's dot product with
    itself where there is no classifier.

    Args:
        subject: a model, or its module.
    """
    need_one_vector(logits, 1)
    kind = output_kind(subject)
    if kind is OutputKind.FEATURES:
        return SelfDot()
    return ClassLogit(int(logits.argmax()) if kind.is_probability else 0)


def quantity_of(target: Target, kind: OutputKind) -> str:
    """What the likelihood of a target is for a model of this kind of outputs, for people."""
    match target:
        case ClassLogit():
            return f"{kind.quantity} of the {kind.noun}" if kind.is_probability else kind.quantity
        case LogitDifference():
            one = f"the one {kind.noun}"
            return f"probability of {one} against the other" if kind.is_probability else f"{one} less the other"
        case _:
            return target.quantity


def needs_classifier(target: Target) -> bool:
    """Whether the target is about outputs that stand for something, and not about features."""
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
