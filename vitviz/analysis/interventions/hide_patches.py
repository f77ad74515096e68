"""Intervention: patches hidden in the picture, or removed from the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from vitviz.analysis.hiding import hide
from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, existing_index, indices, one_of
from vitviz.analysis.interventions.text import NumberReader, runs
from vitviz.analysis.question import ModelLike
from vitviz.tokens import TokenLayout

HIDING = ("mean", "blur", "removed")


@dataclass(frozen=True)
class HidePatches(Intervention):
    """Hides patches from the model.

    Attributes:
        patches: Their numbers, counted row by row from 0.
        fill: "mean" and "blur" replace the pixels by the image's mean colour or by a blurred copy of the image.
            "removed" takes the token out of the sequence after the position embedding: no other token attends to it, and
            pooling leaves it out.
    """

    code: ClassVar[str] = "hide"
    order: ClassVar[int] = 10

    patches: tuple[int, ...]
    fill: str = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", indices(self.patches, "patch"))
        one_of(self.fill, HIDING, "patches are hidden by")

    @property
    def is_noop(self) -> bool:
        return not self.patches

    def encode(self) -> str:
        return f"{self.fill}_{runs(self.patches)}"

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        return cls(numbers.indices(fields[1]), fields[0]) if len(fields) == 2 else None

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        return replace(self, patches=tuple(patch for patch in self.patches if patch < layout.num_patches))

    def check(self, model: ModelLike) -> None:
        for patch in self.patches:
            existing_index(patch, model.layout.num_patches, "patch")

    def change_pixels(self, x: Tensor, layout: TokenLayout) -> Tensor:
        if self.fill == "removed" or not self.patches:
            return x
        mask = torch.zeros(1, layout.num_patches, dtype=torch.bool, device=x.device)
        mask[:, list(self.patches)] = True
        mask = mask.reshape(1, *layout.grid)  # (patches,) -> (1, rows, cols)
        fills = [blurred(image, layout) if self.fill == "blur" else None for image in x]
        return torch.cat([hide(image, mask, fill) for image, fill in zip(x, fills, strict=True)])

    def apply(self, application: Application) -> None:
        if self.fill == "removed":
            application.remove(patch + application.layout.num_prefix for patch in self.patches)
        else:
            application.pixels(lambda x: self.change_pixels(x, application.layout))


def blurred(pixels: Tensor, layout: TokenLayout) -> Tensor:
    """(3, height, width): a Gaussian blur of the width of a patch, which removes details smaller than a patch."""
    side = max(layout.patch_size)
    radius = min(2 * side, min(pixels.shape[-2:]) - 1)  # padding by reflection is limited to the image's size
    return gaussian_blur(pixels, [2 * radius + 1] * 2, [float(side)] * 2)
