"""Words of the page "who looks at whom", and of the microscope on it."""

from __future__ import annotations

from vitviz.ui.text.common import FETCH_WORDS, PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Who looks at whom"),
    question=instruction("How do parts of a picture relate?"),
    lead=instruction("Point at a patch: the map of each head shows where this patch looks, and how much.", when="mouse")
    + instruction("Tap a patch: the map of each head shows where this patch looks, and how much.", when="touch"),
    try_this=instruction("Pin a patch of the object, then go through the layers.")
    + instruction(
        "Pin a wheel, and see in which heads it takes most from the other wheel or the body.", when="motorcycle"
    )
    + instruction("Choose *is looked at by* to see which tokens take from this patch.")
    + instruction("Then pin the class token.", when="class token"),
    notice=reference(
        "In Vision Transformers trained on many pictures, early layers have heads that look near and heads that look far.",
        "raghu",
        when="trained",
    )
    + definition(
        "The model was not trained: its weights are random, and so are the patterns of its heads.", when="!trained"
    )
    + definition("A patch that is bright whichever patch you pin gets attention from most patches.")
    + instruction("Choose *weights × values* to see the length of the vector that each token contributes."),
    catch=definition(
        "A weight shows how much of a value is taken, not what the value holds or whether it matters for the output. "
        "After the first layer, a token also holds information from other tokens. "
        "Each map has its own colour scale unless you choose one scale for all."
    ),
    formula=definition(
        r"For query $q$ and key $k$ of one head, $A_{qk} = \exp\!\left(s\, q \cdot k + b_{qk} - \ell_q\right)$ with "
        r"$\ell_q = \log \sum_j \exp(s\, q \cdot k_j + b_{qj})$. Here $s$ is the model's factor (mostly $1/\sqrt{d}$) and $b$ its bias where "
        r"it has one. *Looks at* is row $q$ of $A$, *is looked at by* is column $k$, whose entries need not sum to 1. *Weights × values* is "
        r"$A_{qk} \lVert (v_k W_o) \odot g \rVert$ of one head, $g$ the model's LayerScale where it has one. The mean of heads is the mean "
        r"of these numbers."
    ),
    references=("vaswani", "kobayashi", "layerscale", "raghu", "xiao", "darcet"),
)

NO_VALUES = definition("Weights × values is not offered here. {reason}")
VALUES = instruction("Computing the lengths of the values")
NO_LAYERS = definition("This model has no layer of self-attention between tokens.")
SINK = computed(
    "Sinks in layer {layer}: {sinks}. The length is that of the value after $W_o$, and after LayerScale where the model has it.",
    "vitviz.analysis.attention.sink_tokens",
    "vitviz.analysis.sinks.value_norms",
)
SINK_ONE = computed(
    "{name} with {times:.0f} times the median patch's attention and {given:.1f} times its value length",
    "vitviz.analysis.sinks.value_norms",
)
NO_SINK = computed("No token is a sink in layer {layer}.", "vitviz.analysis.attention.sink_tokens")

# What the microscope says in the browser, by the names its modules ask for; {blanks} are filled there.
MICROSCOPE: dict[str, str] = (
    FETCH_WORDS
    | instruction(
        {
            "title": PAGE.title,
            "picture": "The picture, cut into {rows} rows and {cols} columns of patches.",
            "maps": "One map for each head",
            "prefix_tokens": "Prefix tokens",
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
            "state_pinned": "pinned · Esc releases it",
            "state_free": "point to read, click to pin",
            "state_pinned_touch": "pinned · tap again to release",
            "state_free_touch": "tap a patch to pin it",
            "loading": "loading layer {layer} …",
            # controls
            "layer": "Layer {layer} of 0–{last}",
            "layer_slider": "Layer",
            "play": "Play through the layers",
            "pause": "Stop playing",
            "settings": "Settings",
            "in_layer": "layer {layer}, {head}",
            "layer_before": "Previous layer",
            "layer_after": "Next layer",
            "direction": "Direction",
            "heads": "Heads",
            "measure": "Show",
            "measure_weight": "weights",
            "measure_value": "weights × values",
            "measure_help": "A token may get much attention and still contribute little, because its value is short.",
            "measure_absent": "The values of this layer are not known.",
            "scale": "Scale",
            "option_robust": "robust",
            "option_raw": "raw",
            "shared": "same scale for all heads",
            "links": "strongest links",
            "blend": "Opacity of the map",
            "blend_picture": "picture",
            "blend_map": "map",
            "keys": instruction(
                "Keys: arrows move the pin; Shift with arrows reads a value; [ and ] change the layer; digits choose a head; a shows all "
                "heads; m their mean; d changes the direction; l draws links; Esc releases the pin. Counting starts at 0.",
                when="keyboard",
            ),
            # failures
            "missing_layer": "The numbers of layer {layer}",
        }
    )
    | computed(
        {
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
            "quantity_value": "Weight × length of the projected value, ‖A·v W_o‖",
            "scale_own": "scale of {head}",
            "scale_shared": "one scale for all heads",
            "scale_robust": "up to the 99th percentile",
            "scale_raw": "up to the largest patch",
            "scale_flat": "every patch is {value}",
            "scale_clipped": "{beyond} of {count} patches above it, the largest {most}",
            "even": "{value}: the weight of each of {count} tokens if all weights of the row were equal",
        },
        "vitviz.analysis.attention.query_weights",
        "vitviz.analysis.sinks.value_weighted",
    )
)
