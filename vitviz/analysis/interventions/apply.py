"""Applying interventions: the model runs changed inside a `with` block, and is as it was after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vitviz.analysis.interventions.kinds import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)
from vitviz.analysis.interventions.means import HeadMeans
from vitviz.analysis.interventions.pixels import changed_pixels, permutation
from vitviz.analysis.interventions.text import Interventions
from vitviz.analysis.positions import added_vectors
from vitviz.analysis.question import ModelLike
from vitviz.capture.ablation import Ablation, HeadSwitch, ablated
from vitviz.capture.blocks import Trunk, final_norm
from vitviz.capture.embeddings import entrance_of
from vitviz.capture.modules import evaluating, num_heads_of
from vitviz.errors import UnsupportedError

AnyModel = TypeVar("AnyModel", bound=ModelLike)


@contextmanager
def intervene(
    model: AnyModel, *interventions: Intervention | Interventions, head_means: HeadMeans | None = None
) -> Iterator[AnyModel]:
    """While inside, every pass of `model` runs with the interventions applied in their order; gives the same model
    back.

        with vitviz.intervene(model, HidePatches((17, 18)), SwitchOffHeads(((11, 3),))) as changed:
            trace = vitviz.trace(changed, image)

    head_means  for heads replaced by their mean output (see `head_means`)

    Holds the model's lock, in evaluation mode. No weight is touched and nothing is left on the model, also after an
    exception. Raises ValueError for patches, tokens, layers or heads that do not exist, UnsupportedError for an intervention
    that this model has no place for; inside, a pass raises UnsupportedError where attention is to be changed and none is seen.
    """
    items = [item for given in interventions for item in (given if isinstance(given, Interventions) else (given,))]
    with model.lock, ExitStack() as stack:
        stack.enter_context(evaluating(model.module))
        _check_patches(items, model)
        for item in items:
            match item:
                case HidePatches() | ShufflePatches():
                    _hold(stack, model.module.register_forward_pre_hook(_pixel_hook(item, model)))
                case SwitchOffLayers():
                    blocks = Trunk(model.module).blocks
                    for layer in item.layers:
                        _exists(layer, len(blocks), "layer")
                        _hold(stack, blocks[layer].register_forward_hook(lambda _m, args, _out: args[0]))
        positions = [item for item in items if isinstance(item, ChangePositions)]
        if positions:
            _hold(stack, _entrance(model).register_forward_pre_hook(_position_hook(positions, model)))
        ablation = _ablation(items, model, head_means)
        if ablation.heads or ablation.cut:
            stack.enter_context(ablated(_attending_parts(model.module), ablation))
        removed = _removed_tokens(items, model)
        norm = final_norm(model.module)
        if removed and norm is not None and _averages(model.module):
            _hold(stack, norm.register_forward_hook(_without(removed, model.layout.num_tokens)))
        yield model


def _hold(stack: ExitStack, handle: RemovableHandle) -> None:
    stack.callback(handle.remove)


def _pixel_hook(item: HidePatches | ShufflePatches, model: ModelLike) -> Callable[..., Any]:
    def change(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (changed_pixels(args[0], item, model.layout), *args[1:])

    return change


def _position_hook(items: list[ChangePositions], model: ModelLike) -> Callable[..., Any]:
    """Adds the difference between the positions as `items` leave them, one after the other, and as they are."""
    layout = model.layout
    before = added_vectors(model, layout).float()  # (patches, width)
    after = before
    for item in items:
        order = torch.from_numpy(permutation(layout, item.seed)).to(after.device)
        after = torch.zeros_like(after) if item.how == "zero" else after[order]
    with torch.inference_mode(False), torch.no_grad():
        difference = (after - before).clone()

    def change(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens = args[0]
        if tokens.ndim != 3 or tokens.shape[1] not in (layout.num_tokens, layout.num_patches):
            raise UnsupportedError(
                f"{model.name} has {tuple(tokens.shape)} tokens where its positions are added, not {layout.num_tokens}."
            )
        # a class token may come later, as in XCiT
        prefix, patches = tokens[:, : -layout.num_patches], tokens[:, -layout.num_patches :]
        return (torch.cat([prefix, patches + difference.to(patches)], 1), *args[1:])

    return change


def _entrance(model: ModelLike) -> nn.Module:
    """The module that first gets the whole sequence with its positions added. Raises UnsupportedError where it is not known."""
    found = entrance_of(model.module)
    if found is None:
        raise UnsupportedError(f"Where {model.name} adds positions to its patches could not be found.")
    return found


def _ablation(items: list[Intervention], model: ModelLike, means: HeadMeans | None) -> Ablation:
    """Everything that happens inside attention, gathered by layer."""
    off: dict[int, dict[int, str]] = {}
    cut: dict[int, set[int]] = {}
    removed = _removed_tokens(items, model)
    acting = [item for item in items if isinstance(item, SwitchOffHeads | CutTokens)]
    if not acting and not removed:
        return Ablation()
    blocks = Trunk(model.module).blocks
    everywhere = range(len(blocks) + 1)  # the attention that pools comes after the last layer
    for layer in everywhere if removed else ():
        cut.setdefault(layer, set()).update(removed)
    for item in acting:
        if isinstance(item, SwitchOffHeads):
            for layer, head in item.heads:
                _exists(layer, len(blocks), "layer")
                _exists(head, _num_heads(blocks[layer]), "head")
                off.setdefault(layer, {})[head] = item.fill
        else:
            for layer in everywhere if item.layers is None else item.layers:
                if item.layers is not None:
                    _exists(layer, len(blocks), "layer")
                cut.setdefault(layer, set()).update(item.tokens)
    heads = {layer: _head_switch(layer, fills, blocks[layer], model, means) for layer, fills in off.items()}
    return Ablation(heads, {layer: sorted(tokens) for layer, tokens in cut.items()}, model.layout.num_tokens)


def _head_switch(
    layer: int, fills: dict[int, str], block: nn.Module, model: ModelLike, means: HeadMeans | None
) -> HeadSwitch:
    keep = torch.ones(1, _num_heads(block))
    keep[:, list(fills)] = 0
    by_mean = [head for head, fill in fills.items() if fill == "mean"]
    if not by_mean:
        return HeadSwitch(keep)
    if means is None:
        raise ValueError(
            "heads are to be replaced by their mean output, and no means were given; compute them with head_means"
        )
    if len(means.layers) <= layer or means.layers[layer].shape[:2] != (keep.shape[1], model.layout.num_prefix + 1):
        raise ValueError("the heads' mean outputs given belong to another model")
    fill = torch.zeros_like(whole := means.fill(layer, model.layout))
    fill[by_mean] = whole[by_mean]
    return HeadSwitch(keep, fill)


def _num_heads(block: nn.Module) -> int:
    heads = num_heads_of(block)
    if heads is None:
        raise UnsupportedError(
            "The number of heads in a layer of this model could not be found, so none can be switched off."
        )
    return heads


def _attending_parts(module: nn.Module) -> dict[int, nn.Module]:
    """Layer -> block; after the last layer the attention that pools, where there is one."""
    blocks = Trunk(module).blocks
    parts = dict(enumerate(blocks))
    pool = getattr(module, "attn_pool", None)
    if isinstance(pool, nn.Module):
        parts[len(blocks)] = pool
    return parts


def _removed_tokens(items: list[Intervention], model: ModelLike) -> list[int]:
    patches = {
        patch for item in items if isinstance(item, HidePatches) and item.fill == "removed" for patch in item.patches
    }
    return sorted(patch + model.layout.num_prefix for patch in patches)


def _averages(module: nn.Module) -> bool:
    """Whether the output is pooled over all patches without attention, so that a token nobody attends to would still
    be counted.
    """
    pool = str(getattr(module, "global_pool", ""))
    return not isinstance(getattr(module, "attn_pool", None), nn.Module) and ("avg" in pool or "max" in pool)


def _without(removed: list[int], num_tokens: int) -> Callable[..., Tensor]:
    kept = [token for token in range(num_tokens) if token not in set(removed)]

    def leave_out(_module: nn.Module, _args: Any, tokens: Tensor) -> Tensor:
        return tokens[:, kept] if tokens.shape[1] == num_tokens else tokens

    return leave_out


def _check_patches(items: list[Intervention], model: ModelLike) -> None:
    layout = model.layout
    cut: set[int] = set()
    for item in items:
        if isinstance(item, HidePatches):
            for patch in item.patches:
                _exists(patch, layout.num_patches, "patch")
        if isinstance(item, CutTokens):
            for token in item.tokens:
                _exists(token, layout.num_tokens, "token")
            cut.update(item.tokens)
    cut.update(_removed_tokens(items, model))
    if len(cut) >= layout.num_tokens or len(_removed_tokens(items, model)) >= layout.num_patches:
        raise ValueError("at least one token has to be left to attend to")


def _exists(index: int, size: int, kind: str) -> None:
    if index >= size:
        raise ValueError(f"{kind} {index} does not exist: there are {size}, counted from 0")
