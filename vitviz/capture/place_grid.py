"""Which grid the places of an attention call's tokens form, and what the tokens are called that have no place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitviz.capture.places import is_constant, is_mixture, is_place
from vitviz.tokens import TokenLayout, prefix_names

# Places that agree to this many pixels are one: resampled grids and means of float32 numbers miss by less.
_SAME_PLACE = 1e-2


def grid_of(
    places: Tensor, input_size: tuple[int, int], prefix: tuple[str, ...], shared: bool = False
) -> tuple[TokenLayout, Tensor] | None:
    """(layout, index of each entry in it) of (windows, tokens) places, or None where they form no grid.

    A place may come up once, or where `shared` once in each window.
    """
    known, learned = (
        is_place(places),
        is_constant(places) | is_mixture(places),
    )  # a mean over all patches may go first, too
    num_prefix = int(learned[0].sum())
    if bool(learned.any()) and (len(places) > 1 or not bool(learned[0, :num_prefix].all())):
        return None  # learned tokens inside windows, or behind the patches
    if not bool((known | learned | places.isnan()).all()):
        return None
    tokens = torch.full(places.shape, -1, dtype=torch.int64)
    tokens[0, :num_prefix] = torch.arange(num_prefix)
    names = _names(num_prefix, prefix)
    if not bool(known.any()):
        return TokenLayout(names if num_prefix else (), (0, 0), (1, 1)), tokens
    rows, row_of = _ranks(places.real[known])
    cols, col_of = _ranks(places.imag[known])
    patches = row_of * cols + col_of
    tokens[known] = patches + num_prefix
    if len(patches.unique()) != rows * cols or not (shared or len(patches) == rows * cols):
        return None
    if shared:
        ordered = tokens.sort(1).values
        if bool(((ordered.diff(dim=1) == 0) & (ordered[:, 1:] >= 0)).any()):
            return None
    patch_size = (max(1, round(input_size[0] / rows)), max(1, round(input_size[1] / cols)))
    return TokenLayout(names, (rows, cols), patch_size), tokens


def _ranks(positions: Tensor) -> tuple[int, Tensor]:
    """(number of different positions, rank of each)."""
    values, order = positions.sort()
    steps = torch.cat([torch.zeros(1), (values.diff() > _SAME_PLACE).float()]).cumsum(0).long()
    ranks = torch.empty_like(steps)
    ranks[order] = steps
    return int(steps[-1]) + 1, ranks


def _names(num_prefix: int, prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Names of learned tokens: the model's own where it has as many, the class token alone, or numbers."""
    if num_prefix <= len(prefix):
        return prefix[:num_prefix]
    return ("cls",) if num_prefix == 1 else tuple(f"token{i}" for i in range(num_prefix))


def prefix_of(module: nn.Module) -> tuple[str, ...]:
    """Names of the prefix tokens that a model keeps as parameters, in their order."""
    source = getattr(module, "embeds", module)  # NaFlex keeps its tokens with its embedding
    registers = getattr(source, "reg_token", None)
    num_registers = int(registers.shape[-2]) if isinstance(registers, Tensor) else 0
    has_cls = getattr(source, "cls_token", None) is not None
    distilled = getattr(source, "dist_token", None) is not None
    return prefix_names(has_cls + distilled + num_registers, has_cls, distilled)
