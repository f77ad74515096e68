"""Patches that the model does not get to see: covered in the picture, or out of the sequence."""

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
    """Patches, counted row by row from 0, that the model does not get to see.

    Attributes:
        fill: "mean" the image's mean colour stands there, "blur" a blurred copy of the image, "removed" the patch's token
            leaves the sequence after the position embedding is added: no other token attends to it and no pooling counts it.
    """

    code: ClassVar[str] = "hide"
    order: ClassVar[int] = 10

    patches: tuple[int, ...]
    fill: str = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", indices(self.patches, "patch"))
        one_of(self.fill, HIDING, "patches are hidden by")

    @property
    def idle(self) -> bool:
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
        mask = mask.reshape(1, *layout.grid)
        fills = [blurred(image, layout) if self.fill == "blur" else None for image in x]
        return torch.cat([hide(image, mask, fill) for image, fill in zip(x, fills, strict=True)])

    def apply(self, application: Application) -> None:
        if self.fill == "removed":
            application.remove(patch + application.layout.num_prefix for patch in self.patches)
        else:
            application.pixels(lambda x: self.change_pixels(x, application.layout))


def blurred(pixels: Tensor, layout: TokenLayout) -> Tensor:
    """(3, height, width): a Gaussian blur as wide as a patch, so that nothing the size of a patch can be made out."""
    side = max(layout.patch_size)
    radius = min(2 * side, min(pixels.shape[-2:]) - 1)  # the image is mirrored at its border, which it can be only once
    return gaussian_blur(pixels, [2 * radius + 1] * 2, [float(side)] * 2)
