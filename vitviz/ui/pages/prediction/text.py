"""Words of the prediction page."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_FAITHFULNESS = "vitviz.analysis.faithfulness.faithfulness"

_UNTRAINED = definition(
    "This model was not trained: its output means nothing, and no map explains it.", when="!trained"
)

PAGE = PageText(
    title=instruction("Prediction"),
    question=instruction("What is the model's output, and why?"),
    lead=definition("{answers}"),
    try_this=instruction("From which layer on is the answer the same as at the end?", when="answers")
    + instruction("Then choose another answer to explain, and follow it through the layers.", when="answers")
    + instruction("Choose *What it depends on* to explain the output vector of this model.", when="!answers"),
    notice=reference(
        "In trained models the answer forms layer by layer; how early differs between pictures and models.",
        "vilas",
        when="trained,classes",
    )
    + _UNTRAINED
    + definition("A reading early in the model may change many times before the end.", when="answers")
    + definition("The other parts of this page explain the output vector.", when="!answers"),
    catch=definition(
        "Each reading uses the output layer, which belongs to the last layer. An early reading may mean little.",
        when="answers",
    )
    + definition("A probability shows how the model divides its answers, not how often it is right.", when="classes")
    + definition("A model without a classifier has no answer that could form layer by layer.", when="!answers"),
    formula=definition(
        r"With target $s$ and gradients $G^{(l,h)} = \partial s / \partial A^{(l,h)}$ of the same layer: relevance is $R = I$, then "
        r"$R \leftarrow R + \mathrm{mean}_h\,\mathrm{ReLU}(G \odot A)\, R$. Deletion: the probability of the target (of plain numbers, the "
        r"number; without a classifier, a cosine similarity) while patches are hidden in the order of a map; a good map has a small area "
        r"below it. Insertion: the same while they are shown, with a large area. Each method's formula is on its card."
    ),
    references=(
        "nostalgebraist",
        "vilas",
        "caron",
        "abnar",
        "chefer",
        "bousselham",
        "grad-cam",
        "sundararajan",
        "zeiler",
        "petsiuk",
        "adebayo",
    ),
)

# The page with each of its parts
PAGES = {
    "forming": PAGE,
    "methods": replace(
        PAGE,
        lead=definition(
            "Each method computes in a different way how much every patch contributes to the explained output."
        ),
        try_this=instruction("Choose a patch, and compare its value in each map.")
        + instruction("Use *and not* to explain this class in contrast to another class.", when="classes"),
        notice=definition(
            "Maps that do not depend on the class show where the model looks, not why it gives this class.",
            when="classes",
        )
        + definition("Methods that answer different questions need not agree.")
        + _UNTRAINED,
        catch=definition("A map that looks right to people need not show what the model used: test it.")
        + reference("Some methods give nearly the same map for a network with random weights.", "adebayo"),
    ),
    "trust": replace(
        PAGE,
        lead=definition("A faithful map gives its highest values to the patches that the output depends on most."),
        try_this=instruction("Test the maps: which map finds the important patches first?")
        + instruction("Then randomise the model: which map does not change?"),
        notice=definition("If the object is in the middle, the order from the centre outwards is a strong baseline.")
        + _UNTRAINED,
        catch=definition(
            "Pictures with hidden patches are unlike training pictures, so a curve measures this effect too.",
            when="trained",
        )
        + definition("The test holds only for this picture and this output. It does not prove that a map is right."),
    ),
    "mark": replace(
        PAGE,
        lead=definition("Does the output depend on the object? The marked area is hidden, then other areas."),
        try_this=instruction("Mark the object, and see which map has most of its relevance inside.")
        + instruction("Then mark only a part: how small can it be before other areas matter more?"),
        notice=definition(
            "The answer may also depend on the surroundings: compare with the other areas.", when="answers"
        )
        + definition(
            "The output vector may also depend on the surroundings: compare with the other areas.", when="!answers"
        )
        + _UNTRAINED,
        catch=definition(
            "Pictures with hidden areas are unlike training pictures, wherever the area is.", when="trained"
        )
        + definition("A map inside the object agrees with your marks, but it need not show what the model used."),
    ),
}

AGAINST = instruction("and not")
NOTHING_ELSE = instruction("(all others)")
SELF_DOT = definition(
    "This model has no classifier, so there is no class to explain. The maps explain the model's output vector, by its dot product "
    "with itself. To explain a patch, choose this patch as the query."
)

PARTS = instruction(
    {
        "forming": "How the answer forms",
        "methods": "What it depends on",
        "trust": "Which map to trust",
        "mark": "Mark the object",
    }
)
PART = instruction("Look at")

FORMING_TEXT = definition(
    "For a reading after a layer (logit lens), the tokens of this layer pass through the model's final norm, pooling and output layer. "
    "These parts belong to the last layer."
)
FORMING_TABLE = definition(("After layer", "Reading", "Accuracy", "Probability", "Target"))
RIGHT_TEXT = computed(
    "Accuracy: the share of the measured photographs for which the reading after this layer is right. Early readings mean little.",
    "vitviz.analysis.prediction.logit_lens",
)
RIGHT_UNKNOWN = definition(
    "The accuracy of readings after early layers was not measured for this model. They can mislead."
)
BEFORE_FIRST = definition("input")
PATCH_LENS_ALONE = definition(
    "The token of each patch passes alone through the model's final norm and output layer, as if it were the whole picture's."
)
PATCH_LENS_LAYER = instruction("After layer")
PATCH_LENS_WORDS = computed(
    "The most frequent readings of single patches are {names}.", "vitviz.analysis.prediction.patch_lens"
)
PATCH_LENS_SAME = computed(
    "These readings do not show the content of the patches, because every token has taken from others. Here {same} of {patches} patches "
    "give {name}, wherever they are.",
    "vitviz.analysis.prediction.patch_lens",
)
PATCH_NAME = computed("{name} ({count})", "vitviz.analysis.prediction.patch_lens")

_LINKED = instruction(
    "A patch that you point at or choose in one map is read in all maps.", when="mouse"
) + instruction("A patch that you choose in one map is read in all maps.", when="touch")
LINKED = {
    "robust": _LINKED + definition("Each map has its own scale, up to its 99th percentile."),
    "raw": _LINKED + definition("Each map has its own scale, up to its largest value."),
}
SLOW = instruction("Compute the two slow methods too")
SLOW_TEXT = definition("Integrated gradients and occlusion run the model many times.")
SIGNED_NOTE = definition("Red patches raise the explained output, blue patches lower it.")
NOT_PER_CLASS = definition("This map does not depend on the class: it is the same for every class.")
CARD_LINES = definition(("Formula", "Reference", "Cost in forward passes", "Limitations"))
MAP_ALT = definition("{method}: relevance of every patch for {target}.")
MISSING = definition("Not defined for this model: {names}.")

TEST = instruction("Test these maps on this picture")
TEST_TEXT = definition(
    "Patches are hidden (deletion) or shown (insertion) in the order of each map, and the model runs at each step. For comparison, the "
    "curves include five random orders as a band, and the order from the centre outwards. Patches with equal values are ordered at "
    "random, and five such orders are averaged."
)
CURVES = definition({"deletion": "Deletion", "insertion": "Insertion"})
TESTING = instruction("Hiding and showing patches")
AREAS = definition(
    ("Order", "Deletion area (small is good)", "Insertion area (large is good)", "Insertion less deletion")
)
TEST_COST = computed("It takes {passes} forward passes, about {time}.", "vitviz.capture.cost.estimate")
COARSE = definition("These curves have five points each. Finer curves and the result follow.")
BEST = computed(
    "Of {count} maps, **{best}** ranks the patches best for {target}: insertion less deletion is {gap}, and {random} in random order.",
    _FAITHFULNESS,
)
BEST_CENTRE = computed(
    "None of {count} maps ranks the patches better for {target} than the order from the centre outwards, which has {gap}.",
    _FAITHFULNESS,
)
BEST_RANDOM = computed(
    "None of {count} maps ranks the patches better for {target} than random order, which has {gap}.",
    _FAITHFULNESS,
)
_AGREEING = "vitviz.analysis.faithfulness.rank_agreement"
LEAST_OPPOSED = computed(
    "**{one}** and **{other}** contradict each other: where one is high, the other tends to be low (rank correlation {correlation}).",
    _AGREEING,
)
LEAST_UNRELATED = computed(
    "**{one}** and **{other}** agree least: they are almost unrelated (rank correlation {correlation}).",
    _AGREEING,
)
LEAST_ALIKE = computed(
    "All maps agree in part. **{one}** and **{other}** agree least (rank correlation {correlation}).", _AGREEING
)
AGREEMENT = instruction("Do the maps agree? Rank correlations")
DISAGREEMENT = instruction("Where they disagree")
DISAGREEMENT_ALT = definition("How far the methods' ranks of each patch lie apart.")
SANITY = instruction("Do the maps change when the model is randomised?")
SANITY_RUN = instruction("Randomise the model, layer by layer from the output")
SANITY_TEXT = definition(
    "The model's weights are replaced by random ones, layer by layer from the output to the input. A map that does not change shows the picture, "
    "not what the model has learned."
)
SANITY_RUNNING = instruction("Randomising, layer by layer")
SANITY_DEPTH = instruction("Random down to")
SANITY_UNCHANGED = computed(
    "With all weights random, these maps are still similar: {names}. Do not use them as explanations.",
    "vitviz.analysis.sanity.insensitive",
)
SANITY_FINE = computed(
    "With all weights random, every map has changed. This test alone does not prove that a map explains the output.",
    "vitviz.analysis.sanity.insensitive",
)

MARK_CLICK = instruction("Choosing a patch marks")
MARK_CLICKS = instruction({"alike": "similar patches", "patch": "one patch"})
MARK_HINT = instruction(
    {
        "alike": "Choose the object, or draw over or around it.",
        "patch": "Choose patches, or draw over or around them.",
    }
)
MARK_FOUND = instruction("Find the object")
MARK_FOUND_HELP = definition(
    "TokenCut divides the patches into two groups by the keys of the last layer, and takes one as the object."
)
MARK_CLEAR = instruction("Clear")
MARK_ALT = definition(
    "The photograph to mark the object on, with a pointer or with arrow keys and space; {count} patches are marked.",
    when="keyboard",
)
MARK_ALL = instruction("Everything is marked. Clear at least one patch, so that there is an area to compare with.")
MARK_RUNNING = instruction("Hiding the object, and equal areas elsewhere")
_OBJECT = "vitviz.analysis.hiding.object_test"
MARK_SENTENCE = computed(
    "Hiding the object takes **{target}** from {before} to {after}. Hiding equal areas elsewhere takes it to {elsewhere} on average.",
    _OBJECT,
)
MARK_REST = computed(
    "Hiding the object takes **{target}** from {before} to {after}. Hiding the rest, {rest:.0%} of the picture, takes it to {elsewhere}.",
    _OBJECT,
)
MARK_RISES = computed(
    "**{target}** does not need the marked part, which may even lower it: {before} with it, {after} without it.",
    _OBJECT,
)
MARK_STAYS = computed("**{target}** does not need the marked part: {before} with it, {after} without it.", _OBJECT)
MARK_NEEDED = computed(
    "**{target}** depends most on the marked part: {after} without it, {elsewhere} without other areas.", _OBJECT
)
MARK_CHEAPER = computed(
    "**{target}** depends on more than the marked part: only {cheaper} of {draws} other areas matter less.", _OBJECT
)
MARK_REST_NEEDED = computed(
    "**{target}** depends on the surroundings, too: {after} without the marked part, {elsewhere} without the rest.",
    _OBJECT,
)
MARK_SHARES = definition(("Method", "Inside", "Inside ÷ area"))
MARK_SHARES_TEXT = definition(
    "Inside: the share of a map's relevance that is on the object. A uniform map would have {area:.0%} inside."
)
