"""Words of the page on interventions."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_EFFECT = "vitviz.analysis.interventions.application.effect"
_WORTH = "vitviz.analysis.head_importance.head_importance"
_SINKS = "vitviz.analysis.sinks.token_outliers"

_UNTRAINED = definition("This model was not trained: what changes here means nothing.", when="!trained")
_NEEDED = definition("A fall says that something was needed here, not that nothing else could have done it.")

PAGE = PageText(
    title=instruction("What if"),
    question=instruction("What really matters?"),
    lead=instruction("A map shows where a model looks, not whether it matters: take something away and ask again."),
    try_this=instruction("Draw over the object until the answer changes.", when="answers")
    + instruction("Draw over the object, and watch the cosine similarity.", when="!answers")
    + instruction("Undo that, and draw over as much of the background."),
    notice=definition("Compare equal areas: a large one takes more away, whatever it shows.")
    + reference(
        "Naseer et al. found that Vision Transformers keep their answer when much of the picture is hidden.",
        "naseer",
        when="trained,answers",
    )
    + _UNTRAINED,
    catch=definition("A picture with holes is unlike those of the training, so the holes count, too.") + _NEEDED,
    formula=definition(
        r"Hidden patches are replaced in the pixels before the first layer, or leave the sequence: their keys are $-\infty$ in every "
        r"layer. A head that is off gives $0$, or its mean output over the gallery, in place of $A^{(l,h)} V^{(l,h)}$ before $W_o$. A "
        r"layer that is off hands on its input. Cut tokens: $\mathrm{softmax}(q k^\top/\sqrt d + m)$ with $m = -\infty$ in their "
        r"columns. Similarity: the cosine similarity of each token after the final norm with what it was before."
    ),
    references=("naseer", "geirhos", "michel", "voita", "jain", "wiegreffe", "xiao", "darcet"),
)

# The page with each of its sections
PAGES = {
    "hide": PAGE,
    "order": replace(
        PAGE,
        lead=instruction("Take the arrangement away: put the patches in another order, and ask again."),
        try_this=instruction("Shuffle the patches.")
        + instruction("Then leave them, and shuffle the positions instead.", when="added")
        + instruction("Try another order: is it this order, or any?"),
        notice=definition(
            "Where the answer survives a shuffle, the arrangement was not needed here. What was used instead is not shown.",
            when="answers",
        )
        + definition(
            "Where the cosine similarity stays high, the arrangement mattered little to the model's summary.",
            when="!answers",
        )
        + reference(
            "Naseer et al. found Vision Transformers much less biased towards local textures than convolutional networks.",
            "naseer",
            when="trained",
        )
        + _UNTRAINED,
        catch=definition("A shuffled photograph is unlike those of the training.") + _NEEDED,
    ),
    "heads": replace(
        PAGE,
        lead=instruction("A map shows where a head looks, not whether it matters: switch it off and ask again."),
        try_this=instruction("Switch off one head, then all heads of a layer, then the whole layer.")
        + instruction("Replace a head by its mean: is less lost?"),
        notice=reference(
            "Often one head changes little, and sometimes one changes much.", "michel", "voita", when="trained"
        )
        + _UNTRAINED,
        catch=definition("A network without a head is unlike the one that was trained.")
        + _NEEDED
        + reference(
            "Whether attention explains is disputed: no, say Jain and Wallace; it depends on the question, say Wiegreffe and Pinter.",
            "jain",
            "wiegreffe",
        ),
    ),
    "cut": replace(
        PAGE,
        lead=instruction("Let no token look at some of them: take these out of attention and ask again."),
        try_this=instruction("Cut the patches of the object. Undo that, and cut as many of the background.")
        + instruction("Then cut them in a few layers alone: where are they needed?"),
        notice=definition("A token that is cut in late layers alone was read before, and may have done its part.")
        + reference("Sinks get much attention and may carry little of the picture.", "xiao", "darcet", when="trained")
        + _UNTRAINED,
        catch=definition(
            "Weights of the tokens that stay grow, since each row still sums to 1: this changes what is read of them, too."
        )
        + _NEEDED,
    ),
    "worth": replace(
        PAGE,
        lead=instruction("Switch off every head in turn: which of them is needed here?"),
        try_this=instruction("Measure the heads, and compare both boards.")
        + instruction("Then switch off the strongest one under *Heads and layers*."),
        notice=reference(
            "Often one head changes little, and sometimes one changes much.", "michel", "voita", when="trained"
        )
        + _UNTRAINED,
        catch=definition(
            "Each head is switched off alone: two that can stand in for each other both look needless. "
            "The numbers are of this picture and target."
        ),
    ),
    "sinks": replace(
        PAGE,
        lead=definition("A few tokens may draw attention from many others: where are they, and since which layer?"),
        try_this=instruction("Go through the layers. Lower the thresholds to see the next tokens.")
        + instruction("Then cut them out of attention, and ask whether they were needed."),
        notice=reference(
            "Large models trained long may use patches of plain ground to keep something about the whole picture.",
            "darcet",
            when="trained",
        )
        + definition("The model was not trained: where a token stands out, no use is made of it.", when="!trained"),
        catch=definition(
            "The thresholds are a convention: tokens stand out compared with the median patch of this picture and layer. "
            "Setting sinks aside in a map changes the map alone."
        ),
    ),
}

SECTION = instruction("What to change")
SECTIONS = instruction(
    {
        "hide": "Hide patches",
        "order": "Order",
        "heads": "Heads and layers",
        "cut": "Cut tokens",
        "worth": "What heads are worth",
        "sinks": "Sinks",
    }
)

# What is switched
SWITCHED = instruction("Switched now")
UNDO = instruction("Undo everything")
REMOVE = instruction("{change}: undo")
HIDE_LINE = instruction(
    {
        "mean": "{count} hidden by the mean colour",
        "blur": "{count} blurred",
        "removed": "{count} removed from the sequence",
    }
)
PATCHES = instruction(("1 patch", "{count} patches"))
HEADS = instruction(("1 head", "{count} heads"))
TOKENS = instruction(("1 token", "{count} tokens"))
SHUFFLE_LINE = instruction("patches shuffled (order {seed})")
POSITIONS_LINE = instruction({"zero": "no position embedding", "shuffle": "positions shuffled (order {seed})"})
HEADS_LINE = instruction({"zero": "{count} off: {names}", "mean": "{count} at the mean: {names}"})
LAYER_HEAD_NAME = instruction("layer {layer} head {head}")
AND_MORE = instruction("{names} …")
LAYERS_LINE = instruction("layers off: {names}")
CUT_LINE = instruction("{count} cut out of attention: {names}")
CUT_SOME = instruction("{line}, in layers {layers}")

# Hide patches
HIDE_BY = instruction("Hide by")
HIDE_BYS = instruction({"mean": "mean colour", "blur": "blur", "removed": "removing the token"})
HIDE_BY_HELP = definition(
    "Mean colour and blur change the picture. Removing takes the patch's token out of the sequence: nothing attends to it."
)
HIDE_HINT = instruction("Draw to hide patches; draw over hidden ones to bring them back.")
HIDE_ALT = definition(
    "The photograph to paint on, with a pointer or with arrow keys and space; {count} patches are hidden."
)
HIDE_HINT_TOUCH = instruction("Draw over patches with a finger to hide them; draw over hidden ones to bring them back.")
REMOVED_AND_SHUFFLED = definition(
    "The patches are shuffled too: what is removed is the place in the sequence, whatever stands there now."
)

# Order
SHUFFLE = instruction("Shuffle the patches")
SHUFFLE_HELP = definition("The pieces of the picture change places before the model sees them.")
POSITIONS = instruction("Position embedding")
POSITIONS_OF = instruction({"": "as it is", "zero": "none", "shuffle": "shuffled"})
POSITIONS_HELP = definition("None: nothing is added to the patches. Shuffled: every patch gets another one's.")
ANOTHER_ORDER = instruction("Another order")
ORDER_TEXT = definition(
    "Both together, in different orders, show whether the arrangement was needed here.", when="added"
) + definition("Attention without any positions would give the same for every order.")

# Heads and layers
HEAD_BY = instruction("Replace a head by")
HEAD_BYS = instruction({"zero": "zero", "mean": "its mean"})
HEAD_BY_HELP = definition(
    "Zero takes away everything a head gives. Its mean over the gallery keeps what it gives on average and takes away only what it "
    "says about this picture."
)
MEANS_OF = computed(
    "Mean outputs over {images} gallery photographs, numbers {digest}.",
    "vitviz.analysis.interventions.switch_off_heads.head_means",
)
BOARD_HINT = instruction(
    "Click a head to switch it off, click again to switch it on. Arrow keys and space do the same."
)
BOARD_HINT_TOUCH = instruction("Tap a head to switch it off, tap again to switch it on.")
BOARD_ALT = definition("{heads} heads in {layers} layers, each with where the {query} looks; {off} of them are off.")
BOARD_CAPTION = definition("attention weight, every head on its own scale")
BOARD_ENDS = definition(("least", "most (99th percentile)"))
LAYERS = instruction("Whole layers off")
LAYERS_HELP = definition("Attention and MLP both left out: the layer hands on what it was given.")

# Cut tokens
CUT_TEXT = definition(
    "Nobody may look at these tokens: their columns are cut before the softmax. They themselves still look and are counted."
)
CUT_HINT = instruction("Draw to cut patches out of attention; draw again to bring them back.")
CUT_ALT = definition("The photograph to choose tokens on; {count} tokens are cut out of attention.")
CUT_PREFIX = instruction("Prefix tokens")
CUT_SINKS = instruction("Cut the sinks and long tokens ({count})")
CUT_SINKS_HELP = definition(
    "Sinks get more than 10 times the attention of the median patch; long tokens are more than 3 times as long. See the section on sinks."
)
CUT_NO_SINKS = computed("No token stands out in this picture, so there is none to cut.", _SINKS)
CUT_LAYERS = instruction("Only in these layers (all, where none is chosen)")

# What came of it
POINTS = common.POINTS
NO_LIKELIHOOD = definition("The token that was asked about has left the sequence, so there is no number for it.")
TOP = definition(("before", "after", "change"))
SHARE = computed("{share:.1%}", _EFFECT)
SAME = computed("±0.0", _EFFECT)
NOW = computed("Now **{after}**, no longer {before}.", _EFFECT)
NOW_ANOTHER = computed("Now another answer is the first.", _EFFECT)
TOKEN_READ = computed("Cosine similarity of the {token} with what it was: **{cosine:.3f}**", _EFFECT)
NOTHING_YET = instruction(
    {
        "hide": "Draw over the picture and watch this number.",
        "order": "Shuffle something and watch this number.",
        "heads": "Switch a head or a layer off and watch this number.",
        "cut": "Cut a token out and watch this number.",
    }
)

# Beside each other
BESIDE = instruction("Compare the")
BESIDES = instruction({"attention": "attention", "rollout": "rollout"})
MAP_TITLES = instruction({"before": "Before", "after": "After"})
MAP_NAMES = definition({"before": "{map}, before", "after": "{map}, after"})
MAPS = definition(
    {
        "attention": "Attention of the {query} in layer {layer}, {head}",
        "rollout": "Attention rollout of the {query}",
    }
)
MAP_OF = instruction("{map}. Both on one scale. Choose a patch to see where that patch looks.")
MAP_ALT = definition("{name}, over the photograph.")
SEEN = instruction("What the model sees now")
SEEN_ALT = definition("The photograph as the changed model sees it. Removed patches are dark.")
SIMILARITY = instruction("How far each patch's token stayed as it was")
SIMILARITY_LABEL = definition("cosine similarity with the token before, last layer")
SIMILARITY_ALT = definition(
    "For every patch: the cosine similarity of its last token with what it was before the change."
)
NO_SIMILARITY = definition("The sequence is shorter than before, so tokens cannot be compared one by one.")
LAYER_IS_OFF = definition("Layer {layer} is off: this is what it would look at, but nobody reads it.")
HEAD_IS_OFF = definition("This head is off: it still looks, but what it reads goes nowhere.")
ROLLOUT_LEFT_OUT = definition(
    "Layers that are off are left out of the rollout after. Heads that are off are still counted: rollout sees weights, not outputs."
)

# What heads are worth
WORTH_TEXT = definition(
    "One might take the heads that single out few tokens for the important ones. Switching every head off in turn says what each is worth "
    "here. The two need not agree."
)
WORTH_RUN = instruction("Switch every head off in turn")
WORTH_RUNNING = instruction("Switching off head after head")
WORTH_MEASURED = instruction("What it is worth")
WORTH_SAID = instruction("How sharply it attends")
WORTH_SAID_CAPTION = definition("mean over queries of the head's largest weight")
WORTH_ALT = definition("{name}: one number for each of {heads} heads in {layers} layers.")
CORRELATION_HELP = definition(
    "Spearman's, of the size of the measured fall with how sharply a head attends, over all heads: 1 they agree, 0 no relation."
)
CORRELATION_WORDS = (
    (0.6, computed("Heads that attend sharply mostly matter more here (rank correlation {correlation}).", _WORTH)),
    (
        0.2,
        computed("Heads that attend sharply matter a little more here (rank correlation {correlation}).", _WORTH),
    ),
    (
        -0.2,
        computed(
            "How sharply a head attends says next to nothing about its worth here (rank correlation {correlation}).",
            _WORTH,
        ),
    ),
    (-2.0, computed("Heads that attend sharply matter less here (rank correlation {correlation}).", _WORTH)),
)
NO_CORRELATION = computed("All heads are worth the same here, so there is nothing to correlate.", _WORTH)
MOST = computed(
    "Most needed here: layer {layer}, head {head}. Without it {target} goes from {before} to {after}.", _WORTH
)
MOST_COSINE = computed(
    "Most needed here: layer {layer}, head {head}. Without it the cosine similarity falls by {fall:.3f}.", _WORTH
)
MOVED = computed("{moved} of {heads} heads change it by more than 10 points when they are switched off alone.", _WORTH)

# Sinks
SINKS_TEXT = reference(
    "Some models use a few tokens in another way than the rest: they get far more attention (sinks), or their vectors are far longer "
    "(long tokens). What counts as far is relative to the median patch of this picture and layer.",
    "xiao",
    "darcet",
)
NORM_TIMES = instruction("Long: times the median norm")
MASS_TIMES = instruction("Sink: times the median attention")
SINK_LAYER = instruction("After layer")
SINK_NORM = definition("Length of each token after layer {layer}")
SINK_NORM_LABEL = definition("norm of the token")
SINK_MASS = definition("Attention each token gets in layer {layer}")
SINK_MASS_LABEL = definition("share of all attention")
SINK_ALT = definition("{name}, over the photograph; {count} patches stand out and are framed.")
SINK_NONE = computed("No token stands out in any layer at these thresholds. Lower them to see the nearest.", _SINKS)
SINK_HERE = computed("In this layer stand out: {names}", _SINKS)
SINK_NOT_HERE = computed("In this layer none stands out; in others: {names}", _SINKS)
SINK_THROUGH = instruction("Through the layers")
SINK_CURVES = definition({"norm": "times the median norm", "mass": "times the median attention"})
SINK_ALONG = definition({"norm": "after layer", "mass": "layer"})
SINK_SET_ASIDE = instruction("The map with them, and with them set aside")
SINK_WITH, SINK_WITHOUT = definition(
    ("Attention of the {query}, layer {layer}, raw colours", "The same with {count} set aside")
)
SINK_ASIDE_TEXT = definition(
    "Setting aside only redraws the map: their weights become zero and the rest is rescaled. To ask what the model would do without them:"
)
SINK_CUT = instruction("Cut them out of attention")
