"""Passes without numbers: does a module take an input size, and how large is its last feature map before attention?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.coordinates.tensor import without_numbers
from vitviz.capture.events import AttentionEvents, FusedCall
from vitviz.capture.modules import ModuleNames, blank_input, evaluating, unwrapped


class _FirstAttention(Exception):
    pass


class _Stop(AttentionEvents):
    """Ends the pass at the first attention, or at what looks like it: a softmax over a matrix of scores."""

    def fused(self, call: FusedCall) -> Tensor:
        raise _FirstAttention

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        raise _FirstAttention

    def scores(self, scores: Tensor) -> Tensor:
        if scores.ndim >= 3 and min(scores.shape[-2:]) > 1:
            raise _FirstAttention(scores.shape[-2:])
        return scores


def last_map(module: nn.Module, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of the last feature map in front of the first attention, from a pass on the meta device that ends there;
    None where there is no such map. Only tensors that have rows and columns count: a number of tokens is no grid.

    Raises whatever the module raises for a size it does not take. Hold the model's lock.
    """
    module = _on_meta(module)
    maps: list[tuple[int, int]] = []

    def look(_module: nn.Module, _args: Any, output: Any) -> None:
        grid = _grid_of(output, input_size)
        if grid is not None:
            maps.append(grid)

    handles = [part.register_forward_hook(look) for part in module.modules()]
    try:
        with torch.no_grad(), AttentionCalls(_Stop(), ModuleNames(()), refusing=False):
            run_on_meta(module, input_size)
    except _FirstAttention as found:
        scores = tuple(found.args[0]) if found.args else None
        maps = [
            grid for grid in maps if grid != scores
        ]  # scores that went through a module are queries x keys, and no map
    finally:
        for handle in handles:
            handle.remove()
    return maps[-1] if maps else None


def run_on_meta(module: nn.Module, input_size: tuple[int, int]) -> Tensor:
    """The module's output for one image of (height, width), without numbers. Hold the model's lock."""
    bare = _on_meta(module)
    with evaluating(bare):
        output: Tensor = bare(blank_input(bare, input_size, "meta"))
    return output


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy of `module` without numbers, so that passes of the shared module never meet its parameters swapped; the module
    itself where it has no numbers.
    """
    module = unwrapped(module)
    bare = all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    return module if bare else without_numbers(module, own_precision=True)


def _grid_of(output: Any, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of a feature map (1, width, rows, cols) or (1, rows, cols, width); None for anything else."""
    tensor = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(tensor, Tensor) or tensor.ndim != 4 or tensor.shape[0] != 1:  # several: it was cut into windows
        return None
    height, width = input_size
    for rows, cols in (tensor.shape[2:], tensor.shape[1:3]):
        shrunk = 1 < max(rows, cols) and rows < height and cols < width
        if shrunk and abs(rows * width - cols * height) <= max(
            height, width
        ):  # the input's shape, up to one row or column
            return rows, cols
    return None
