"""Effective receptive fields: |d(centre unit) / d(pixels)|, the influence of each pixel on the central unit of a layer.

Luo, Li, Urtasun and Zemel 2016 (arXiv 1701.04128): a gradient of 1 in every channel of the central unit is propagated back to
the pixels. It describes the model on this image. It differs from the attention distance, which describes one head's weights
and not the influence of pixels on a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.question import NetworkLike
from vitviz.capture.modules import eval_mode
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.progress import Progress

SHARE = 0.95


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The effective receptive field of one layer's central unit.

    Attributes:
        name: Dotted name of the module whose output has the unit: "blocks.3".
        grid: (rows, cols) of that output.
        unit: (row, col) of the unit in it.
        centre: (row, col) of the unit's centre, in pixels of the input.
        gradient: (height, width) float32: absolute gradient summed over colours; it sums to 1, or is 0 everywhere if no pixel
            influences the unit.
        side: Side in pixels of the smallest square around the centre that contains `share` of the gradient; the square may
            exceed the picture, up to the picture's longer side.
        share: Share of the gradient inside that square.
    """

    name: str
    grid: tuple[int, int]
    unit: tuple[int, int]
    centre: tuple[float, float]
    gradient: np.ndarray
    side: float
    share: float = SHARE


def receptive_fields(
    model: NetworkLike,
    pixels: Tensor,
    parts: Sequence[str] = (),
    share: float = SHARE,
    progress: Progress | None = None,
) -> tuple[ReceptiveField, ...]:
    """The effective receptive field of every layer or stage in order: one forward pass, and one backward pass for each.

    Args:
        model: A Vision Transformer or a convolutional network.
        pixels: (3, height, width), normalised.
        parts: Dotted names of modules; by default the patch embedding and every block of a transformer, every stage of a
            convolutional network.
        share: The share of the gradient for `ReceptiveField.side`.
        progress: Called with (parts done, parts in all); an exception that it raises stops the work.

    Returns:
        One for each part, with the gradient (height, width) and the side in pixels.

    Raises:
        UnsupportedError: If the parts cannot be found, or their output is neither a feature map nor a sequence of patches.
        NotFiniteError: For a gradient that is not finite.

    Source: Luo et al. 2016, "Understanding the effective receptive field" (arXiv 1701.04128), section 2.
    """
    module = model.module
    named = _parts(model, parts)
    kept: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _args: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if not isinstance(first, Tensor):
                raise UnsupportedError(f"{name} of {model.name} does not give one array, so it has no middle unit.")
            kept[name] = first

        return keep

    found = []
    with model.lock, eval_mode(module), torch.inference_mode(False), torch.enable_grad():
        x = pixels.detach().to(next(module.parameters())).clone()[None].requires_grad_()  # (1, channels, height, width)
        handles = [part.register_forward_hook(keeper(name)) for name, part in named.items()]
        try:
            module(x)
        finally:
            for handle in handles:
                handle.remove()
        size = (x.shape[2], x.shape[3])
        for done, name in enumerate(named):
            if name not in kept:
                raise UnsupportedError(f"{name} of {model.name} takes no part in its forward pass.")
            units, grid = _units(model, kept[name], size)  # (rows * cols, channels)
            unit = grid[0] // 2, grid[1] // 2
            score = units[unit[0] * grid[1] + unit[1]].float().sum()
            (slope,) = torch.autograd.grad(score, x, retain_graph=True, allow_unused=True)
            gradient: np.ndarray = np.zeros(size) if slope is None else slope[0].abs().double().sum(0).cpu().numpy()
            if not np.isfinite(gradient).all():
                raise NotFiniteError(f"The gradient of {name} of {model.name} is not finite everywhere.")
            centre = ((unit[0] + 0.5) * size[0] / grid[0], (unit[1] + 0.5) * size[1] / grid[1])
            found.append(_field(name, grid, unit, centre, gradient, share))
            if progress:
                progress(done + 1, len(named))
    return tuple(found)


def mean_receptive_fields(images: Sequence[Sequence[ReceptiveField]]) -> tuple[ReceptiveField, ...]:
    """The mean of the receptive fields of several images, layer by layer.

    Raises:
        ValueError: Without an image, or for images of different sizes or with different parts.
    """
    if not images:
        raise ValueError("a mean of receptive fields needs at least one image")
    averaged = []
    for same in zip(*images, strict=True):
        first = same[0]
        if any(
            (each.name, each.grid, each.gradient.shape) != (first.name, first.grid, first.gradient.shape)
            for each in same
        ):
            raise ValueError(f"images of different sizes or models have no common field of {first.name}")
        mean = np.stack([each.gradient for each in same]).mean(0, dtype=np.float64)
        averaged.append(_field(first.name, first.grid, first.unit, first.centre, mean, first.share))
    return tuple(averaged)


