"""Intervention: heads with an output of zero, or of their mean over a reference set.

A head whose output is almost constant acts as a bias for later layers. Zero ablation removes that bias, mean ablation keeps it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, one_of, whole
from vitviz.analysis.interventions.text import NumberReader
from vitviz.analysis.question import ModelLike
from vitviz.capture.ablation import Ablation, ablated
from vitviz.capture.blocks import Blocks, require_finite
from vitviz.capture.modules import eval_mode
from vitviz.errors import CaptureError
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout

HEAD_FILLS = ("zero", "mean")


@dataclass(frozen=True)
class SwitchOffHeads(Intervention):
    """Replaces the output of heads before the output projection.

    Attributes:
        heads: (layer, head) of each, counted from 0.
        fill: "zero", or "mean" for the head's mean output over a reference set (see `head_means`).
    """

    code: ClassVar[str] = "heads"
    order: ClassVar[int] = 40

    heads: tuple[tuple[int, int], ...]
    fill: str = "zero"

    def __post_init__(self) -> None:
        pairs = {(whole(layer, "a layer"), whole(head, "a head")) for layer, head in self.heads}
        object.__setattr__(self, "heads", tuple(sorted(pairs)))
        one_of(self.fill, HEAD_FILLS, "heads are replaced by")

    @property
    def is_noop(self) -> bool:
        return not self.heads

    def encode(self) -> str:
        return f"{self.fill}_" + ".".join(f"{layer}x{head}" for layer, head in self.heads)

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        return cls(numbers.pairs(fields[1]), fields[0]) if len(fields) == 2 else None

    def fit(self, layout: TokenLayout, heads: Sequence[int]) -> Self:
        kept = ((layer, head) for layer, head in self.heads if layer < len(heads) and head < heads[layer])
        return replace(self, heads=tuple(kept))

    def apply(self, application: Application) -> None:
        for layer, head in self.heads:
            application.switch_off(layer, head, self.fill)


@dataclass(frozen=True, eq=False)
class HeadMeans:
    """Mean outputs of heads before the output projection.

    Attributes:
        layers: (heads, prefix + 1, head_dim) for each layer: the mean of every prefix token, then one over all patches.
        images: Number of images.
        digest: 12 hexadecimal digits of the sha256 of these numbers.
    """

    layers: tuple[Tensor, ...]
    images: int
    digest: str

    def fill(self, layer: int, layout: TokenLayout) -> Tensor:
        """(heads, tokens, head_dim) for a sequence of `layout`."""
        means = self.layers[layer]
        patches = means[:, -1:].expand(-1, layout.num_patches, -1)
        return torch.cat([means[:, :-1], patches], 1)


def head_means(
    model: ModelLike, inputs: Iterable[Tensor], progress: Progress | None = None, total: int = 0
) -> HeadMeans:
    """Mean outputs of every head over a reference set.

    Args:
        model: A model that is a sequence of blocks.
        inputs: (3, height, width) each, normalised; only one is in memory at a time.
        progress: Called with (images done, `total` or images done) after each.
        total: Number of images, if known.

    Returns:
        (heads, prefix + 1, head_dim) for each layer: the mean of every prefix token, then one over all patches.

    Raises:
        UnsupportedError: For a model that is not a sequence of blocks.
        ValueError: Without an image.
    """
    blocks = Blocks(model.module)
    sums: dict[int, Tensor] = {}
    num_prefix = model.layout.num_prefix
    images = 0

    def observe(layer: int, out: Tensor) -> None:
        out = out[0].double()  # (heads, tokens, head_dim)
        mean = torch.cat([out[:, :num_prefix], out[:, num_prefix:].mean(1, keepdim=True)], 1)
        sums[layer] = sums.get(layer, torch.zeros_like(mean)) + mean

    for pixels in inputs:
        with (
            model.lock,
            eval_mode(model.module),
            torch.inference_mode(False),
            torch.no_grad(),
            ablated(dict(enumerate(blocks.blocks)), Ablation(observe=observe)),
        ):
            require_finite(model.module(pixels.to(next(model.module.parameters()))[None]), model.name)
        images += 1
        if progress:
            progress(images, total or images)
    if not images:
        raise ValueError("the mean over no image does not exist; give at least one")
    if len(sums) != blocks.num_layers:
        raise CaptureError(
            f"Attention was seen in {len(sums)} of {blocks.num_layers} layers, so heads have no mean output to use."
        )
    layers = tuple((sums[layer] / images).float() for layer in range(blocks.num_layers))
    digest = hashlib.sha256(b"".join(mean.cpu().numpy().tobytes() for mean in layers)).hexdigest()[:12]
    return HeadMeans(layers, images, digest)
