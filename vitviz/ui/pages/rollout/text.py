"""Words of the rollout page."""

from __future__ import annotations

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Rollout"),
    question=instruction("Where did the information come from?"),
    lead=definition(
        "In every layer, and afresh for each picture, the heads weigh what the chosen token reads. "
        "What it reads was mixed by the layers before, so one layer alone does not tell where it came from. "
        "Rollout multiplies the layers to follow it back to the patches."
    ),
    try_this=instruction("Choose a patch of the object as the query.")
    + instruction("Then choose the class token.", when="class token")
    + instruction("Set α to 0.9 and to 0.1. Leave out the first layers."),
    notice=reference(
        "A few tokens may draw attention from everywhere. They are listed as sinks, and rollout inherits them.",
        "xiao",
        "darcet",
    )
    + reference(
        "In Vision Transformers trained on many pictures, early layers have heads that look near and heads that look far.",
        "raghu",
        when="trained",
    ),
    catch=definition("Rollout leaves out values, LayerScale, norms and MLPs.")
    + reference("That half of each token passes unmixed, α = 0.5, is an assumption.", "abnar")
    + definition("A patch with little weight can still matter, and one with much weight may not."),
    formula=definition(
        r"With $A^{(l,h)}$ the weights of layer $l$ and head $h$: $\hat A_l = \alpha I + (1-\alpha)\,\mathrm{fuse}_h A^{(l,h)}$, "
        r"$R = \hat A_L \cdots \hat A_1$, and the map of query $q$ is row $q$ of $R$. For one head there are two readings: "
        r"*the last hop*, $A^{(l,h)} \hat A_{l-1} \cdots \hat A_1$, what this head reads traced back to the picture; and *leave one in*, "
        r"$\hat A_L \cdots (\alpha I + (1-\alpha) A^{(l,h)}) \cdots \hat A_1$, what the end would see if layer $l$ had this head alone."
    ),
    references=("abnar", "gildenblat", "raghu", "xiao", "darcet", "jain"),
)

QUERY_LINE = instruction("Query: **{query}**. Choose another in one of the pictures.")
BOARD_OF = instruction("Show")
BOARDS = instruction({"attention": "attention", "last_hop": "last hop", "leave_one_in": "leave one in"})
BOARD_HELP = definition(
    "Attention is one layer alone. The last hop follows what a head reads back to the picture; leave one in is the rollout of all "
    "layers in which this layer has this head alone."
)
BOARD_LABELS = definition(
    {
        "attention": common.ATTENTION_WEIGHT,
        "last_hop": "per-head rollout (last hop)",
        "leave_one_in": "per-head rollout (leave one in)",
    }
)
BOARD_ALT = definition("One small map for each of {heads} heads in each of {layers} layers: {label} of the {query}.")
LAYER, HEAD = instruction(("Layer", "Head"))
HEAD_MEAN = instruction("mean of heads")
HEAD_NAME = instruction("head {head}")
ENLARGED_ALT = definition("{label} of the {query} in layer {layer}, {head}.")
FACT_ENTROPY, FACT_PREFIX = definition(("entropy", "prefix mass"))

ROLLED = instruction("Rollout through the layers")
FUSION = instruction("Heads fused by")
FUSIONS = instruction({"mean": "mean", "max": "maximum", "min": "minimum"})
FUSION_HELP = reference(
    "The paper (Abnar and Zuidema 2020) takes the mean. Maximum and minimum are Gildenblat's (2020); their rows no longer sum to 1 "
    "and are normalised again.",
    "abnar",
    "gildenblat",
)
DISCARD = instruction("Discard the weakest patches")
DISCARD_HELP = reference(
    "The share of each row's patch entries, the smallest, that is set to zero before multiplying (Gildenblat 2020). Prefix tokens are "
    "kept.",
    "gildenblat",
)
ALPHA = instruction("α, the share that stays")
ALPHA_HELP = reference(
    "How much of each token passes through the residual stream unmixed. 0.5 is the paper's assumption (Abnar and Zuidema 2020).",
    "abnar",
)
LAYERS = instruction("From layer to layer")
LAYERS_HELP = definition("Only these layers are multiplied.")
ROLLED_ALT = definition("Attention rollout of the {query} through layers {first} to {last}.")

SINKS = instruction("Sinks in layer {layer}")
SINKS_TEXT = definition(
    "Sinks: tokens that get more than 10 times the attention of the median patch, over all heads and queries:"
)
SINKS_NONE = computed(
    "No token of this layer is a sink, that is, gets more than 10 times the attention of the median patch.",
    "vitviz.analysis.attention.sink_tokens",
)
SINK_LINE = computed(
    "**{name}**: {share:.1%} of all attention, {times:.0f} times the median patch",
    "vitviz.analysis.attention.sink_tokens",
)
SINKS_MORE = computed("and {count} more", "vitviz.analysis.attention.sink_tokens")
HEADS = instruction("The heads of layer {layer} in numbers")
HEADS_TEXT = definition(
    "Entropy, distance and prefix mass are means over all patch queries; the largest weight is the largest of any patch query. "
    "Distance counts patches only: prefix tokens are dropped and the rest of each row sums to 1."
)
HEADS_REACH = computed(
    "The heads of this layer reach from {low:.0f} to {high:.0f} pixels on average; a row spread evenly over all patches reaches "
    "{even:.0f}.",
    "vitviz.analysis.attention.head_statistics",
)
HEADS_COLUMNS = definition(("head", "entropy (0 to 1)", "distance (pixels)", "prefix mass", "largest weight"))
HEADS_DIGITS = definition(dict(zip(HEADS_COLUMNS, ("%d", "%.3f", "%.1f", "%.3f", "%.3f"), strict=True)))
