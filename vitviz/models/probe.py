"""A forward pass without numbers: does it go through, and which token grid does its first attention see?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_SOFTMAXES = (functional.softmax, torch.softmax, Tensor.softmax)
_FUSED = (functional.scaled_dot_product_attention, functional.multi_head_attention_forward)


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


class _Listener(TorchFunctionMode):
    """Stops the pass, with its number of tokens, at the first attention."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: int | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FUSED:
            self.tokens = args[0].shape[-2] if func is _FUSED[0] else args[0].shape[0]
            raise _FirstAttentionSeen
        if func in _SOFTMAXES and _over_scores(args[0], kwargs.get("dim", args[1] if len(args) > 1 else None)):
            self.tokens = args[0].shape[-2]
            raise _FirstAttentionSeen
        return func(*args, **kwargs)


def _over_scores(scores: Tensor, dim: int | None) -> bool:
    last = dim is not None and dim in (-1, scores.ndim - 1)
    return last and scores.ndim >= 3 and min(scores.shape[-2:]) > 1


def probe(module: nn.Module, input_size: tuple[int, int]) -> Probe:
    """Runs `module` on the meta device at (height, width) up to its first attention.

    Raises whatever the module raises for a size it does not take. Hold the model's lock: its parameters are swapped
    meanwhile.
    """
    maps: list[tuple[int, int]] = []
    embedding: list[tuple[int, int]] = []

    def listener_for(into: list[tuple[int, int]]) -> Callable[..., None]:
        def listen(_module: nn.Module, _args: Any, output: Any) -> None:
            grid = _grid_of(output, input_size)
            if grid is not None:
                into.append(grid)

        return listen

    embed = getattr(module, "patch_embed", None)
    if isinstance(embed, nn.Module) and not isinstance(embed, nn.ModuleList):
        handles = [embed.register_forward_hook(listener_for(embedding))]
    else:
        handles = [part.register_forward_hook(listener_for(maps)) for part in module.modules()]
    listener = _Listener()
    attends = True
    try:
        with torch.no_grad(), listener:
            run_on_meta(module, input_size)
            attends = False
    except _FirstAttentionSeen:
        pass
    finally:
        for handle in handles:
            handle.remove()
    # scores that pass through a convolution (talking heads) are tokens x tokens, and no picture
    pictures = [grid for grid in maps if grid != (listener.tokens, listener.tokens)]
    grid = embedding[-1] if embedding else pictures[-1] if pictures else None
    return Probe(attends, listener.tokens, grid)


def run_on_meta(module: nn.Module, input_size: tuple[int, int]) -> Tensor:
    """The module's output for one image of (height, width), without numbers."""
    state = {name: tensor.to("meta") for name, tensor in _tensors(module)}
    dtype = next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), None)
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
