"""Determines the token layout of a module at an input size by passes on the meta device, without a list of architectures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.coordinates.layouts import first_attention
from vitviz.capture.coordinates.tensor import without_numbers
from vitviz.capture.events import AttentionEvents, FusedCall
from vitviz.capture.modules import ModuleNames, blank_input, eval_mode, input_channels, unwrapped
from vitviz.capture.roles import is_score_matrix
from vitviz.errors import INPUT_ERRORS, UnsupportedError
from vitviz.tokens import TokenLayout


class _FirstAttention(Exception):
    pass


class _Stop(AttentionEvents):
    """Ends the pass at the first attention, or at the first softmax over a matrix of scores."""

    def fused(self, call: FusedCall) -> Tensor:
        raise _FirstAttention

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        raise _FirstAttention

    def scores(self, scores: Tensor) -> Tensor:
        if is_score_matrix(scores.shape):
            raise _FirstAttention(scores.shape[-2:])
        return scores


def last_map(module: nn.Module, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of the last feature map before the first attention, from a pass on the meta device that ends there.

    None if there is no such map. Only tensors with rows and columns count, since a grid does not follow from a number of
    tokens. Raises what the module raises for a size that it does not take. Hold the model's lock.
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
        ]  # scores that are a module's output are queries x keys, not a feature map
    finally:
        for handle in handles:
            handle.remove()
    return maps[-1] if maps else None


def run_on_meta(module: nn.Module, input_size: tuple[int, int]) -> Tensor:
    """The module's output on the meta device for one image of (height, width). Hold the model's lock."""
    bare = _on_meta(module)
    with eval_mode(bare):
        output: Tensor = bare(blank_input(bare, input_size, "meta"))
    return output


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy of `module` on the meta device, so that the shared module is not modified; a meta module itself."""
    module = unwrapped(module)
    bare = all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    return module if bare else without_numbers(module, own_precision=True)


def _grid_of(output: Any, input_size: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, cols) of a feature map (1, width, rows, cols) or (1, rows, cols, width); None for other outputs."""
    tensor = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(tensor, Tensor) or tensor.ndim != 4 or tensor.shape[0] != 1:  # a larger batch axis holds windows
        return None
    height, width = input_size
    for rows, cols in (tensor.shape[2:], tensor.shape[1:3]):
        shrunk = 1 < max(rows, cols) and rows < height and cols < width
        if shrunk and abs(rows * width - cols * height) <= max(
            height, width
        ):  # the input's aspect ratio, up to one row or column
            return rows, cols
    return None


def layout_of(module: nn.Module, name: str, input_size: tuple[int, int]) -> TokenLayout:
    """Which token is which patch at the module's first attention over patches, for an image of (height, width) pixels.

    The prefix is empty if prefix tokens are added after the backbone (CaiT), and in windows and stages; each layer has its own
    layout. Without attention between patches (attention over channels or overlapping neighbourhoods), the grid is that of the
    feature map before the first attention.

    Raises:
        UnsupportedError: For a module without attention over tokens, and for a size that the module does not take.
    """
    refuse_other_channels(module, name)
    try:
        seen = first_attention(module, input_size)
        if seen.layout is not None:
            return seen.layout
        grid = last_map(module, input_size) if seen.attends else None
    except INPUT_ERRORS as error:
        raise size_refusal(module, name, input_size) from error
    if not seen.attends:
        raise UnsupportedError(
            f"{name} has no attention over tokens, so there is no attention to show; "
            "choose a Vision Transformer, such as vit_small_patch16_224 or the embedded model."
        )
    if grid is None:
        raise UnsupportedError(f"{name} attends over tokens that form no grid over the picture.")
    rows, cols = grid
    return TokenLayout((), grid, (max(1, round(input_size[0] / rows)), max(1, round(input_size[1] / cols))))


def size_refusal(module: nn.Module, name: str, input_size: tuple[int, int]) -> UnsupportedError:
    """The error for a size that the module's own code rejects."""
    return UnsupportedError(
        f"{name} does not take inputs of {size_words(input_size)} pixels. {size_hint(module)}".strip()
    )


def refuse_other_channels(module: nn.Module, name: str) -> None:
    """Raises UnsupportedError for a model whose input is not RGB or grey."""
    channels = input_channels(module)
    if channels not in (1, 3):
        raise UnsupportedError(
            f"{name} takes pictures of {channels} channels; a photograph has 3 (RGB), or 1 (grey). Choose a model of either."
        )


def size_hint(module: nn.Module) -> str:
    """A sentence on which sizes to try; empty if unknown."""
    stride = _stride(module)
    if stride is None:
        return ""
    return (
        f"Height and width have to be multiples of {stride[0]}."
        if stride[0] == stride[1]
        else (f"The height has to be a multiple of {stride[0]} and the width of {stride[1]}.")
    )


def _stride(module: nn.Module) -> tuple[int, int] | None:
    embed = getattr(module, "patch_embed", None)
    if isinstance(embed, nn.Conv2d):
        return int(embed.stride[0]), int(embed.stride[1])
    ratio = getattr(embed, "feat_ratio", None)
    if ratio is None:
        return None
    height, width = ratio(as_scalar=False)
    return int(height), int(width)


def size_words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
