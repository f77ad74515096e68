"""What is being explained: one number a model's output is turned into, so that it can be differentiated or watched
fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.capture.trunk import Output, has_classifier
from vitviz.errors import UnsupportedError


class Target(Protocol):
    """One number for each image of a batch, in two readings.

    `score` is what gradients and occlusion explain: unbounded, and antisymmetric under a swapped difference.
    `likelihood` is what deletion curves follow: in [0, 1] for classes. Both are given the output of the unchanged
    image too (batch of 1, detached).
    """

    def __hash__(self) -> int: ...
    @property
    def quantity(self) -> str: ...
    def score(self, output: Output, reference: Output) -> Tensor: ...
    def likelihood(self, output: Output, reference: Output) -> Tensor: ...


@dataclass(frozen=True)
class ClassLogit:
    """The logit of one class; its likelihood is the softmax probability."""

    index: int

    @property
    def quantity(self) -> str:
        return "probability of the class"

    def score(self, output: Output, reference: Output) -> Tensor:
        """(batch,)."""
        return _logit(output, self.index)

    def likelihood(self, output: Output, reference: Output) -> Tensor:
        """(batch,) in [0, 1]."""
        return _logit(Output(output.logits.float().softmax(-1)), self.index)


@dataclass(frozen=True)
class LogitDifference:
    """Why `index` and not `other`: logit of the one less logit of the other; its likelihood is the sigmoid of the
    difference, which is the probability of the one where only these two are possible."""

    index: int
    other: int

    @property
    def quantity(self) -> str:
        return "probability of the one class against the other"

    def score(self, output: Output, reference: Output) -> Tensor:
        """(batch,)."""
        return _logit(output, self.index) - _logit(output, self.other)

    def likelihood(self, output: Output, reference: Output) -> Tensor:
        """(batch,) in [0, 1]."""
        return self.score(output, reference).float().sigmoid()


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


def default_target(module: nn.Module, logits: Tensor) -> Target:
    """The predicted class of logits (classes,), or the pooled output's dot product with itself where there is no
    classifier.
    """
    return ClassLogit(int(logits.argmax())) if has_classifier(module) else SelfDot()


def needs_classifier(target: Target) -> bool:
    return isinstance(target, ClassLogit | LogitDifference)


def _logit(output: Output, index: int) -> Tensor:
    classes = output.logits.shape[-1]
    if not 0 <= index < classes:
        raise UnsupportedError(f"Class {index} does not exist: the model has {classes} classes, counted from 0.")
    return output.logits[:, index]
