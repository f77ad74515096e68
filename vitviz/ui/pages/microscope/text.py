"""Words of the page "who looks at whom", and of the microscope on it."""

from __future__ import annotations

from vitviz.ui.text.common import TROUBLE, PageText

PAGE = PageText(
    title="Who looks at whom",
    question="How do parts of a picture relate?",
    lead=(
        "Every patch asks the same question of all the others: which of you matter to me? "
        "Each head asks it in its own way, and what it takes from each patch is a weight; the weights of one row sum to 1. "
        "Move over the picture and every head of the layer answers."
    ),
    try_this=(
        "Pin a patch on the object, then walk up through the layers with the ] key. Choose *is looked at by*: who needs this patch? "
        "Then pin the class token."
    ),
    notice=(
        "Some heads look next door, some along a row, some at the whole object. In late layers patches of one object look at each other. "
        "A patch that lights up whatever you pin is a sink: set *weights × values* and see how little it gives."
    ),
    catch=(
        "A weight says where a token looks, not what it takes from there or whether it matters in the end. From the second layer on a token "
        "is no longer only its own patch: it already carries what it has read. Each map has its own scale unless you ask for one scale."
    ),
    formula=(
        r"For query $q$ and key $k$ of one head, $A_{qk} = \exp\!\left(s\, q \cdot k + b_{qk} - \ell_q\right)$ with "
        r"$\ell_q = \log \sum_j \exp(s\, q \cdot k_j + b_{qj})$, $s = 1/\sqrt{d}$ and $b$ the model's bias where it has one. *Looks at* is row $q$ of "
        r"$A$, *is looked at by* is column $k$, whose entries need not sum to 1. *Weights × values* is "
        r"$A_{qk} \lVert (v_k W_o) \odot g \rVert$ of one head, $g$ the model's LayerScale where it has one. The mean of heads is the mean of these numbers. Your browser "
        r"computes all this from the queries and keys of the layer."
    ),
    references=(
        "Vaswani et al. 2017, *Attention is all you need*, [arXiv 1706.03762](https://arxiv.org/abs/1706.03762).",
        "Kobayashi et al. 2020, *Attention is not only a weight* (values), [arXiv 2004.10102](https://arxiv.org/abs/2004.10102).",
        "Darcet et al. 2024, *Vision transformers need registers* (sinks), [arXiv 2309.16588](https://arxiv.org/abs/2309.16588).",
    ),
)

NO_VALUES = "Weights × values is not offered here. {reason}"
VALUES = "Measuring what each token gives"
NO_LAYERS = "This model has no layer in which tokens look at each other."

# What the microscope says in the browser, by the names its modules ask for; {blanks} are filled there.
MICROSCOPE: dict[str, str] = TROUBLE | {
    "title": PAGE.title,
    "picture": "The picture, cut into {rows} rows and {cols} columns of patches.",
    "maps": "One map for each head",
    "prefix_tokens": "Tokens that are not patches",
    # tokens and heads
    "patch": "row {row}, column {col}",
    "cls": "class token",
    "dist": "distillation token",
    "register": "register {index}",
    "head": "head {head}",
    "mean": "mean of heads",
    "all_heads": "all heads",
    # what is asked
    "verb_at": "looks at",
    "verb_by": "is looked at by",
    "asked": "{source} {verb} …",
    "state_pinned": "pinned · Esc or a second click lets go",
    "state_free": "move to ask, click to pin",
    "loading": "layer {layer} is on its way …",
    "pinned_sentence": "Pinned: {source}. In layer {layer}, {head}, it {verb} {strongest} most.",
    "free_sentence": "Nothing is pinned. In layer {layer}, {head}, {source} {verb} {strongest} most.",
    # what is answered
    "strongest": "… {strongest} most ({head})",
    "named_value": "{token} ({value})",
    "and": "{several} and {last}",
    "value": "… {token}: {value}, rank {rank} of {count} ({head})",
    "top": "top {value}",
    # the scale
    "quantity_weight": "Attention weight",
    "quantity_value": "Weight × length of what the value gives, ‖A·v W_o‖",
    "scale_own": "each map on its own scale, here that of {head}",
    "scale_shared": "one scale for all heads",
    "scale_robust": "up to the 99th percentile of the patches",
    "scale_raw": "up to the largest patch",
    "scale_flat": "every patch is {value}",
    "scale_clipped": "{beyond} of {count} patches are beyond it; the largest is {most}.",
    "even": "{value}: what each of {count} tokens would get if the row were spread evenly",
    # controls
    "layer": "Layer {layer} of 0–{last}",
    "layer_slider": "Layer",
    "layer_before": "Previous layer",
    "layer_after": "Next layer",
    "direction": "Direction",
    "heads": "Heads",
    "measure": "Show",
    "measure_weight": "weights",
    "measure_value": "weights × values",
    "measure_help": "A token may get much attention and still give little: its value may be short.",
    "measure_absent": "The values of this layer are not known.",
    "scale": "Scale",
    "option_robust": "robust",
    "option_raw": "raw",
    "shared": "same scale for all heads",
    "links": "strongest links",
    "blend": "How much of the map lies over the picture",
    "blend_picture": "picture",
    "blend_map": "map",
    "keys": "Keys: arrows move the pin, Shift with arrows reads a value, [ and ] change the layer, digits choose a head, "
    "a shows all heads, m their mean, d turns the direction, l draws links, Esc lets go. Everything is counted from 0.",
    # trouble
    "missing_layer": "The numbers of layer {layer}",
}