def square_side(gradient: np.ndarray, centre: tuple[float, float], share: float) -> float:
    """The side in pixels of the smallest square around `centre` whose pixels contain `share` of the gradient.

    Args:
        gradient: (height, width), not negative.
        centre: (row, col) in pixels; an integer is the border between two pixels.
        share: Above 0, at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {share}")
    whole = float(gradient.sum())
    if whole <= 0:
        return 0.0
    rows, cols = (np.abs(np.arange(length) + 0.5 - at) for length, at in zip(gradient.shape, centre, strict=True))
    away = np.maximum(rows[:, None], cols).ravel()  # (height * width,): half the side of its square
    order = np.argsort(away, kind="stable")
    held = np.cumsum(gradient.ravel()[order], dtype=np.float64)
    first = int(np.searchsorted(held, share * whole * (1 - 1e-7)))
    return float(min(2 * away[order[min(first, len(order) - 1)]] + 1, max(gradient.shape)))


def _field(
    name: str,
    grid: tuple[int, int],
    unit: tuple[int, int],
    centre: tuple[float, float],
    gradient: np.ndarray,
    share: float,
) -> ReceptiveField:
    shares = gradient / max(float(gradient.sum()), np.finfo(np.float64).tiny)
    return ReceptiveField(
        name, grid, unit, centre, shares.astype(np.float32), square_side(shares, centre, share), share
    )


def _parts(model: NetworkLike, names: Sequence[str]) -> dict[str, nn.Module]:
    """Dotted name -> module, in order, of the modules whose outputs are used."""
    module = model.module
    if names:
        known = dict(module.named_modules())
        if missing := [name for name in names if name not in known]:
            raise UnsupportedError(f"{model.name} has no part called {missing[0]!r}.")
        return {name: known[name] for name in names}
    for container in ("blocks", "stages", "layers"):
        held = getattr(module, container, None)
        if isinstance(held, nn.Sequential | nn.ModuleList) and len(held) > 1:
            parts = {f"{container}.{index}": part for index, part in enumerate(held)}
            embedding = getattr(module, "patch_embed", None)
            sequence = isinstance(embedding, nn.Module) and container == "blocks"
            return {"patch_embed": embedding, **parts} if sequence else parts  # type: ignore[dict-item]
    children = dict(module.named_children())
    rows = [name for name in ("layer1", "layer2", "layer3", "layer4") if name in children]
    if not rows:
        listed = getattr(module, "feature_info", None)
        stages = [stage.get("module", "") for stage in listed] if isinstance(listed, list) else []
        known = dict(module.named_modules())
        rows = [name for name in stages if name in known]
        children = known
    if not rows:
        raise UnsupportedError(
            f"{model.name} is neither a row of blocks nor of stages, so its layers are not known; name the parts to look at."
        )
    return {name: children[name] for name in rows}


def _units(model: NetworkLike, output: Tensor, size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """((rows * cols, channels), (rows, cols)) of one part's output for one image."""
    layout = getattr(model, "layout", None)
    if output.ndim == 4 and output.shape[0] == 1:
        # Swin's stages and patch embeddings of dynamic size have channels last.
        last = str(getattr(model.module, "output_fmt", "")).endswith("NHWC")
        if last or (layout is not None and tuple(output.shape[1:3]) == layout.grid):
            return output[0].flatten(0, 1), (
                output.shape[1],
                output.shape[2],
            )  # (rows, cols, channels) -> (units, channels)
        return output[0].flatten(1).T, (output.shape[2], output.shape[3])  # (channels, rows, cols) -> (units, channels)
    if output.ndim == 3 and output.shape[0] == 1:
        tokens = output.shape[1]
        if layout is not None and tokens in (layout.num_tokens, layout.num_patches):
            return output[0, tokens - layout.num_patches :], layout.grid
        rows = math.isqrt(round(tokens * size[0] / size[1]))
        if rows and tokens % rows == 0 and rows * size[1] == (tokens // rows) * size[0]:
            return output[0], (rows, tokens // rows)
    raise UnsupportedError(
        f"A part of {model.name} gives an array of shape {tuple(output.shape)}, which is neither a map nor a sequence of "
        "patches, so it has no middle unit."
    )
