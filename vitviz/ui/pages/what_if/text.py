"""Words of the page on interventions."""

from __future__ import annotations

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="What if",
    question="What really matters?",
    lead=(
        "A map shows where a model looks, not whether it matters. So take something away and ask again: patches, their order, "
        "heads, layers, single tokens. Before and after stand side by side."
    ),
    try_this=(
        "Draw over the object until the answer changes. Undo that, and draw over as much of the background. Then switch "
        "off one head, then a whole layer."
    ),
    notice=(
        "Single heads hardly ever matter: the others fill in for them. Shuffled patches or missing positions often leave the "
        "answer standing, so the model counts textures more than their arrangement."
    ),
    catch=(
        "Every change makes an input or a network that was never trained. A fall says that something was needed here, not that "
        "nothing else could have done it."
    ),
    formula=(
        r"Hidden patches are replaced in the pixels before the first layer, or leave the sequence: their keys are $-\infty$ in every "
        r"layer. A head that is off gives $0$, or its mean output over the gallery, in place of $A^{(l,h)} V^{(l,h)}$ before $W_o$. A "
        r"layer that is off hands on its input. Cut tokens: $\mathrm{softmax}(q k^\top/\sqrt d + m)$ with $m = -\infty$ in their "
        r"columns. Similarity: the cosine of each token after the final norm with what it was before."
    ),
    references=(
        "Naseer et al. 2021, *Intriguing properties of vision transformers*, [arXiv 2105.10497](https://arxiv.org/abs/2105.10497).",
        "Michel, Levy and Neubig 2019, *Are sixteen heads really better than one?*, [arXiv 1905.10650](https://arxiv.org/abs/1905.10650).",
        "Jain and Wallace 2019, *Attention is not explanation*, [arXiv 1902.10186](https://arxiv.org/abs/1902.10186).",
        "Darcet et al. 2024, *Vision transformers need registers*, [arXiv 2309.16588](https://arxiv.org/abs/2309.16588).",
    ),
)

SECTION = "What to change"
SECTIONS = {
    "hide": "Hide patches",
    "order": "Order",
    "heads": "Heads and layers",
    "cut": "Cut tokens",
    "worth": "What heads are worth",
    "sinks": "Sinks",
}

# What is switched
SWITCHED = "Switched now"
NOTHING = "Nothing is switched yet."
UNDO = "Undo everything"
REMOVE = "{change}: undo"
HIDE_LINE = {
    "mean": "{count} hidden by the mean colour",
    "blur": "{count} blurred",
    "removed": "{count} removed from the sequence",
}
PATCHES = ("1 patch", "{count} patches")
HEADS = ("1 head", "{count} heads")
TOKENS = ("1 token", "{count} tokens")
SHUFFLE_LINE = "patches shuffled (order {seed})"
POSITIONS_LINE = {"zero": "no position embedding", "shuffle": "positions shuffled (order {seed})"}
HEADS_LINE = {"zero": "{count} off: {names}", "mean": "{count} at the mean: {names}"}
HEAD_NAME = "layer {layer} head {head}"
AND_MORE = "{names} …"
LAYERS_LINE = "layers off: {names}"
CUT_LINE = "{count} cut out of attention: {names}"
CUT_SOME = "{line}, in layers {layers}"

# Hide patches
HIDE_BY = "Hide by"
HIDE_BYS = {"mean": "mean colour", "blur": "blur", "removed": "removing the token"}
HIDE_BY_HELP = "Mean colour and blur change the picture. Removing takes the patch's token out of the sequence: nothing attends to it."
HIDE_HINT = (
    "Draw over patches to hide them; draw over hidden ones to bring them back. Arrow keys and space do the same."
)
HIDE_ALT = "The photograph to paint on; {count} patches are hidden."
REMOVED_AND_SHUFFLED = (
    "The patches are shuffled too: what is removed is the place in the sequence, whatever stands there now."
)

# Order
SHUFFLE = "Shuffle the patches"
SHUFFLE_HELP = "The pieces of the picture change places before the model sees them."
POSITIONS = "Position embedding"
POSITIONS_OF = {"": "as it is", "zero": "none", "shuffle": "shuffled"}
POSITIONS_HELP = "None: nothing is added to the patches. Shuffled: every patch gets another one's."
ANOTHER_ORDER = "Another order"
ORDER_TEXT = (
    "Both together, in different orders, tell whether the model reads an arrangement or a bag of patches. Without positions, "
    "shuffling changes nothing that attention could see."
)

# Heads and layers
HEAD_BY = "Replace a head by"
HEAD_BYS = {"zero": "zero", "mean": "its mean"}
HEAD_BY_HELP = (
    "Zero takes away everything a head gives. Its mean over the gallery keeps what it always gives and takes away only what it "
    "says about this picture."
)
MEANS_OF = "Mean outputs over {images} gallery photographs, numbers {digest}."
MEANS_RUNNING = "Taking every head's mean over the gallery"
BOARD_HINT = "Click a head to switch it off, click again to switch it on. Arrow keys and space do the same."
BOARD_ALT = "{heads} heads in {layers} layers, each with where the {query} looks; {off} of them are off."
BOARD_CAPTION = "attention weight, every head on its own scale"
BOARD_ENDS = ("least", "most (99th percentile)")
LAYERS = "Whole layers off"
LAYERS_HELP = "Attention and MLP both left out: the layer hands on what it was given."

