"""Words of the page on interventions."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text import common
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_EFFECT = "vitviz.analysis.interventions.application.effect"
_WORTH = "vitviz.analysis.head_importance.head_importance"
_SINKS = "vitviz.analysis.sinks.token_outliers"

_UNTRAINED = definition("This model was not trained: changes of its output mean nothing.", when="!trained")
_NEEDED = definition("A fall shows that something was needed here, not that nothing else could replace it.")

PAGE = PageText(
    title=instruction("What if"),
    question=instruction("What really matters?"),
    lead=instruction(
        "A map shows where a model looks, not whether it matters: remove something and run the model again."
    ),
    try_this=instruction("Draw over the object until the answer changes.", when="answers")
    + instruction("Draw over the object, and watch the cosine similarity.", when="!answers")
    + instruction("Undo this, and draw over an equal area of the background."),
    notice=definition("Compare areas of equal size: a larger area removes more, whatever it shows.")
    + reference(
        "Naseer et al. found that Vision Transformers keep their answer when much of the picture is hidden.",
        "naseer",
        when="trained,answers",
    )
    + _UNTRAINED,
    catch=definition("A picture with holes is unlike training pictures.", when="trained")
    + definition("The holes themselves also change the output.")
    + _NEEDED,
    formula=definition(
        r"Hidden patches are replaced in the pixels before the first layer, or leave the sequence: their keys are $-\infty$ in every "
        r"layer. A head that is off gives $0$, or its mean output over the gallery, in place of $A^{(l,h)} V^{(l,h)}$ before $W_o$. A "
        r"layer that is off passes on its input. Cut tokens: $\mathrm{softmax}(q k^\top/\sqrt d + m)$ with $m = -\infty$ in their "
        r"columns. Similarity: the cosine similarity of each token after the final norm with what it was before."
    ),
    references=("naseer", "geirhos", "michel", "voita", "jain", "wiegreffe", "xiao", "darcet"),
)

# The page with each of its sections
PAGES = {
    "hide": PAGE,
    "order": replace(
        PAGE,
        lead=instruction("Put the patches in another order, and run the model again: does the arrangement matter?"),
        try_this=instruction("Shuffle the patches.")
        + instruction("Then undo this, and shuffle the positions instead.", when="added")
        + instruction("Try another order: is the effect the same for any order?"),
        notice=definition(
            "If the answer stays after a shuffle, the arrangement was not needed here. The test does not show what was used instead.",
            when="answers",
        )
        + definition(
            "If the cosine similarity stays high, the arrangement matters little for the output vector.",
            when="!answers",
        )
        + reference(
            "Naseer et al. found Vision Transformers much less biased towards local textures than convolutional networks.",
            "naseer",
            when="trained",
        )
        + _UNTRAINED,
        catch=definition("A shuffled photograph is unlike training pictures.", when="trained") + _NEEDED,
    ),
    "heads": replace(
        PAGE,
        lead=instruction(
            "A map shows where a head looks, not whether it matters: switch it off and run the model again."
        ),
        try_this=instruction("Switch off one head, then all heads of a layer, then the whole layer.")
        + instruction("Replace a head by its mean: is the effect smaller?"),
        notice=reference(
            "Often one head has little effect, and sometimes it has a large one.", "michel", "voita", when="trained"
        )
        + _UNTRAINED,
        catch=definition("A network without a head is not the network that was trained.", when="trained")
        + _NEEDED
        + reference(
            "It is disputed whether attention explains a model: Jain and Wallace say no; Wiegreffe and Pinter say that it depends.",
            "jain",
            "wiegreffe",
        ),
    ),
    "cut": replace(
        PAGE,
        lead=instruction(
            "Cut some tokens out of attention, so that no token attends to them, and run the model again."
        ),
        try_this=instruction("Cut the patches of the object. Undo this, and cut as many patches of the background.")
        + instruction("Then cut them only in a few layers: where are they needed?"),
        notice=definition("If a token is cut only in late layers, other tokens have taken from it in earlier layers.")
        + reference(
            "Sinks get much attention and may hold little information about the picture.",
            "xiao",
            "darcet",
            when="trained",
        )
        + _UNTRAINED,
        catch=definition(
            "Each row still sums to 1, so the weights of the other tokens grow. This also changes the output."
        )
        + _NEEDED,
    ),
    "worth": replace(
        PAGE,
        lead=instruction("Switch off every head in turn: which heads are needed here?"),
        try_this=instruction("Measure the heads, and compare both boards.")
        + instruction("Then switch off the most important head under *Heads and layers*."),
        notice=reference(
            "Often one head has little effect, and sometimes it has a large one.", "michel", "voita", when="trained"
        )
        + _UNTRAINED,
        catch=definition(
            "Each head is switched off alone: two heads that can replace each other both look unimportant. "
            "The numbers hold only for this picture and this output."
        ),
    ),
    "sinks": replace(
        PAGE,
        lead=definition("A few tokens may get attention from many others: where are they, and from which layer on?"),
        try_this=instruction("Go through the layers. Lower the thresholds to see the next tokens.")
        + instruction("Then cut them out of attention, and see whether they were needed."),
        notice=reference(
            "Large models with long training may use patches of uniform background to store information about the whole picture.",
            "darcet",
            when="trained",
        )
        + definition("The model was not trained: tokens that stand out have no learned function.", when="!trained"),
        catch=definition(
            "The thresholds are a convention: tokens stand out compared with the median patch of this picture and layer. "
            "Removing sinks from a map changes only the map."
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
        "worth": "Head importance",
        "sinks": "Sinks",
    }
)

# What is switched
SWITCHED = instruction("Changes now")
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
HIDE_HINT = instruction("Draw to hide patches. Draw over hidden patches to show them again.")
HIDE_ALT = definition(
    "The photograph to paint on, with a pointer or with arrow keys and space; {count} patches are hidden.",
    when="keyboard",
)
HIDE_HINT_TOUCH = instruction(
    "Draw over patches with a finger to hide them. Draw over hidden patches to show them again."
)
REMOVED_AND_SHUFFLED = definition(
    "The patches are also shuffled: removing applies to the place in the sequence, whichever patch is there now."
)

# Order
SHUFFLE = instruction("Shuffle the patches")
SHUFFLE_HELP = definition("The pieces of the picture change places before the model sees them.")
POSITIONS = instruction("Position embedding")
POSITIONS_OF = instruction({"": "as it is", "zero": "none", "shuffle": "shuffled"})
POSITIONS_HELP = definition(
    "None: no position embedding is added. Shuffled: every patch gets the position embedding of another patch."
)
ANOTHER_ORDER = instruction("Another order")
ORDER_TEXT = definition(
    "Both shuffles together, in different orders, test whether the arrangement is needed here.", when="added"
) + definition("Without any positions, the result of attention would be the same for every order.")

# Heads and layers
HEAD_BY = instruction("Replace a head by")
HEAD_BYS = instruction({"zero": "zero", "mean": "its mean"})
HEAD_BY_HELP = definition(
    "Zero removes the whole output of a head. The mean over the gallery keeps its average output and removes only what depends on this "
    "picture."
)
MEANS_OF = computed(
    "Mean outputs over {images} gallery photographs, with the hash {digest}.",
    "vitviz.analysis.interventions.switch_off_heads.head_means",
)
BOARD_HINT = instruction("Click a head to switch it off or on.")
BOARD_HINT_TOUCH = instruction("Tap a head to switch it off or on.")
BOARD_ALT = definition(
    "{heads} heads in {layers} layers; each map shows where the {query} looks. {off} heads are off; arrow keys and space switch them.",
    when="keyboard",
)
BOARD_CAPTION = definition("attention weight, every head on its own scale")
BOARD_ENDS = definition(("least", "most (99th percentile)"))
LAYERS = instruction("Whole layers off")
LAYERS_HELP = definition("Attention and MLP are both left out: the output of the layer is its input.")

# Cut tokens
CUT_TEXT = definition(
    "No token attends to these tokens: their columns are cut before the softmax. The cut tokens still attend to others and stay in the "
    "sequence."
)
CUT_HINT = instruction("Draw to cut patches, draw over them again to restore them.")
CUT_ALT = definition("The photograph to choose tokens on; {count} tokens are cut out of attention.")
CUT_PREFIX = instruction("Prefix tokens")
CUT_SINKS = instruction("Cut the sinks and long tokens ({count})")
CUT_SINKS_HELP = definition(
    "Sinks get more than 10 times the attention of the median patch; long tokens are more than 3 times as long. See the section on sinks."
)
CUT_NO_SINKS = computed("No token stands out in this picture, so there is none to cut.", _SINKS)
CUT_LAYERS = instruction("Only in these layers (none chosen: all)")

# Results
POINTS = common.POINTS
NO_LIKELIHOOD = definition("The explained token was removed from the sequence, so it has no value.")
TOP = definition(("before", "after", "change"))
SHARE = computed("{share:.1%}", _EFFECT)
SAME = computed("±0.0", _EFFECT)
NOW = computed("Now **{after}**, no longer {before}.", _EFFECT)
NOW_ANOTHER = computed("Now another answer comes first.", _EFFECT)
TOKEN_READ = computed("Cosine similarity of the {token} before and after: **{cosine:.3f}**", _EFFECT)
UNCHANGED = definition("nothing changed yet")

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
SIMILARITY = instruction("Similarity of each patch's token before and after")
SIMILARITY_LABEL = definition("cosine similarity of the tokens before and after, last layer")
SIMILARITY_ALT = definition("For every patch: the cosine similarity of its last token before and after the change.")
NO_SIMILARITY = definition("The sequence is shorter than before, so tokens cannot be compared one by one.")
LAYER_IS_OFF = definition("Layer {layer} is off: the map shows its attention, but its output is not used.")
HEAD_IS_OFF = definition("This head is off: the map shows its attention, but its output is not used.")
ROLLOUT_LEFT_OUT = definition(
    "Layers that are off are left out of the rollout after the change. Heads that are off are still included, because rollout uses "
    "weights, not outputs."
)

# Importance of heads
WORTH_TEXT = definition(
    "Heads that attend sharply to few tokens may look important. Switching every head off in turn measures how important each head is "
    "here. The two need not agree."
)
WORTH_RUN = instruction("Switch every head off in turn")
WORTH_RUNNING = instruction("Switching off head after head")
WORTH_MEASURED = instruction("Importance of the head")
WORTH_SAID = instruction("Sharpness of its attention")
WORTH_SAID_CAPTION = definition("mean over queries of the head's largest weight")
WORTH_ALT = definition(
    "{name}: one number for each of {heads} heads in {layers} layers. Arrow keys and space switch heads off and on.",
    when="keyboard",
)
CORRELATION_HELP = definition(
    "Spearman's rank correlation over all heads, of the absolute fall with the sharpness of attention. 1: the same order, 0: unrelated."
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
            "How sharply a head attends is almost unrelated to its importance here (rank correlation {correlation}).",
            _WORTH,
        ),
    ),
    (-2.0, computed("Heads that attend sharply matter less here (rank correlation {correlation}).", _WORTH)),
)
NO_CORRELATION = computed("All heads have the same importance here, so there is no correlation.", _WORTH)
MOST = computed(
    "The most important head here is head {head} of layer {layer}. Without it, {target} goes from {before} to {after}.",
    _WORTH,
)
MOST_COSINE = computed(
    "The most important head here is head {head} of layer {layer}. Without it, the cosine similarity falls by {fall:.3f}.",
    _WORTH,
)
MOVED = computed(
    "{moved} of {heads} heads change the probability by more than 10 points when they are switched off alone.", _WORTH
)

# Sinks
SINKS_TEXT = reference(
    "In some models, a few tokens get far more attention than the rest (sinks), or have far longer vectors (long tokens). The thresholds "
    "are relative to the median patch of this picture and layer.",
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
SINK_NONE = computed("No token stands out in any layer at these thresholds. Lower them to see the next tokens.", _SINKS)
SINK_HERE = computed("Tokens that stand out in this layer: {names}", _SINKS)
SINK_NOT_HERE = computed("No token stands out in this layer. In other layers: {names}", _SINKS)
SINK_ALL = computed("Tokens that stand out in any layer: {names}", _SINKS)
SINK_THROUGH = instruction("Through the layers")
SINK_CURVES = definition({"norm": "times the median norm", "mass": "times the median attention"})
SINK_ALONG = definition({"norm": "after layer", "mass": "layer"})
WITHOUT_SINKS = instruction("The map with and without these tokens")
SINK_WITH, SINK_WITHOUT = definition(
    ("Attention of the {query}, layer {layer}, raw colours", "The same without {count}")
)
WITHOUT_SINKS_TEXT = definition(
    "Only the map changes: the weights of these tokens become zero, and the other weights are rescaled. To run the model without them:"
)
SINK_CUT = instruction("Cut them out of attention")
