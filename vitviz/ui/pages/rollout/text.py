"""Words of the rollout page."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Rollout"),
    question=instruction("Where did the information come from?"),
    lead=definition("Rollout multiplies the attention of the layers, to trace the **{query}** back to the patches."),
    try_this=instruction("Choose a patch of the object: it becomes the query.")
    + instruction("Then choose the class token.", when="class token")
    + instruction("Set α to 0.9 and to 0.1. Leave out the first layers in Settings."),
    notice=reference(
        "A few tokens, called sinks, may get attention from most queries. Rollout multiplies their weights from layer to layer.",
        "xiao",
        "darcet",
    )
    + definition(
        "One layer alone does not show where information came from, because the layers before have mixed its tokens."
    ),
    catch=definition("Rollout leaves out values, norms, MLPs, and LayerScale where the model has it.")
    + reference("With α = 0.5, half of each token passes unmixed: this is an assumption.", "abnar")
    + definition("A patch with little weight can still matter, and one with much weight may not."),
    formula=definition(
        r"With $A^{(l,h)}$ the weights of layer $l$ and head $h$: $\hat A_l = \alpha I + (1-\alpha)\,\mathrm{fuse}_h A^{(l,h)}$, "
        r"$R = \hat A_L \cdots \hat A_1$, and the map of query $q$ is row $q$ of $R$. For one head there are two readings: "
        r"*the last hop*, $A^{(l,h)} \hat A_{l-1} \cdots \hat A_1$, the attention of this head traced back to the picture; and *leave one in*, "
        r"$\hat A_L \cdots (\alpha I + (1-\alpha) A^{(l,h)}) \cdots \hat A_1$, the rollout if layer $l$ had only this head."
    ),
    references=("abnar", "gildenblat", "raghu", "xiao", "darcet", "jain"),
)

# The same page while it shows one head: other things to try and to notice
HEAD_PAGE = replace(
    PAGE,
    lead=definition(
        "One head of layer {layer}: where the **{query}** looks, and two ways to trace this attention back to the patches."
    ),
    try_this=instruction(
        "Go through the heads of one layer. Open Details for all heads of all layers, and choose one there."
    ),
    notice=reference(
        "In Vision Transformers trained on many pictures, early layers have heads that look near and heads that look far.",
        "raghu",
        when="trained",
    )
    + definition(
        "The last hop shows what is specific to the head. Leave one in shows how much one head changes the whole rollout."
    ),
    catch=definition(
        "There is no standard definition of one head's rollout. These are two, and they answer different questions."
    )
    + definition("Heads with the same number in two layers are unrelated."),
)

OF = instruction("Show")
OF_WHAT = instruction({"model": "whole model", "head": "one head"})
WHOLE = instruction("All layers multiplied")
WHOLE_WITH_SINK = computed("All layers multiplied: {share:.0%} on sinks", "vitviz.analysis.sinks.rollout_sinks")
WITHOUT_SINKS = instruction("The same without sinks")
ALONE = instruction("Layer {layer} alone, mean of heads")
SINK = definition("sink")
_SINKS_BY = "vitviz.analysis.sinks.rollout_sinks"
SINKS_REMOVED = computed(
    "The framed sinks hold {share:.0%} of this map. The map on the right is drawn without them.", _SINKS_BY
)
ONE_SINK_REMOVED = computed(
    "The framed sink holds {share:.0%} of this map. The map on the right is drawn without it.", _SINKS_BY
)
WITH_SINKS = computed(
    "The framed sinks hold {share:.0%} of this map. In at least one layer, each gets over 10 times the attention of the median patch.",
    _SINKS_BY,
)
WITH_ONE_SINK = computed(
    "The framed sink holds {share:.0%} of this map. In at least one layer, it gets over 10 times the attention of the median patch.",
    _SINKS_BY,
)
NO_STRONGEST_SINK = computed("No sink is the strongest patch of this map.", _SINKS_BY)
FRAMED_SINKS = computed("Sinks framed: {count}; none is the strongest patch.", _SINKS_BY)
WITHOUT_SINKS_ALT = definition("The rollout of the {query} with {count} sinks set to zero.")
WITHOUT_SINKS_TEXT = definition("Only the map changes. The model still attends to the sinks.")
ALONE_ALT = definition("Attention of the {query} in layer {layer}, mean of heads.")
MAPS = instruction({"attention": "Attention of this head", "last_hop": "The last hop", "leave_one_in": "Leave one in"})
MAPS_TEXT = definition(
    {
        "attention": "This layer alone.",
        "last_hop": "The attention of this head, traced back through the layers before.",
        "leave_one_in": "All layers, with only this head in this layer.",
    }
)
BOARD_TITLE = instruction("All heads of all layers")
BOARD_OF = instruction("Show")
BOARDS = instruction({"attention": "attention", "last_hop": "last hop", "leave_one_in": "leave one in"})
BOARD_HELP = definition(
    "Attention shows one layer alone. The last hop traces the attention of a head back to the picture. Leave one in is the rollout of "
    "all layers, with only this head in its layer."
)
BOARD_LABELS = definition(
    {
        "attention": common.ATTENTION_WEIGHT,
        "last_hop": "per-head rollout (last hop)",
        "leave_one_in": "per-head rollout (leave one in)",
    }
)
BOARD_ALT = definition("One small map for each of {heads} heads in each of {layers} layers: {label} of the {query}.")
ENLARGED_ALT = definition("{label} of the {query} in layer {layer}, {head}.")
FACT_ENTROPY, FACT_PREFIX = definition(("entropy", "prefix mass"))

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
    "This share of the patch entries of each row, the smallest ones, is set to zero before the layers are multiplied (Gildenblat 2020). "
    "Prefix tokens are kept.",
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
    "Sinks are tokens that get more than 10 times the attention of the median patch, over all heads and queries:"
)
SINKS_NONE = computed(
    "No token of this layer is a sink: none gets more than 10 times the attention of the median patch.",
    "vitviz.analysis.attention.sink_tokens",
)
SINK_LINE = computed(
    "**{name}**: {share:.1%} of all attention, {times:.0f} times the median patch",
    "vitviz.analysis.attention.sink_tokens",
)
SINKS_MORE = computed("and {count} more", "vitviz.analysis.attention.sink_tokens")
HEADS = instruction("The heads of layer {layer} in numbers")
HEADS_TEXT = definition(
    "Entropy, distance and prefix mass, the weight on prefix tokens, are means over all patch queries. The largest weight is that of any "
    "patch query. Distance is computed for patches only: prefix tokens are dropped, and the rest of each row is scaled to sum to 1."
)
HEADS_REACH = computed(
    "The mean attention distance of the heads of this layer is {low:.0f} to {high:.0f} pixels. With equal weights on all patches, it "
    "would be {even:.0f} pixels.",
    "vitviz.analysis.attention.head_statistics",
)
HEADS_COLUMNS = definition(("head", "entropy (0 to 1)", "distance (pixels)", "prefix mass", "largest weight"))
HEADS_DIGITS = definition(dict(zip(HEADS_COLUMNS, ("%d", "%.3f", "%.1f", "%.3f", "%.3f"), strict=True)))
