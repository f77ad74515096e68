"""Words of the rollout page."""

from __future__ import annotations

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Rollout",
    question="Where did the information come from?",
    lead=(
        "Every head of every layer decides afresh, for this picture, which patches the chosen token takes information "
        "from. "
        "One layer alone does not tell where it came from, because what it reads has been mixed by the layers before. "
        "Rollout multiplies the layers to follow it back to the picture."
    ),
    try_this="Choose a wheel as the query, then the class token. Set α to 0.9 and to 0.1. Leave out the first layers.",
    notice=(
        "Early heads look near or at fixed offsets, later ones at things. A few patches may draw attention from "
        "everywhere: "
        "they are listed as sinks, and rollout inherits them."
    ),
    catch=(
        "Attention says where a token looks, not what it does with it: values, norms and the MLPs are ignored, and α = "
        "0.5 for the residual "
        "stream is an assumption. A patch that attention ignores can still matter, and the other way round."
    ),
    formula=(
        r"With $A^{(l,h)}$ the weights of layer $l$ and head $h$: $\hat A_l = \alpha I + (1-\alpha)\,\mathrm{fuse}_h "
        r"A^{(l,h)}$, "
        r"$R = \hat A_L \cdots \hat A_1$, and the map of query $q$ is row $q$ of $R$. For one head there are two "
        r"readings: "
        r"*the last hop*, $A^{(l,h)} \hat A_{l-1} \cdots \hat A_1$, what this head reads traced back to the picture; "
        r"and *leave one in*, "
        r"$\hat A_L \cdots (\alpha I + (1-\alpha) A^{(l,h)}) \cdots \hat A_1$, what the end would see if layer $l$ had "
        r"this head alone."
    ),
    references=(
        "Abnar and Zuidema 2020, *Quantifying attention flow in transformers*, [arXiv "
        "2005.00928](https://arxiv.org/abs/2005.00928).",
        "Darcet et al. 2024, *Vision transformers need registers* (on sinks), [arXiv "
        "2309.16588](https://arxiv.org/abs/2309.16588).",
    ),
)

QUERY_LINE = "Query: **{query}**. Choose another in one of the pictures."
BOARD = "All heads of all layers"
BOARD_OF = "Show"
BOARDS = {"attention": "attention", "last_hop": "last hop", "leave_one_in": "leave one in"}
BOARD_HELP = (
    "Attention is one layer alone. The last hop follows what a head reads back to the picture; leave one in is the "
    "rollout "
    "of all layers in which this layer has this head alone."
)
BOARD_LABELS = {
    "attention": common.ATTENTION_WEIGHT,
    "last_hop": "per-head rollout (last hop)",
    "leave_one_in": "per-head rollout (leave one in)",
}
BOARD_ALT = "One small map for each of {heads} heads in each of {layers} layers: {label} of the {query}."
LAYER, HEAD = "Layer", "Head"
HEAD_MEAN = "mean of heads"
ENLARGED = "Layer {layer}, {head}"
HEAD_NAME = "head {head}"
ENLARGED_ALT = "{label} of the {query} in layer {layer}, {head}."
ROW_FACTS = (
    "This query: entropy {entropy:.2f} (1 is an even spread), {prefix:.0%} of the weight on prefix tokens, largest "
    "patch weight {largest:.3f}."
)
FACT_ENTROPY, FACT_PREFIX = "entropy", "prefix mass"

ROLLED = "Rollout through the layers"
FUSION = "Heads fused by"
FUSIONS = {"mean": "mean", "max": "maximum", "min": "minimum"}
FUSION_HELP = "The paper takes the mean. With maximum or minimum the rows no longer sum to 1 and are normalised again."
DISCARD = "Discard the weakest patches"
DISCARD_HELP = (
    "The share of each row's patch entries, the smallest, that is set to zero before multiplying. Prefix tokens are "
    "kept."
)
ALPHA = "α, the share that stays"
ALPHA_HELP = "How much of each token passes through the residual stream unmixed. 0.5 is the paper's assumption."
LAYERS = "From layer to layer"
LAYERS_HELP = "Only these layers are multiplied."
ROLLED_ALT = "Attention rollout of the {query} through layers {first} to {last}."
ROLLED_LABEL = "attention rollout"

SINKS = "Sinks in layer {layer}"
SINKS_TEXT = "Tokens that draw over ten times the attention of the median patch, over all heads and queries:"
SINKS_NONE = "No token draws over ten times the attention of the median patch."
SINK_LINE = "**{name}**: {share:.1%} of all attention, {times:.0f} times the median patch"
SINKS_MORE = "and {count} more"
HEADS = "The heads of layer {layer} in numbers"
HEADS_TEXT = "Means over all patch queries. Distance drops prefix tokens and lets the rest of each row sum to 1."
HEADS_COLUMNS = ("head", "entropy (0 to 1)", "distance (pixels)", "prefix mass", "largest weight")
HEADS_DIGITS = dict(zip(HEADS_COLUMNS, ("%d", "%.3f", "%.1f", "%.3f", "%.3f"), strict=True))
