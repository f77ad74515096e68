"""Words of the page that shows each layer on its own grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction

if TYPE_CHECKING:  # sentences are known before torch is imported
    from vitviz.capture.trace import Trace

PAGE = PageText(
    title=instruction("Layer by layer"),
    question=instruction("What can a patch attend to in each layer?"),
    lead=definition("In every layer of this model, each patch attends to all patches.", when="only global,!pooling")
    + definition("In every layer before the pooling, each patch attends to all patches.", when="only global,pooling")
    + definition("In some layers of this model, a patch attends only to patches of its own window.", when="windows")
    + definition("In some layers, the grid of the keys differs from the grid of the queries.", when="pooled")
    + definition("In each layer, a patch attends to the grid of its stage.", when="stages,!windows,!pooled")
    + definition(
        "In this model, patches are only keys: all queries are learned.",
        when="pooling,!only global,!stages,!windows,!pooled",
    ),
    try_this=instruction("Choose a patch at the edge of its window, then the next layer.", when="windows")
    + definition("In a layer with shifted windows, it attends to patches beyond the old border.", when="shifted")
    + instruction("Choose a patch, then compare where it looks in every layer.", when="!windows")
    + instruction("Then go to the last stage, where one patch covers a large piece of the picture.", when="stages"),
    notice=definition(
        "Keys outside the window are not compared with the query, so the layer takes nothing from there.",
        when="windows",
    )
    + definition(
        "The same window covers more of the picture in later stages, because each patch there is larger.",
        when="windows,stages",
    )
    + definition("Shifted windows cross the borders of the windows before.", when="shifted")
    + definition("Windows of patches that are far apart cover the whole picture in one layer.", when="spread")
    + definition("Keys on a coarser grid cover the whole picture: each key combines several places.", when="pooled")
    + definition("Every layer has the same grid, and any patch can get weight.", when="only global")
    + definition(
        "The grid gets coarser from stage to stage, so later patches cover more of the picture.", when="stages"
    )
    + definition("In attention pooling, learned queries attend to the patches.", when="pooling"),
    catch=definition(
        "Weights of layers on different grids cannot be multiplied, so there is no rollout through stages.",
        when="stages",
    )
    + definition(
        "Between stages, neighbouring patches are merged by parameters of the model, not by attention.", when="stages"
    )
    + definition("A weight shows how much of a value is taken, not whether this matters for the output.")
    + definition("Each map has its own colour scale unless you choose one scale."),
    formula=definition(
        r"For queries $q$ and keys $k$: $A_{qk} = \mathrm{softmax}_k\left(s\, q \cdot k + b_{qk}\right)$, where $b$ is the model's bias "
        r"where it has one."
    )
    + definition(
        r"In a window $W$ the softmax runs over $k \in W$, and $A_{qk}$ is $0$ for every $k \notin W$.", when="windows"
    )
    + definition(r"The mask that separates patches that a shift put side by side is part of $b$.", when="shifted")
    + definition(r"With pooled keys, $k$ runs over a coarser grid than $q$.", when="pooled")
    + definition("In class attention and attention pooling, only learned tokens are queries.", when="pooling"),
    references=("swin", "maxvit", "pvt", "mvit-v2", "layerscale", "set-transformer", "map-head", "xcit"),
)

KINDS = definition(
    {
        "global": "all patches of the grid",
        "pooled": "a grid of pooled keys",
        "pooling": "attention pooling",
        "windows": "windows",
        "shifted windows": "shifted windows",
        "spread windows": "windows of patches far apart",
    }
)
LAYER_NAME = instruction("Stage {stage}, layer {layer}: {kind}, {grid}, {heads}")
POOLING_NAME = instruction("Layer {layer}: attention pooling over {grid}, {heads}")
ONE_HEAD, HEADS = instruction(("1 head", "{count} heads"))
ON_GRID = instruction("{own} on {keys}")

ASKS = instruction("Query")
ASKS_PATCH = instruction("a patch")
ASKS_TEXT = computed(
    {
        "global": "{query}. It attends to every patch.",
        "pooled": "{query}. It attends to every key of a grid of {keys}.",
        "windows": "{query}. It attends to the {count} patches of its window.",
        "shifted windows": "{query}. It attends to {count} patches of its window. The mask of the shift excludes the others.",
        "spread windows": "{query}. It attends to {count} patches at equal distances across the grid.",
    },
    "vitviz.analysis.layers.reached",
)
ASKS_MEAN = definition("Every patch is a query, and the weights of all queries are averaged.")
ASKS_ALT = definition(
    "The photograph with the layer's grid of {rows} by {cols} patches, or its windows; {query} is marked."
)
LOOKS = instruction("Where it looks")
LOOKS_ALT = definition("{label} of the {query} in layer {layer}, {head}, over the photograph{window}.")
LOOKS_WINDOW = definition(", its window outlined")
COLLECTS = instruction("Where the {query} looks")
COLLECTS_TEXT = definition("The {query} is learned. Its weights show how much it takes from each patch.")
LABEL = definition("attention weight, {head}")
SUM = computed(
    "Patches get {patches:.1%} of the weight, prefix tokens {prefix:.1%}. The largest weight of a patch is {largest:.3g}.",
    "vitviz.analysis.attention.query_weights",
)
NOT_ONE = computed(
    "The weights of this layer do not sum to 1: it mixes its heads after the softmax, or padding takes a share. Here they sum to "
    "{total:.3g}.",
    "vitviz.analysis.attention.query_weights",
)

HEADS_OF = instruction("All heads of this layer")
HEADS_WINDOW = definition("Each tile shows only the window, enlarged. Keys outside it are not compared.")
HEADS_ALT = definition("One small map for each of {heads} heads of layer {layer}: attention weight of the {query}.")

EVERY_LAYER = instruction("Where it looks in every layer, mean of heads")
EVERY_LAYER_ALT = definition(
    "One small map for each of {count} layers: attention weight of the {query}, mean of heads."
)

OVERVIEW = instruction("Overview of all layers")
OVERVIEW_TEXT = definition(
    "Each map is the mean of the heads for the same place, on the layer's own grid."
) + definition("The window is outlined where there is one.", when="windows")
OVERVIEW_COLLECTS = definition(
    "In attention pooling the query is a learned token, so the map does not depend on the chosen patch."
)

VERDICT = definition("{reason} {instead}")


def layer_words(trace: Trace, index: int) -> str:
    """A layer in the list: its stage, number, kind, grid and heads."""
    from vitviz.analysis import layers

    layer = trace.all_layers[index]
    kind, own, keys = layers.layer_kind(layer), size(layer.query_layout.grid), size(layer.key_layout.grid)
    heads = ONE_HEAD if layer.num_heads == 1 else HEADS.format(count=layer.num_heads)
    if kind == layers.POOLING:
        return POOLING_NAME.format(layer=index, grid=keys, heads=heads)
    grid = own if own == keys else ON_GRID.format(own=own, keys=keys)
    return LAYER_NAME.format(stage=layers.stage_of(trace, index), layer=index, kind=KINDS[kind], grid=grid, heads=heads)


def size(grid: tuple[int, int]) -> str:
    return f"{grid[0]}×{grid[1]}"
