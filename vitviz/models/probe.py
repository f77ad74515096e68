"""A forward pass without numbers: does it go through, and which token grid does its first attention see?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.evaluation import evaluating, unwrapped
from vitviz.capture.events import AttentionEvents
from vitviz.capture.fused_call import FusedCall
from vitviz.capture.module_names import ModuleNames
from vitviz.capture.products import WeightedSum


@dataclass(frozen=True)
class Probe:
    """What a pass on the meta device showed.

    attends  whether anything in it looked like attention: a fused call, or a softmax over the last axis of a matrix of
             scores
    tokens   tokens of the first attention, or None
    grid     (rows, cols) of the patch embedding's output; without one, of the last feature map before the first
             attention
    """

    attends: bool
    tokens: int | None
    grid: tuple[int, int] | None


class _FirstAttentionSeen(Exception):
    pass


class _FirstAttention(AttentionEvents):
    """Stops the pass, with its number of tokens, at the first attention.

    maps  feature maps of the pass so far; those before the first softmax over scores are kept apart
    """

    def __init__(self, maps: list[tuple[int, int]]) -> None:
        self.tokens: int | None = None
        self.maps = maps
        self.maps_before: list[tuple[int, int]] | None = None

    def _stop(self, tokens: int) -> None:
        self.tokens = tokens
        self._keep_maps()
        raise _FirstAttentionSeen

    def _keep_maps(self) -> None:
        if self.maps_before is None:
            self.maps_before = list(self.maps)

    def fused(self, call: FusedCall) -> Tensor:
        self._stop(call.query.shape[-2])
        return call.run()

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        self._stop(args[0].shape[0])

    def scores(self, scores: Tensor) -> Tensor:
        """Also where no values are multiplied by the weights: what is no attention in the end looks like it here."""
        if self.tokens is None and scores.ndim >= 3 and min(scores.shape[-2:]) > 1:
            self.tokens = scores.shape[-2]
            self._keep_maps()
        return scores

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        if min(call.weights.shape[-2:]) > 1:
            self._stop(call.weights.shape[-2])
        return out


def probe(module: nn.Module, input_size: tuple[int, int]) -> Probe:
    """Runs `module` on the meta device at (height, width) up to its first attention.

    Raises whatever the module raises for a size it does not take. Hold the model's lock: its parameters are swapped
    meanwhile.
    """
    module = unwrapped(module)
    maps: list[tuple[int, int]] = []
    embedding: list[tuple[int, int]] = []

    def hook_for(into: list[tuple[int, int]]) -> Callable[..., None]:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            grid = _grid_of(output, input_size)
            if grid is not None:
                into.append(grid)

        return keep

    embed = getattr(module, "patch_embed", None)
    if isinstance(embed, nn.Module) and not isinstance(embed, nn.ModuleList):
        handles = [embed.register_forward_hook(hook_for(embedding))]
    else:
        handles = [part.register_forward_hook(hook_for(maps)) for part in module.modules()]
    first = _FirstAttention(maps)
    try:
        with torch.no_grad(), AttentionCalls(first, ModuleNames(()), refusing=False):
            run_on_meta(module, input_size)
    except _FirstAttentionSeen:
        pass
    finally:
        for handle in handles:
            handle.remove()
    # scores that pass through a convolution (talking heads) are tokens x tokens, and no picture
    before = maps if first.maps_before is None else first.maps_before
    pictures = [grid for grid in before if grid != (first.tokens, first.tokens)]
    grid = embedding[-1] if embedding else pictures[-1] if pictures else None
    return Probe(first.tokens is not None, first.tokens, grid)


def run_on_meta(module: nn.Module, input_size: tuple[int, int]) -> Tensor:
    """The module's output for one image of (height, width), without numbers."""
    module = unwrapped(module)
    state = {name: tensor.to("meta") for name, tensor in _tensors(module)}
    dtype = next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), None)
    with evaluating(module):
        return torch.func.functional_call(module, state, (torch.empty(1, 3, *input_size, device="meta", dtype=dtype),))


def _tensors(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _grid_of(output: Any, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of a feature map or of a sequence that unrolls one; None for anything else."""
    tensor = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(tensor, Tensor) or tensor.shape[0] != 1:  # more than the one image: it has been cut into windows
        return None
    if tensor.ndim == 4:
        for rows, cols in (
            tensor.shape[2:],
            tensor.shape[1:3],
        ):  # (batch, width, rows, cols) or (batch, rows, cols, width)
            if _is_shrunk(rows, cols, input_size):
                return rows, cols
    return unrolled(tensor.shape[1], input_size) if tensor.ndim == 3 else None


def _is_shrunk(rows: int, cols: int, input_size: tuple[int, int]) -> bool:
    """Whether a grid has the shape of the input, up to one row or column of rounding."""
    height, width = input_size
    return (
        1 < max(rows, cols)
        and rows < height
        and cols < width
        and abs(rows * width - cols * height) <= max(height, width)
    )


def unrolled(tokens: int, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) with rows x cols tokens and the shape of the input, or None where there is no such grid."""
    height, width = input_size
    rows = round(math.sqrt(tokens * height / width))
    for candidate in (rows, rows - 1, rows + 1):
        if candidate > 0 and tokens % candidate == 0 and _is_shrunk(candidate, tokens // candidate, input_size):
            return candidate, tokens // candidate
    return None
