"""Intervention: tokens to which no query attends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, existing_index, indices
from vitviz.analysis.interventions.text import NumberReader, runs
from vitviz.analysis.question import ModelLike
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class CutTokens(Intervention):
    """Sets the scores of tokens as keys to minus infinity before the softmax, so that no query attends to them.

    Attributes:
        tokens: Their indices in the sequence, prefix tokens first.
        layers: Numbers of the layers; None for all.
    """

    code: ClassVar[str] = "cut"
    order: ClassVar[int] = 60

    tokens: tuple[int, ...]
    layers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", indices(self.tokens, "token"))
        if self.layers is not None:
            object.__setattr__(self, "layers", indices(self.layers, "layer"))

    @property
    def is_noop(self) -> bool:
        return not self.tokens or self.layers == ()

    def encode(self) -> str:
        return f"{runs(self.tokens)}_" + ("all" if self.layers is None else runs(self.layers))

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        if len(fields) != 2:
            return None
        return cls(numbers.indices(fields[0]), None if fields[1] == "all" else numbers.indices(fields[1]))

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        there = None if self.layers is None else tuple(layer for layer in self.layers if layer < len(heads))
        return replace(self, tokens=tuple(t for t in self.tokens if t < layout.num_tokens), layers=there)

    def check(self, model: ModelLike) -> None:
        for token in self.tokens:
            existing_index(token, model.layout.num_tokens, "token")

    def apply(self, application: Application) -> None:
        application.cut(self.tokens, self.layers)
