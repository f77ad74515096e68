"""Parts of a model by the names that they have in timm, and in transformers."""

from __future__ import annotations

from torch import nn

ATTENTION = ("attn", "attention", "self_attn")
OUTPUT = ("proj", "o_proj", "out_proj")
HEADS = ("num_heads", "num_attention_heads")


def attention_of(block: nn.Module) -> nn.Module | None:
    """The attention module of a block, or None."""
    return _first(block, ATTENTION)


def output_projection(attention: nn.Module) -> nn.Module | None:
    """W_o: the module that joins the heads' outputs, or None."""
    return _first(attention, OUTPUT)


def patch_filters(module: nn.Module) -> nn.Module | None:
    """The filters that a whole model makes its patches with: its patch embedding's `proj`, or that itself; or None."""
    embed = getattr(module, "patch_embed", None)
    return embed if isinstance(embed, nn.Conv2d) else _first(embed, ("proj",))


def num_heads_of(block: nn.Module) -> int | None:
    """How many heads attend in a block, or None where it does not say."""
    found = (getattr(attention_of(block), name, None) for name in HEADS)
    return next((number for number in found if isinstance(number, int)), None)


def _first(module: nn.Module | None, names: tuple[str, ...]) -> nn.Module | None:
    parts = (getattr(module, name, None) for name in names)
    return next((part for part in parts if isinstance(part, nn.Module)), None)
