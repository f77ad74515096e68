"""Words of the prediction page."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_FAITHFULNESS = "vitviz.analysis.faithfulness.faithfulness"

_UNTRAINED = definition(
    "This model was not trained: what it gives means nothing, and no map of it shows a reason.", when="!trained"
)

PAGE = PageText(
    title=instruction("Prediction"),
    question=instruction("What does it see, and why?"),
    lead=definition("{answers}"),
    try_this=instruction("From which layer on is the answer what it is at the end?", when="answers")
    + instruction("Then choose another answer to explain, and follow it through the layers.", when="answers")
    + instruction("Choose *What it rests on*: this model has a summary of the picture to explain.", when="!answers"),
    notice=reference(
        "In trained models the answer forms layer by layer; how early differs between pictures and models.",
        "vilas",
        when="trained,classes",
    )
    + _UNTRAINED
    + definition("A reading early in the model may change many times before the end.", when="answers"),
    catch=definition(
        "A reading after a layer goes through a head that was trained for the last layer: an early one may mean little.",
        when="answers",
    )
    + definition("A probability says how the model divides its answers, not how often it is right.", when="classes")
    + definition("A vector without a classifier has no layer at which an answer forms.", when="!answers"),
    formula=definition(
        r"With target $s$ and gradients $G^{(l,h)} = \partial s / \partial A^{(l,h)}$ of the same layer: relevance is $R = I$, then "
        r"$R \leftarrow R + \mathrm{mean}_h\,\mathrm{ReLU}(G \odot A)\, R$. Deletion: the probability of the target (of plain numbers, the "
        r"number; without a classifier, a cosine similarity) while patches are hidden in the order of a map; a good map has a small area "
        r"below it. Insertion: the same while they are shown, with a large area. Every method's own formula stands on its card."
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
        lead=definition("Each method says in its own way how much every patch counts for what is explained."),
        try_this=instruction("Choose a patch, and compare what the methods say of it.")
        + instruction("Ask why it is this class and not another one.", when="classes"),
        notice=definition(
            "Maps that do not depend on the class show what was read, not why this class was chosen.", when="classes"
        )
        + definition("Methods that answer different questions need not agree.")
        + _UNTRAINED,
        catch=definition("A map that looks right to people need not show what the model used: test it.")
        + reference("Some methods give nearly the same map for a network with random weights.", "adebayo"),
    ),
    "trust": replace(
        PAGE,
        lead=definition("A map that shows what counts ranks first what the model cannot do without."),
        try_this=instruction("Test the maps: which one hides the right patches first?")
        + instruction("Then randomise the model: which map does not notice?"),
        notice=definition("Where the object is in the middle, hiding from the centre outwards is a strong rival.")
        + _UNTRAINED,
        catch=definition("Hidden patches make pictures unlike those of the training, so a curve measures this too.")
        + definition("The test speaks for this picture and this target. A map that passes it is not proved right."),
    ),
    "mark": replace(
        PAGE,
        lead=definition(
            "Is it the object? What you mark is hidden, then areas elsewhere, and the model is asked each time."
        ),
        try_this=instruction("Mark the object, and see which map lies inside.")
        + instruction("Then mark a part of it: how small may it be until other areas count more?"),
        notice=definition("The answer may rest on the surroundings, too: compare with areas elsewhere.", when="answers")
        + definition("The summary may rest on the surroundings, too: compare with areas elsewhere.", when="!answers")
        + _UNTRAINED,
        catch=definition("Hidden areas make pictures unlike those of the training, and so do the holes elsewhere.")
        + definition("A map inside the object agrees with your marks, and need not show what the model used."),
    ),
}

AGAINST = instruction("and not")
NOTHING_ELSE = instruction("(all others)")
SELF_DOT = definition(
    "This model has no classifier, so there is no class to explain. What is explained instead is the model's own summary of the "
    "picture, by its dot product with itself; choose a patch as the query to explain that patch."
)

PARTS = instruction(
    {
        "forming": "How the answer forms",
        "methods": "What it rests on",
        "trust": "Which map to trust",
        "mark": "Mark the object",
    }
)
PART = instruction("Look at")

FORMING_TEXT = definition(
    "Read after a layer (logit lens): its tokens go through the model's own final norm, pooling and head, which were trained for the last "
    "layer only."
)
FORMING_TABLE = definition(("After layer", "Reads as", "Right in", "Probability", "Target"))
RIGHT_TEXT = computed(
    "Right in: for how many of the measured photographs a reading after that layer is right. Early readings mean little.",
    "vitviz.analysis.prediction.logit_lens",
)
RIGHT_UNKNOWN = definition(
    "How often readings of this model's early layers are right was not measured: they can mislead."
)
BEFORE_FIRST = definition("input")
PATCH_LENS_ALONE = definition(
    "Read alone: the token of one patch goes through the model's final norm and head, as if it were the whole picture's."
)
PATCH_LENS_LAYER = instruction("After layer")
PATCH_LENS_WORDS = computed(
    "Most tokens of patches, read alone, are called: {names}.", "vitviz.analysis.prediction.patch_lens"
)
PATCH_LENS_SAME = computed(
    "That is not what the patches show: by then every token has read others. {same} of {patches} are called {name} here, wherever they "
    "lie.",
    "vitviz.analysis.prediction.patch_lens",
)
PATCH_NAME = computed("{name} ({count})", "vitviz.analysis.prediction.patch_lens")

LINKED = instruction(
    {
        "robust": "A patch pointed at or chosen in one map is read in all. Each has a scale of its own, up to its 99th percentile.",
        "raw": "A patch pointed at or chosen in one map is read in all. Each has a scale of its own, up to its largest value.",
    }
)
SLOW = instruction("Compute the two slow ones too")
SLOW_TEXT = definition("Integrated gradients and occlusion run the model many times.")
SIGNED_NOTE = definition("Red speaks for it, blue against it.")
NOT_PER_CLASS = definition("Not about the class: it would look the same for any other.")
CARD_LINES = definition(("Formula", "Reference", "Cost in forward passes", "When it misleads"))
MAP_ALT = definition("{method}: relevance of every patch for {target}.")
MISSING = definition("Not defined for this model: {names}.")

TEST = instruction("Test these maps on this picture")
TEST_TEXT = definition(
    "Patches are hidden (deletion) and shown (insertion) in the order of each map and the model is asked each time. Beside them: "
    "five random orders as a band, and the centre of the picture. Patches of equal value come in random order, averaged over five."
)
CURVES = definition({"deletion": "Deletion", "insertion": "Insertion"})
TESTING = instruction("Hiding and showing patches")
AREAS = definition(
    ("Order", "Deletion area (small is good)", "Insertion area (large is good)", "Insertion less deletion")
)
TEST_COST = computed("It takes {passes} forward passes, about {time}.", "vitviz.capture.cost.estimate")
COARSE = definition("These curves have five points each; finer ones, and the answer, follow.")
BEST = computed(
    "Of {count} maps, **{best}** ranks the patches that {target} rests on best: {gap}, where random order has {random}.",
    _FAITHFULNESS,
)
BEST_CENTRE = computed(
    "Of {count} maps, none ranks the patches that {target} rests on better than their distance from the centre does: {gap}.",
    _FAITHFULNESS,
)
BEST_RANDOM = computed(
    "Of {count} maps, none ranks the patches that {target} rests on better than random order does: {gap}.",
    _FAITHFULNESS,
)
_AGREEING = "vitviz.analysis.faithfulness.rank_agreement"
LEAST_OPPOSED = computed(
    "**{one}** and **{other}** contradict each other: where one is high, the other tends to be low (rank correlation {correlation}).",
    _AGREEING,
)
LEAST_UNRELATED = computed(
    "Least alike are **{one}** and **{other}**: one says next to nothing about the other (rank correlation {correlation}).",
    _AGREEING,
)
LEAST_ALIKE = computed(
    "All maps agree in part; least alike are **{one}** and **{other}** (rank correlation {correlation}).", _AGREEING
)
AGREEMENT = instruction("Do the maps agree? (rank correlation, patch by patch)")
DISAGREEMENT = instruction("Where they disagree")
DISAGREEMENT_ALT = definition("How far the methods' ranks of each patch lie apart.")
SANITY = instruction("Do the maps notice when the model is randomised?")
SANITY_RUN = instruction("Randomise the model, layer by layer from the top")
SANITY_TEXT = definition(
    "The model's weights are replaced by random ones, from the classifier downwards. A map that stays as it was shows the picture, "
    "not what the model has learned."
)
SANITY_RUNNING = instruction("Randomising, layer by layer")
SANITY_DEPTH = instruction("Random down to")
SANITY_UNCHANGED = computed(
    "Still alike with everything random: {names}. Do not take these maps as reasons.",
    "vitviz.analysis.sanity.insensitive",
)
SANITY_FINE = computed(
    "With everything random, every map has changed. That is one test passed; it does not prove that a map shows the reasons.",
    "vitviz.analysis.sanity.insensitive",
)

MARK_CLICK = instruction("Choosing a patch marks")
MARK_CLICKS = instruction({"alike": "what is alike", "patch": "one patch"})
MARK_HINT = instruction(
    {
        "alike": "Choose the object, or draw over or around it.",
        "patch": "Choose patches, or draw over or around them.",
    }
)
MARK_FOUND = instruction("Find the object")
MARK_FOUND_HELP = definition(
    "TokenCut divides the patches into two groups by the keys of the last layer, and takes one for the object."
)
MARK_CLEAR = instruction("Clear")
MARK_ALT = definition(
    "The photograph to mark the object on, with a pointer or with arrow keys and space; {count} patches are marked."
)
MARK_NONE = instruction("Mark an object, and the model is asked what it is worth.")
MARK_ALL = instruction("Everything is marked. Clear at least one patch, so that something is left to compare with.")
MARK_RUNNING = instruction("Hiding the object, and equal areas elsewhere")
_OBJECT = "vitviz.analysis.hiding.object_test"
MARK_SENTENCE = computed(
    "Hiding the object takes **{target}** from {before} to {after}; hiding as much elsewhere, to {elsewhere} on average.",
    _OBJECT,
)
MARK_REST = computed(
    "Hiding the object takes **{target}** from {before} to {after}; hiding all the rest, {rest:.0%} of the picture, to {elsewhere}.",
    _OBJECT,
)
MARK_RISES = computed("So the marked part speaks against {target}, or covers what speaks for it.", _OBJECT)
MARK_STAYS = computed(
    "So {target} does not need the marked part: the model finds what it needs elsewhere, too.", _OBJECT
)
MARK_NEEDED = computed("So {target} rests on the marked part more than on any other area that was tried.", _OBJECT)
MARK_CHEAPER = computed(
    "{cheaper} of {draws} other areas of its size cost less: so {target} rests on more than the marked part.", _OBJECT
)
MARK_REST_NEEDED = computed("So {target} rests on the surroundings at least as much as on the marked part.", _OBJECT)
MARK_SHARES = definition(("Method", "Inside", "Times its area"))
MARK_SHARES_TEXT = definition(
    "Inside: the share of a map's relevance that lies on the object. A map that knew nothing would have {area:.0%} inside."
)
