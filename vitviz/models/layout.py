"""The token layout of a timm module at an input size, read off the module and not from a list of names."""

from __future__ import annotations

from torch import nn

from vitviz.errors import NOT_TAKEN, UnsupportedError
from vitviz.models.probe import Probe, probe, unrolled
from vitviz.tokens import TokenLayout, prefix_names


def layout_of(module: nn.Module, name: str, input_size: tuple[int, int]) -> TokenLayout:
    """Which token is which patch at the module's input, for an image of (height, width) pixels.

    Where prefix tokens join the sequence only after the trunk (CaiT), and in windows and stages, the prefix is empty:
    each layer's own layout says more. A hybrid's grid is its convolutional stem's output; a hierarchical model's is
    that of its patch embedding, or of the feature map that its first attention sees.

    Raises UnsupportedError for a module without attention over tokens, and for a size that the module does not take.
    """
    try:
        seen = probe(module, input_size)
    except NOT_TAKEN as error:
        raise UnsupportedError(
            f"{name} does not take inputs of {_words(input_size)} pixels. {size_hint(module)}".strip()
        ) from error
    if not seen.attends:
        raise UnsupportedError(
            f"{name} has no attention over tokens, so there is no attention to show; "
            "choose a Vision Transformer, such as vit_small_patch16_224 or the embedded model."
        )
    grid, num_prefix = _grid_and_prefix(module, seen, input_size)
    if grid is None:
        raise UnsupportedError(f"{name} attends over {seen.tokens} tokens that form no grid over the picture.")
    rows, cols = grid
    patch_size = (max(1, round(input_size[0] / rows)), max(1, round(input_size[1] / cols)))
    return TokenLayout(_prefix(module, num_prefix), grid, patch_size)


def _grid_and_prefix(module: nn.Module, seen: Probe, input_size: tuple[int, int]) -> tuple[tuple[int, int] | None, int]:
    """((rows, cols), number of prefix tokens): the embedding's grid, and what the first attention sees beyond it."""
    declared = getattr(module, "num_prefix_tokens", None)
    if seen.grid is not None:
        beyond = (seen.tokens or 0) - seen.grid[0] * seen.grid[1]
        if beyond == 0 or (beyond > 0 and beyond == declared):
            return seen.grid, beyond
    # Several branches (CrossViT) or an embedding that hands on no map (NaFlex): fold the first attention's sequence
    # itself.
    branched = isinstance(getattr(module, "patch_embed", None), nn.ModuleList)
    if seen.tokens is not None and (seen.grid is None or branched):
        for num_prefix in (declared or 0, 0, 1):
            grid = unrolled(seen.tokens - num_prefix, input_size)
            if grid is not None:
                return grid, num_prefix
    return seen.grid, 0


def _prefix(module: nn.Module, num_prefix: int) -> tuple[str, ...]:
    """Names of the prefix tokens, from the module's own parameters."""
    source = getattr(module, "embeds", module)  # NaFlex keeps its tokens with its embedding
    distilled = getattr(source, "dist_token", None) is not None
    registers = getattr(source, "reg_token", None)
    num_registers = 0 if registers is None else registers.shape[-2]
    return prefix_names(num_prefix, has_cls=num_prefix > num_registers + distilled, distilled=distilled)


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
