"""The token layout of a timm module at an input size, read off the module and not from a list of names."""

from __future__ import annotations

from torch import nn

from vitviz.capture.coordinates.layouts import entrance
from vitviz.capture.modules import input_channels
from vitviz.errors import NOT_TAKEN, UnsupportedError
from vitviz.models.probe import last_map
from vitviz.tokens import TokenLayout


def layout_of(module: nn.Module, name: str, input_size: tuple[int, int]) -> TokenLayout:
    """Which token is which patch at the module's input, for an image of (height, width) pixels.

    It is the layout of the first attention over patches. Where prefix tokens join the sequence only after the trunk (CaiT),
    and in windows and stages, the prefix is empty: each layer's own layout says more. Where no attention relates patches
    (channels attend, or overlapping neighbourhoods), the grid is that of the feature map in front of the first attention.

    Raises UnsupportedError for a module without attention over tokens, and for a size that the module does not take.
    """
    refuse_other_channels(module, name)
    try:
        seen = entrance(module, input_size)
        if seen.layout is not None:
            return seen.layout
        grid = last_map(module, input_size) if seen.attends else None
    except NOT_TAKEN as error:
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
    """What to say of a size that the module's own code refuses."""
    return UnsupportedError(f"{name} does not take inputs of {_words(input_size)} pixels. {size_hint(module)}".strip())


def refuse_other_channels(module: nn.Module, name: str) -> None:
    """Raises UnsupportedError for a model of anything but RGB or grey pictures."""
    channels = input_channels(module)
    if channels not in (1, 3):
        raise UnsupportedError(
            f"{name} takes pictures of {channels} channels; a photograph has 3 (RGB), or 1 (grey). Choose a model of either."
        )


def size_hint(module: nn.Module) -> str:
    """What sizes are worth trying, as a sentence; empty where nothing is known."""
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


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
