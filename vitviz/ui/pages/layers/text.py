"""Words of the page that shows each layer on its own grid."""

from __future__ import annotations

from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Layer by layer",
    question="What does each layer let a patch see?",
    lead=(
        "Not every model lets all patches look at all others. Some look inside windows only, some halve their grid from stage to "
        "stage, some look at a coarser copy of it, and some collect everything into one token at the end. "
        "Here each layer is shown as it is: choose a patch, and see what it may look at and what it takes."
    ),
    try_this=(
        "Choose a patch near the edge of its window, then the next layer: where windows are shifted, neighbours that could not see "
        "each other now can. Then go to the last stage, where one patch covers a large piece of the picture."
    ),
    notice=(
        "A window of seven by seven patches is a small piece of the picture in the first stage and all of it in the last: the model "
        "sees far only because its patches grow. Weights inside one window sum to 1, so nothing outside can be seen in that layer."
    ),
    catch=(
        "Weights of layers on different grids cannot be multiplied, so there is no rollout through windows and stages. What a patch "
        "has read in one layer is merged with its neighbours before the next stage, by weights that are not attention. Each map has "
        "its own scale unless you ask for one."
    ),
    formula=(
        r"In a window $W$ with queries $q$ and keys $k$: $A_{qk} = \mathrm{softmax}_{k \in W}\left(s\, q \cdot k + b_{qk}\right)$, and "
        r"$0$ for every $k \notin W$; $b$ is the model's bias, and the mask that keeps apart what a shift brought together. With pooled "
        r"keys, $k$ runs over a coarser grid than $q$. In class attention and attention pooling the query is learned, and only it asks."
    ),
    references=(
        "Liu et al. 2021, *Swin Transformer* (shifted windows), [arXiv 2103.14030](https://arxiv.org/abs/2103.14030).",
        "Tu et al. 2022, *MaxViT* (windows of neighbours, and of patches far apart), [arXiv 2204.01697](https://arxiv.org/abs/2204.01697).",
        "Wang et al. 2021, *Pyramid Vision Transformer* (pooled keys), [arXiv 2102.12122](https://arxiv.org/abs/2102.12122).",
        "Touvron et al. 2021, *Going deeper with image transformers* (class attention), [arXiv 2103.17239](https://arxiv.org/abs/2103.17239).",
    ),
)

KINDS = {
    "global": "all patches of the grid",
    "pooled": "a grid of pooled keys",
    "collecting": "collects",
    "windows": "windows",
    "shifted windows": "shifted windows",
    "spread windows": "windows of patches far apart",
}
LAYER, HEAD = "Layer", "Head"
LAYER_NAME = "Stage {stage}, layer {layer}: {kind}, {grid}, {heads}"
COLLECTING_NAME = "Layer {layer}: collects from {grid}, {heads}"
ONE_HEAD, HEADS = "1 head", "{count} heads"
ON_GRID = "{own} on {keys}"
HEAD_MEAN = "mean of heads"
HEAD_NAME = "head {head}"

ASKS = "Who asks"
ASKS_PATCH = "a patch"
ASKS_TEXT = {
    "global": "{query}. It can look at every patch.",
    "pooled": "{query}. It can look at every key of a grid of {keys}.",
    "windows": "{query}. It can look at the {count} patches of its window.",
    "shifted windows": "{query}. It can look at {count} patches of its window; the mask of the shift hides the others.",
    "spread windows": "{query}. It can look at {count} patches that lie apart, the same step between them.",
}
ASKS_MEAN = "All patches ask, and their answers are averaged."
ASKS_ALT = "The photograph with the layer's grid of {rows} by {cols} patches, or its windows; {query} is marked."
LOOKS = "Where it looks"
LOOKS_ALT = "{label} of the {query} in layer {layer}, {head}, over the photograph{window}."
LOOKS_WINDOW = ", its window outlined"
COLLECTS = "What the {query} collects"
COLLECTS_TEXT = "The {query} is learned, the same for every picture, and asks from no place. Its weights say what it takes from where."
LABEL = "attention weight, {head}"
SUM = "On patches: {patches:.1%} of the weight; on prefix tokens: {prefix:.1%}. Largest on a patch: {largest:.3g}."
NOT_ONE = "The weights of this layer do not sum to 1: it mixes its heads after the softmax, or padding takes a share. Here they sum to {total:.3g}."

HEADS_OF = "All heads of this layer"
HEADS_WINDOW = "Each tile shows the window alone, enlarged: outside it every weight is 0."
HEADS_ALT = "One small map for each of {heads} heads of layer {layer}: attention weight of the {query}."

OVERVIEW = "Every layer at a glance"
OVERVIEW_TEXT = "Where patches ask, the same place asks in every layer, each on its own grid: the mean of the heads. The window is outlined where there is one."
OVERVIEW_COLLECTS = (
    " In a layer that collects, only its learned token asks: its map is the same whichever patch is chosen."
)

VERDICT = "{reason} {instead}"
