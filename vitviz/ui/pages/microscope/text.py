"""Words of the page "who looks at whom", and of the microscope on it."""

from __future__ import annotations

from vitviz.ui.text.common import FETCH_WORDS, PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Who looks at whom"),
    question=instruction("How do parts of a picture relate?"),
    lead=instruction("Point at a patch: every head of the layer shows from where it takes, and how much.", when="mouse")
    + instruction("Tap a patch: every head of the layer shows from where it takes, and how much.", when="touch"),
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
    + definition("A patch that lights up whichever patch you pin gets attention from everywhere.")
    + instruction("Set *weights × values* to see how long a vector it gives: that may be much or little."),
    catch=definition(
        "A weight says how much of a value is taken, not what the value holds or whether it matters for the answer. "
        "After the first layer a token no longer stands for its patch alone: it carries what it has read. "
        "Each map has its own colours unless you choose one scale for all."
    ),
    formula=definition(
        r"For query $q$ and key $k$ of one head, $A_{qk} = \exp\!\left(s\, q \cdot k + b_{qk} - \ell_q\right)$ with "
        r"$\ell_q = \log \sum_j \exp(s\, q \cdot k_j + b_{qj})$, $s$ the model's factor (mostly $1/\sqrt{d}$) and $b$ its bias where it has "
        r"one. *Looks at* is row $q$ of $A$, *is looked at by* is column $k$, whose entries need not sum to 1. *Weights × values* is "
        r"$A_{qk} \lVert (v_k W_o) \odot g \rVert$ of one head, $g$ the model's LayerScale where it has one. The mean of heads is the mean "
        r"of these numbers."
    ),
    references=("vaswani", "kobayashi", "layerscale", "raghu", "xiao", "darcet"),
)

NO_VALUES = definition("Weights × values is not offered here. {reason}")
VALUES = instruction("Measuring what each token gives")
NO_LAYERS = definition("This model has no layer in which tokens look at each other.")
SINK = computed(
    "Sinks in layer {layer}: {sinks}. In brackets: the length of what they give (value, $W_o$ and LayerScale), beside the median patch.",
    "vitviz.analysis.attention.sink_tokens",
    "vitviz.analysis.sinks.value_norms",
)
SINK_ONE = computed(
    "{name} with {times:.0f} times the median patch's attention ({given:.1f} times its length)",
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
            "state_pinned": "pinned · Esc lets go",
            "state_free": "point to ask, click to pin",
            "state_pinned_touch": "pinned · a second tap lets go",
            "state_free_touch": "tap a patch to ask and pin it",
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
            "quantity_value": "Weight × length of what the value gives, ‖A·v W_o‖",
            "scale_own": "scale of {head}",
            "scale_shared": "one scale for all heads",
            "scale_robust": "up to the 99th percentile",
            "scale_raw": "up to the largest patch",
            "scale_flat": "every patch is {value}",
            "scale_clipped": "{beyond} of {count} patches beyond, the largest {most}",
            "even": "{value}: what each of {count} tokens would get if the row were spread evenly",
        },
        "vitviz.analysis.attention.query_weights",
        "vitviz.analysis.sinks.value_weighted",
    )
)
