"""Patch embeddings, and the position embeddings that a model adds to them.

Both are recorded in forward passes of the module's own code that end before the first layer, so that names of its parts and the
way it resamples a table do not matter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.modules import blank_input, eval_mode
from vitviz.errors import INPUT_ERRORS
from vitviz.tokens import TokenLayout

# Largest relative difference between what is added to two random inputs; a larger one is not rounding.
TOLERANCE = 1e-2


class _FirstLayerReached(BaseException):
    """Ends a pass when its tokens have been recorded."""


def first_sequence_module(module: nn.Module) -> nn.Module | None:
    """The first module that is given the whole sequence with its positions added; None if it has no known name."""
    embeds = getattr(module, "embeds", None)  # NaFlexViT
    blocks = getattr(module, "blocks", None)
    first = blocks[0] if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) else None
    found = (getattr(embeds, "pos_drop", None), getattr(module, "pos_drop", None), first)
    return next((part for part in found if isinstance(part, nn.Module)), None)


def patch_embedding_of(module: nn.Module) -> nn.Module | None:
    """The module whose output is one vector for each patch, before positions are added; None if it has no known name."""
    embeds = getattr(module, "embeds", None)  # NaFlexViT: a projection, then a norm or an identity
    found = (
        getattr(embeds, "norm", None),
        getattr(embeds, "proj", None),
        getattr(module, "norm2_proj", None),  # TNT: from the pixels of a patch to the patch
        getattr(module, "patch_embed", None),
    )
    return next((part for part in found if isinstance(part, nn.Module)), None)


def embedded_patches(module: nn.Module, pixels: Tensor, layout: TokenLayout) -> Tensor | None:
    """The patch embeddings of one model input. Hold the model's lock.

    Args:
        module: The model.
        pixels: (3, height, width), normalised.
        layout: Which token is which patch.

    Returns:
        (patches, width), or None if the embedding is not one vector for each patch.
    """
    maker = patch_embedding_of(module)
    seen: list[Tensor | None] = []

    def keep(output: Tensor) -> Tensor:
        vectors = one_vector_a_patch(output, layout)
        seen.append(None if vectors is None else vectors.clone())  # the model may add positions in place
        raise _FirstLayerReached

    if maker is None:
        return None
    _pass(module, pixels[None], maker, keep)
    return seen[0] if seen else None


def added_positions(module: nn.Module, layout: TokenLayout, input_size: tuple[int, int]) -> Tensor | None:
    """The position embeddings that the module adds to its patch embeddings before the first layer. Hold the model's lock.

    The patch embeddings are replaced by zeros; the input of the first layer then is what was added.

    Args:
        module: The model.
        layout: Which token is which patch.
        input_size: (height, width) in pixels; for overlapping patches it does not follow from the layout.

    Returns:
        (patches, width), zeros if nothing is added. None if what is added depends on the patches, or if the input of the first
        layer is not one vector for each patch in the order of the grid.
    """
    maker, entrance = patch_embedding_of(module), first_sequence_module(module)
    if maker is None or entrance is None:
        return None
    blank = blank_input(module, input_size)
    generator = torch.Generator().manual_seed(0)

    def entered(patches: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor] | None:
        put: list[Tensor] = []
        seen: list[Tensor] = []

        def replace(output: Tensor) -> Tensor:
            put.append(patches(output))
            return put[-1].clone()

        def arrive(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == own:
                given = next((each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)), None)
                if given is not None:
                    seen.append(given.clone())
                raise _FirstLayerReached

        own = threading.get_ident()
        handle = entrance.register_forward_pre_hook(arrive, with_kwargs=True)
        try:
            _pass(module, blank, maker, replace)
        finally:
            handle.remove()
        before = one_vector_a_patch(put[-1], layout) if put else None
        after = one_vector_a_patch(seen[-1], layout) if seen else None
        return None if before is None or after is None or before.shape != after.shape else (before, after)

    nothing = entered(torch.zeros_like)
    something = entered(lambda output: torch.randn(output.shape, generator=generator).to(output))
    if nothing is None or something is None:
        return None
    position, again = nothing[1].float(), something[1].float() - something[0].float()
    size = max(1.0, float(position.abs().max()))
    return nothing[1] if torch.allclose(position, again, rtol=0, atol=TOLERANCE * size) else None


def one_vector_a_patch(tokens: Tensor, layout: TokenLayout) -> Tensor | None:
    """One vector for each patch, without prefix tokens.

    Args:
        tokens: (1, tokens, width), (1, rows, cols, width) or (1, width, rows, cols).
        layout: Which token is which patch.

    Returns:
        (patches, width), or None for tokens of another shape.
    """
    if tokens.ndim == 3 and tokens.shape[1] >= layout.num_patches:
        return tokens[0, -layout.num_patches :]
    if tokens.ndim == 4 and tokens.shape[1:3] == layout.grid:
        return tokens[0].reshape(layout.num_patches, -1)  # (rows, cols, width) -> (patches, width)
    if tokens.ndim == 4 and tokens.shape[2:] == layout.grid:
        return tokens[0].flatten(1).T  # (width, rows, cols) -> (patches, width)
    return None


def _pass(module: nn.Module, x: Tensor, maker: nn.Module, replace: Callable[[Tensor], Tensor]) -> None:
    """Runs the module with replaced patch embeddings until a hook raises `_FirstLayerReached`."""
    own = threading.get_ident()

    def change(_module: nn.Module, _args: Any, output: Any) -> Any:
        if threading.get_ident() != own:
            return None
        if isinstance(output, tuple):  # embeddings and the size of the grid
            return (replace(output[0]), *output[1:])
        return replace(output)

    with ExitStack() as stack, eval_mode(module), torch.inference_mode():
        stack.callback(maker.register_forward_hook(change).remove)
        try:
            module(x)
        except (_FirstLayerReached, *INPUT_ERRORS):
            pass
