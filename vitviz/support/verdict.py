"""The verdict on a model, with its reason, from the attention calls found by the pass over coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch

from vitviz.capture.coordinates.placement import CHANNELS, NEGATIVE, OVERLAPPING, UNPLACED, Placement
from vitviz.tokens import TokenLayout

VERDICTS = ("global", "mixed", "windowed", "refused")

_WHY_HIDDEN = {
    CHANNELS: "relates channels to each other, not patches",
    OVERLAPPING: "uses overlapping neighbourhoods whose sums belong to no single patch",
    UNPLACED: "relates tokens that do not form a grid over the picture",
    NEGATIVE: "subtracts one attention map from another, so that weights can be negative",
}
_ALWAYS = "patches, positions and the prediction"


@dataclass(frozen=True)
class LayerSummary:
    """Consecutive attention layers with the same properties.

    Attributes:
        first: Dotted name of the first layer's module.
        count: Number of layers.
        kind: As in `Placement`.
        fused: Whether they use the fused call.
        heads: Attention heads of each; 0 for layers that cannot be placed.
        query_grid, key_grid: (rows, cols) of patches, or None.
        windows: Number of windows.
    """

    first: str
    count: int
    kind: str
    fused: bool
    heads: int = 0
    query_grid: tuple[int, int] | None = None
    key_grid: tuple[int, int] | None = None
    windows: int = 0

    def __str__(self) -> str:
        """One line: "12 x global, 6 heads, 16x16 patches, from blocks.0.attn"."""
        parts = [f"{self.count} x {self.kind}"]
        if self.heads:
            parts.append(_count(self.heads, "head"))
        if self.windows > 1:
            parts.append(_count(self.windows, "window"))
        grids = [f"{grid[0]}x{grid[1]}" for grid in (self.query_grid, self.key_grid) if grid]
        if grids:
            parts.append(f"{' on '.join(dict.fromkeys(grids))} patches")
        return f"{', '.join(parts)}, from {self.first or 'the model itself'}"


@dataclass(frozen=True)
class Support:
    """What can be shown of a model.

    Attributes:
        name: The model's name.
        verdict: "global" (every attention layer relates all tokens of one grid), "mixed" (several grids, pooled keys or class
            attention; every layer in `layers` is exact on its own grid), "windowed" (attention inside windows, each at its
            position in the image), or "refused" (no attention between patches can be shown).
        reason: One sentence with the reason.
        instead: One sentence on what can be shown instead of what cannot, or "".
        fused: Whether the attention that is shown uses the fused call.
        rollout: Whether attention rollout is defined for the model.
        layers: Every attention layer in order, consecutive ones with the same properties together.
    """

    name: str
    verdict: str
    reason: str
    instead: str
    fused: bool
    rollout: bool
    layers: tuple[LayerSummary, ...]


def judge(name: str, placements: Sequence[Placement], layout: TokenLayout | None = None) -> Support:
    """The verdict on a model.

    Args:
        name: The model's name.
        placements: Its attention calls in order.
        layout: Layout of the first attention, if known: a token that is added later (the mean of all patches, in the attention
            pooling of a convolutional network) is not part of the sequence of earlier layers.
    """
    placements = _as_layers(placements)
    shown = [p for p in placements if p.kind in ("global", "pooled", "windowed")]
    pooling = [p for p in placements if p.kind == "pooling"]
    hidden = [p for p in placements if not p.placed]
    layers = _summaries(placements)
    fused = any(p.fused for p in (shown or pooling))
    if not shown:
        return Support(
            name, "refused", _why_refused(pooling, hidden), _instead_of_all(pooling, hidden), fused, False, layers
        )
    if any(p.kind == "windowed" for p in shown):
        verdict, reason = "windowed", _windowed_reason(shown)
    elif not (one := _is_one_sequence(shown, pooling) and not hidden) or _joined(shown, layout):
        verdict, reason = "mixed", _mixed_reason(shown, pooling, layout if one else None)
    else:
        verdict, reason = "global", _global_reason(shown)
    return Support(name, verdict, reason, _instead(verdict, shown, hidden), fused, verdict == "global", layers)


def _as_layers(placements: Sequence[Placement]) -> tuple[Placement, ...]:
    """Joins calls of one module that computes its heads one by one (EfficientViT) to one layer, as in a trace."""
    layers: list[Placement] = []
    for _, group in groupby(placements, lambda p: (p.module, p.kind, p.query_layout, p.key_layout, p.fused)):
        same = list(group)
        if len(same) > 1 and not same[0].fused and all(_heads(p) == 1 for p in same):
            members = torch.cat([p.members for p in same if p.members is not None], dim=1)  # (windows, heads)
            layers.append(replace(same[0], members=members))
        else:
            layers += same
    return tuple(layers)


def _is_one_sequence(shown: Sequence[Placement], pooling: Sequence[Placement]) -> bool:
    """Whether all layers have the same tokens, and pooling layers at the end read these, with or without prefix tokens."""
    layout = shown[0].query_layout
    assert layout is not None
    return all(p.kind == "global" and p.query_layout == layout for p in shown) and all(
        p.key_layout is not None and p.key_layout.grid == layout.grid and {*p.key_layout.prefix} <= {*layout.prefix}
        for p in pooling
    )


def _joined(shown: Sequence[Placement], layout: TokenLayout | None) -> bool:
    """Whether tokens are added to the sequence before these layers."""
    prefixes = {p.query_layout.prefix for p in shown if p.query_layout}
    return len(prefixes) > 1 or (layout is not None and any(len(p) != layout.num_prefix for p in prefixes))


def _summaries(placements: Sequence[Placement]) -> tuple[LayerSummary, ...]:
    def alike(p: Placement) -> tuple[object, ...]:
        return p.kind, p.fused, _heads(p), _grid(p.query_layout), _grid(p.key_layout), p.num_windows

    rows = []
    for _, group in groupby(placements, alike):
        same = list(group)
        p = same[0]
        rows.append(
            LayerSummary(
                p.module,
                len(same),
                p.kind,
                p.fused,
                _heads(p),
                _grid(p.query_layout),
                _grid(p.key_layout),
                p.num_windows,
            )
        )
    return tuple(rows)


def _heads(placement: Placement) -> int:
    return 0 if placement.members is None else placement.members.shape[1]


def _grid(layout: TokenLayout | None) -> tuple[int, int] | None:
    return None if layout is None or not layout.num_patches else layout.grid


def _grids(placements: Sequence[Placement]) -> list[str]:
    grids = dict.fromkeys(grid for p in placements for grid in (_grid(p.query_layout),) if grid)
    return [f"{rows}x{cols}" for rows, cols in grids]


def _global_reason(shown: Sequence[Placement]) -> str:
    layout = shown[0].query_layout
    assert layout is not None
    prefix = f" and {_count(layout.num_prefix, 'prefix token')}" if layout.num_prefix else ""
    each = (
        "The one attention layer relates" if len(shown) == 1 else f"Each of the {len(shown)} attention layers relates"
    )
    return f"{each} all tokens of one grid of {layout.grid[0]}x{layout.grid[1]} patches{prefix}."


def _mixed_reason(shown: Sequence[Placement], pooling: Sequence[Placement], layout: TokenLayout | None) -> str:
    grids, pooled = _grids(shown), [p for p in shown if p.kind == "pooled"]
    parts = [f"attention works on {_count(len(grids), 'grid')} ({_listed(grids)})"]
    if pooled:
        parts.append(f"{len(pooled)} of {len(shown)} layers attend from one grid to another")
    if pooling:
        parts.append(_pooling_layers(pooling))
    if _joined(shown, layout):
        parts.append("prefix tokens are present in some layers only")
    return _sentence(parts)


def _windowed_reason(shown: Sequence[Placement]) -> str:
    windowed = [p for p in shown if p.kind == "windowed"]
    rest = len(shown) - len(windowed)
    grids = _grids(shown)
    where = f"on {_count(len(grids), 'grid')} ({_listed(grids)})"
    parts = [
        f"{len(windowed)} of {len(shown)} attention layers {'works' if len(windowed) == 1 else 'work'} inside "
        f"windows, {where}"
    ]
    if rest:
        parts.append(f"{'the other one attends' if rest == 1 else f'the other {rest} attend'} over a whole grid")
    return _sentence(parts)


def _why_refused(pooling: Sequence[Placement], hidden: Sequence[Placement]) -> str:
    if hidden:
        return f"Its attention {_WHY_HIDDEN[hidden[0].kind]}."
    if pooling:
        return "Its only attention pools the picture into one vector; patches do not attend to each other."
    return "It has no weights of one token on another from a softmax over scores. Linear attention has no such weights."


def _instead_of_all(pooling: Sequence[Placement], hidden: Sequence[Placement]) -> str:
    if pooling:
        return f"Shown instead: {_pooling_layers(pooling)}; {_ALWAYS}."
    if hidden:
        return f"Shown instead: {_ALWAYS}."
    return "Its attention cannot be shown. A Vision Transformer, such as vit_small_patch16_224, is shown in full."


def _instead(verdict: str, shown: Sequence[Placement], hidden: Sequence[Placement]) -> str:
    parts = []
    if hidden:
        kinds = dict.fromkeys(p.kind for p in hidden)
        whose = "its" if len(hidden) == 1 else "their"
        parts.append(
            f"{_count(len(hidden), 'further layer')} cannot be shown: {whose} attention {_WHY_HIDDEN[next(iter(kinds))]}"
        )
    if verdict == "windowed":
        parts.append("each window is drawn in its place; rollout is not defined across windows and stages")
    if verdict == "mixed" and len(_grids(shown)) > 1:
        parts.append("each layer is drawn on its own grid; rollout is not defined across grids")
    elif verdict == "mixed" and not hidden:
        parts.append("each layer is drawn by itself; rollout is not defined where tokens join or leave between layers")
    elif verdict == "mixed":
        parts.append("rollout would leave out the layers that cannot be shown")
    return _sentence(parts) if parts else ""


def _pooling_layers(pooling: Sequence[Placement]) -> str:
    return f"{_count(len(pooling), 'layer')} of class attention or attention pooling"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]
