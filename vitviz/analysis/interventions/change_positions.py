"""Intervention: other position embeddings, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, one_of, whole
from vitviz.analysis.interventions.shuffle_patches import permutation
from vitviz.analysis.interventions.text import NumberReader

POSITIONS = ("zero", "shuffle")


@dataclass(frozen=True)
class ChangePositions(Intervention):
    """Removes or permutes the patches' position embeddings. Prefix tokens keep theirs, which is part of their learned vector.

    Attributes:
        how: "zero" for none, "shuffle" for those of other patches.
        seed: Of the permutation.
    """

    code: ClassVar[str] = "positions"
    order: ClassVar[int] = 30

    how: str = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(self.how, POSITIONS, "positions are changed by")
        # "zero" uses no seed: set to 0, so that equivalent interventions are equal.
        object.__setattr__(self, "seed", 0 if self.how == "zero" else whole(self.seed, "a seed"))

    def encode(self) -> str:
        return self.how if self.how == "zero" else f"{self.how}_{self.seed}"

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        if list(fields) == ["zero"]:
            return cls("zero")
        return cls(fields[0], numbers.seed(fields[1])) if len(fields) == 2 else None

    def apply(self, application: Application) -> None:
        order = torch.from_numpy(permutation(application.layout, self.seed))

        def change(vectors: Tensor) -> Tensor:
            return torch.zeros_like(vectors) if self.how == "zero" else vectors[order.to(vectors.device)]

        application.positions(change)