# Cut tokens
CUT_TEXT = "Nobody may look at these tokens: their columns are cut before the softmax. They themselves still look and are counted."
CUT_HINT = "Draw over patches to cut them out of attention; draw over them again to bring them back."
CUT_ALT = "The photograph to choose tokens on; {count} tokens are cut out of attention."
CUT_PREFIX = "Tokens that are not patches"
CUT_SINKS = "Cut the sinks ({count})"
CUT_SINKS_HELP = (
    "Tokens with far more attention or a far longer vector than the others of this picture; see the section on sinks."
)
CUT_NO_SINKS = "No token stands out in this picture, so there is no sink to cut."
CUT_LAYERS = "Only in these layers (all, where none is chosen)"

# What came of it
RUNNING = "Asking the changed model"
IMPOSSIBLE = "The model cannot run with all of this switched: at least one patch has to stay. Undo a part of it."
POINTS = common.POINTS
NO_LIKELIHOOD = "The token that was asked about has left the sequence, so there is no number for it."
TOP = ("before", "after", "change")
SHARE = "{share:.1%}"
SAME = "±0.0"
NOW = "Now **{after}**, no longer {before}."
TOKEN_READ = "Cosine of the {token} with what it was: **{cosine:.3f}**"
NOTHING_YET = {
    "hide": "Draw over the picture and watch this number.",
    "order": "Shuffle something and watch this number.",
    "heads": "Switch a head or a layer off and watch this number.",
    "cut": "Cut a token out and watch this number.",
}

# Beside each other
BESIDE = "Compare the"
BESIDES = {"attention": "attention", "rollout": "rollout"}
LAYER, HEAD, HEAD_MEAN = "Layer", "Head", "mean"
MAP_TITLES = {"before": "Before", "after": "After"}
MAP_NAMES = {"before": "{map}, before", "after": "{map}, after"}
MAPS = {
    "attention": "Attention of the {query} in layer {layer}, {head}",
    "rollout": "Attention rollout of the {query}",
}
MEAN_OF_HEADS, ONE_HEAD = "mean of heads", "head {head}"
MAP_OF = "{map}. Both on one scale. Click a patch to see where that patch looks."
MAP_ALT = "{name}, over the photograph."
SEEN = "What the model sees now"
SEEN_ALT = "The photograph as the changed model sees it. Removed patches are crossed out."
SIMILARITY = "How like before each patch's token is"
SIMILARITY_LABEL = "cosine with the token before, last layer"
SIMILARITY_ALT = "For every patch: the cosine of its last token with what it was before the change."
NO_SIMILARITY = "The sequence is shorter than before, so tokens cannot be compared one by one."
LAYER_IS_OFF = "Layer {layer} is off: this is what it would look at, but nobody reads it."
HEAD_IS_OFF = "This head is off: it still looks, but what it reads goes nowhere."
ROLLOUT_LEFT_OUT = "Layers that are off are left out of the rollout after. Heads that are off are still counted: rollout sees weights, not outputs."

# What heads are worth
WORTH_TEXT = (
    "Attention seems to say which heads matter: those that single out few tokens. Switching every head off in turn says what "
    "each is worth. The two need not agree."
)
WORTH_RUN = "Switch every head off in turn"
WORTH_RUNNING = "Switching off head after head"
WORTH_MEASURED = "What it is worth"
WORTH_SAID = "What attention says"
WORTH_SAID_CAPTION = "mean over queries of the head's largest weight"
WORTH_ALT = "{name}: one number for each of {heads} heads in {layers} layers."
CORRELATION = "rank correlation"
CORRELATION_HELP = "Spearman's, of the size of the measured fall with what attention says, over all heads: 1 they agree, 0 no relation."
CORRELATION_WORDS = (
    (0.6, "Here the two mostly agree; on another picture they may not."),
    (0.2, "They agree a little: attention is a hint, not a measurement."),
    (-0.2, "Knowing one tells next to nothing about the other: attention is not cause."),
    (-2.0, "They point in opposite directions: attention is not cause."),
)
NO_CORRELATION = "All heads are worth the same here, so there is nothing to correlate."
MOST = "Most needed here: layer {layer}, head {head}. Without it {target} goes from {before} to {after}."
MOST_COSINE = "Most needed here: layer {layer}, head {head}. Without it the likeness falls by {fall:.3f}."

# Sinks
SINKS_TEXT = (
    "Some models turn a few tokens into scratch space: vectors far longer than the others, or far more attention. What counts as far "
    "is relative to the median patch of this picture and layer."
)
NORM_TIMES = "Long: times the median norm"
MASS_TIMES = "Looked at: times the median share"
SINK_LAYER = "After layer"
SINK_NORM = "Length of each token after layer {layer}"
SINK_NORM_LABEL = "norm of the token"
SINK_MASS = "Attention each token is given in layer {layer}"
SINK_MASS_LABEL = "share of all attention"
SINK_ALT = "{name}, over the photograph; {count} patches stand out and are framed."
SINK_NONE = "No token stands out in any layer at these thresholds. Lower them to see the nearest."
SINK_HERE = "In this layer stand out: {names}"
SINK_NOT_HERE = "In this layer none stands out; in others: {names}"
SINK_THROUGH = "Through the layers"
SINK_CURVES = {"norm": "times the median norm", "mass": "times the median share"}
SINK_ALONG = {"norm": "layers passed", "mass": "layer"}
SINK_SET_ASIDE = "The map with them, and with them set aside"
SINK_WITH, SINK_WITHOUT = "Attention of the {query}, layer {layer}, raw colours", "The same with {count} set aside"
SINK_ASIDE_TEXT = "Setting aside only redraws the map: their weights become zero and the rest is rescaled. To ask what the model would do without them:"
SINK_CUT = "Cut them out of attention"
