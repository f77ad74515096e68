"""Small models, and the same edits made by hand: to the pixels, to the weights, or to the sequence."""

from __future__ import annotations

import copy

import torch
from hypothesis import strategies as st

from tests.capture.families import FAMILIES, Family, build
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
    intervene,
)
from vitviz.analysis.question import BareModel

PLAIN = FAMILIES[0]
REGISTERS = next(f for f in FAMILIES if "reg4_dinov2" in f.architecture)
SIGLIP = next(f for f in FAMILIES if "siglip" in f.architecture)
POSITIONED = [PLAIN, REGISTERS, SIGLIP, next(f for f in FAMILIES if "deit3" in f.architecture)]
AVERAGING = Family(
    "vit_tiny_patch16_224",
    (),
    (4, 6),
    arguments={"embed_dim": 48, "depth": 2, "num_heads": 3, "class_token": False, "global_pool": "avg"},
)


def made(family, double: bool = True):
    module, x, layout = build(family)
    return BareModel(module.double() if double else module, layout, str(family)), x.double() if double else x


def answer(model, x, *interventions, **kwargs) -> torch.Tensor:
    with intervene(model, *interventions, **kwargs) as changed, torch.no_grad():
        return changed.module(x)


def plainly(module, x) -> torch.Tensor:
    with torch.no_grad():
        return module(x)


def far(one, other) -> bool:
    return bool((one - other).abs().max() > 1e-4)


def by_loop(x, layout):
    """(row, col, pixel slices) of every patch."""
    high, wide = x.shape[-2] // layout.grid[0], x.shape[-1] // layout.grid[1]
    for row in range(layout.grid[0]):
        for col in range(layout.grid[1]):
            yield slice(row * high, (row + 1) * high), slice(col * wide, (col + 1) * wide)


def without_columns(module, heads):
    """The output projection without the columns that these heads write through."""
    edited = copy.deepcopy(module)
    for layer, head in heads:
        attention = edited.blocks[layer].attn
        size = attention.proj.in_features // attention.num_heads
        attention.proj.weight.data[:, head * size : (head + 1) * size] = 0
    return edited


def columns_removed(module, x, tokens, layers):
    """The same cut in another way: weights after the softmax, their columns at zero and their rows rescaled."""
    module = copy.deepcopy(module)
    for layer, block in enumerate(module.blocks):
        block.attn.fused_attn = False
        if layer in layers:

            def cut(_module, _args, weights):
                weights = weights.clone()
                weights[..., tokens] = 0
                return weights / weights.sum(-1, keepdim=True)

            block.attn.attn_drop.register_forward_hook(cut)
    return plainly(module, x)


indices = st.lists(st.integers(0, 300), min_size=1, max_size=30).map(tuple)
interventions = st.one_of(
    st.builds(HidePatches, indices, st.sampled_from(["mean", "blur", "removed"])),
    st.builds(ShufflePatches, st.integers(0, 999)),
    st.builds(ChangePositions, st.just("shuffle"), st.integers(0, 999)),
    st.just(ChangePositions("zero")),
    st.builds(
        SwitchOffHeads,
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1).map(tuple),
        st.sampled_from(["zero", "mean"]),
    ),
    st.builds(SwitchOffLayers, indices),
    st.builds(CutTokens, indices, st.none() | indices),
)
