"""Intervention: layers left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, indices
from vitviz.analysis.interventions.text import NumberReader, runs
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class SwitchOffLayers(Intervention):
    """Layers that return their input: attention and MLP are both left out.

    Attributes:
        layers: Their numbers, counted from 0.
    """

    code: ClassVar[str] = "layers"
    order: ClassVar[int] = 50

    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", indices(self.layers, "layer"))

    @property
    def is_noop(self) -> bool:
        return not self.layers

    def encode(self) -> str:
        return runs(self.layers)

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        return cls(numbers.indices(fields[0])) if len(fields) == 1 else None

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        return replace(self, layers=tuple(layer for layer in self.layers if layer < len(heads)))

    def apply(self, application: Application) -> None:
        for layer in self.layers:
            application.skip(layer)
