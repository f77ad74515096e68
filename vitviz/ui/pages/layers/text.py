"""Words of the page that shows each layer on its own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction

if TYPE_CHECKING:  # sentences are known before torch is imported
    from vitviz.capture.trace import Trace

PAGE = PageText(
    title=instruction("Layer by layer"),
    question=instruction("What does each layer let a patch see?"),
    lead=definition("In every layer of this model a patch may look at all others.", when="only global")
    + definition("In some layers of this model a patch looks only inside its own window.", when="windows")
    + definition("In some layers the keys lie on a coarser grid than the queries.", when="pooled"),
    try_this=instruction("Choose a patch at the edge of its window, then the next layer.", when="windows")
    + definition("Where windows are shifted, neighbours that were kept apart see each other there.", when="shifted")
    + instruction("Then go to the last stage, where one patch covers a large piece of the picture.", when="stages")
    + instruction("Choose a patch, then compare what it takes from where in every layer.", when="!windows"),
    notice=definition(
        "Keys outside the window are not compared with the query, so nothing outside is read in that layer.",
        when="windows",
    )
    + definition(
        "The same window covers more of the picture in later stages, because each patch there is larger.",
        when="windows,stages",
    )
    + definition("A shift lets the next layer read across the old borders.", when="shifted")
    + definition("Windows of patches that lie apart reach across the picture at once.", when="spread")
    + definition("Pooled keys reach across the picture, too: each stands for several places.", when="pooled")
    + definition(
        "Every layer works on one grid and reaches everywhere: a weight can lie on any patch.", when="only global"
    )
    + definition(
        "The grid gets coarser from stage to stage, so later patches cover more of the picture.", when="stages"
    )
    + definition("At the end one learned token collects from the patches.", when="collecting"),
    catch=definition(
        "Weights of layers on different grids cannot be multiplied, so there is no rollout through stages.",
        when="stages",
    )
    + definition(
        "Between stages a patch is merged with its neighbours, by weights that are not attention.", when="stages"
    )
    + definition("A weight says how much of a value is taken, not whether it matters for the answer.")
    + definition("Each map has its own colours unless you choose one scale."),
    formula=definition(
        r"For queries $q$ and keys $k$: $A_{qk} = \mathrm{softmax}_k\left(s\, q \cdot k + b_{qk}\right)$, where $b$ is the model's bias "
        r"where it has one."
    )
    + definition(
        r"In a window $W$ the softmax runs over $k \in W$, and $A_{qk}$ is $0$ for every $k \notin W$.", when="windows"
    )
    + definition(r"The mask that keeps apart what a shift brought together is part of $b$.", when="shifted")
    + definition(r"With pooled keys, $k$ runs over a coarser grid than $q$.", when="pooled")
    + definition("Where a layer only collects, a token of the model's own asks alone.", when="collecting"),
    references=("swin", "maxvit", "pvt", "mvit-v2", "layerscale", "set-transformer", "map-head", "xcit"),
)

KINDS = definition(
    {
        "global": "all patches of the grid",
        "pooled": "a grid of pooled keys",
        "collecting": "collects",
        "windows": "windows",
        "shifted windows": "shifted windows",
        "spread windows": "windows of patches far apart",
    }
)
LAYER_NAME = instruction("Stage {stage}, layer {layer}: {kind}, {grid}, {heads}")
COLLECTING_NAME = instruction("Layer {layer}: collects from {grid}, {heads}")
ONE_HEAD, HEADS = instruction(("1 head", "{count} heads"))
ON_GRID = instruction("{own} on {keys}")

ASKS = instruction("Who asks")
ASKS_PATCH = instruction("a patch")
ASKS_TEXT = computed(
    {
        "global": "{query}. It can look at every patch.",
        "pooled": "{query}. It can look at every key of a grid of {keys}.",
        "windows": "{query}. It can look at the {count} patches of its window.",
        "shifted windows": "{query}. It can look at {count} patches of its window; the mask of the shift hides the others.",
        "spread windows": "{query}. It can look at {count} patches that lie apart, the same step between them.",
    },
    "vitviz.analysis.layers.reached",
)
ASKS_MEAN = definition("All patches ask, and their weights are averaged.")
ASKS_ALT = definition(
    "The photograph with the layer's grid of {rows} by {cols} patches, or its windows; {query} is marked."
)
LOOKS = instruction("Where it looks")
LOOKS_ALT = definition("{label} of the {query} in layer {layer}, {head}, over the photograph{window}.")
LOOKS_WINDOW = definition(", its window outlined")
COLLECTS = instruction("What the {query} collects")
COLLECTS_TEXT = definition("The {query} asks from no place of the picture. Its weights say what it takes from where.")
LABEL = definition("attention weight, {head}")
SUM = computed(
    "On patches: {patches:.1%} of the weight; on prefix tokens: {prefix:.1%}. Largest on a patch: {largest:.3g}.",
    "vitviz.analysis.attention.query_weights",
)
NOT_ONE = computed(
    "The weights of this layer do not sum to 1: it mixes its heads after the softmax, or padding takes a share. Here they sum to "
    "{total:.3g}.",
    "vitviz.analysis.attention.query_weights",
)

HEADS_OF = instruction("All heads of this layer")
HEADS_WINDOW = definition("Each tile shows the window alone, enlarged: keys outside it are not compared.")
HEADS_ALT = definition("One small map for each of {heads} heads of layer {layer}: attention weight of the {query}.")

EVERY_LAYER = instruction("Where it looks in every layer, mean of heads")
EVERY_LAYER_ALT = definition(
    "One small map for each of {count} layers: attention weight of the {query}, mean of heads."
)

OVERVIEW = instruction("Every layer at a glance")
OVERVIEW_TEXT = definition(
    "Where patches ask, the same place asks in every layer, each on its own grid: the mean of the heads."
) + definition("The window is outlined where there is one.", when="windows")
OVERVIEW_COLLECTS = definition(
    "In a layer that collects, only its own token asks: its map is the same whichever patch is chosen."
)

VERDICT = definition("{reason} {instead}")


def layer_words(trace: Trace, index: int) -> str:
    """A layer in the list: its stage, number, kind, grid and heads."""
    from vitviz.analysis import layers

    layer = trace.every[index]
    kind, own, keys = layers.layer_kind(layer), size(layer.query_layout.grid), size(layer.key_layout.grid)
    heads = ONE_HEAD if layer.num_heads == 1 else HEADS.format(count=layer.num_heads)
    if kind == layers.COLLECTING:
        return COLLECTING_NAME.format(layer=index, grid=keys, heads=heads)
    grid = own if own == keys else ON_GRID.format(own=own, keys=keys)
    return LAYER_NAME.format(stage=layers.stage_of(trace, index), layer=index, kind=KINDS[kind], grid=grid, heads=heads)


def size(grid: tuple[int, int]) -> str:
    return f"{grid[0]}×{grid[1]}"
