"""Words of the prediction page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_FAITHFULNESS = "vitviz.analysis.faithfulness.faithfulness"

PAGE = PageText(
    title=instruction("Prediction"),
    question=instruction("What does it see, and why?"),
    lead=definition("{answers}")
    + definition(
        "Several methods claim to show what that answer rests on, and they do not agree. Each can be tested here, on this picture."
    ),
    try_this=instruction("Ask why it is this class and not another one.", when="classes")
    + instruction("Mark the object and see which map lies inside.")
    + instruction("Then test the maps: which one hides the right patches first?"),
    notice=reference(
        "In trained models the answer forms layer by layer; how early differs between pictures and models.",
        "vilas",
        when="trained,classes",
    )
    + definition(
        "This model was not trained: its answer means nothing, and no map of it shows a reason.", when="!trained"
    )
    + definition(
        "Maps that do not depend on the class show what was read, not why this class was chosen.", when="classes"
    )
    + definition("Where the object is in the middle, hiding from the centre outwards is a strong rival."),
    catch=definition("Hidden patches make pictures unlike those of the training, so a curve measures this too.")
    + definition("The test speaks for this picture and this target. A map that passes it is not proved right."),
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
    "After every layer the tokens are read as if it were the last one (logit lens), through the model's own final norm, pooling and "
    "head. These parts belong to the last layer only: what early layers read as may mean nothing."
)
FORMING_TABLE = definition(("After layer", "Reads as", "Probability", "Target"))
BEFORE_FIRST = definition("input")
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

LINKED = instruction("A patch that is pointed at or chosen in one map is read in all of them.")
SLOW = instruction("Compute the two slow ones too")
SLOW_TEXT = definition("Integrated gradients and occlusion run the model many times.")
SIGNED_NOTE = definition("Red speaks for it, blue against it.")
NOT_PER_CLASS = definition("Not about the class: it would look the same for any other.")
CARD = instruction("Card")
CARD_LINES = definition(("Formula", "Reference", "Cost in forward passes", "When it misleads"))
MAP_ALT = definition("{method}: relevance of every patch for {target}.")
MISSING = definition("Not defined for this model: {names}.")

TEST = instruction("Test these maps on this picture")
TEST_TEXT = definition(
    "Patches are hidden (deletion) and shown (insertion) in the order of each map and the model is asked each time. Beside them: "
    "five random orders as a band, and the centre of the picture. Patches of equal value come in random order, averaged over five."
)
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
SANITY_STAGE = instruction("Random down to")
SANITY_TOLD = computed(
    "Still alike with everything random: {names}. Do not take these maps as reasons.",
    "vitviz.analysis.sanity.insensitive",
)
SANITY_FINE = computed(
    "With everything random, every map has changed. That is one test passed; it does not prove that a map shows the reasons.",
    "vitviz.analysis.sanity.insensitive",
)

MARK_FIRST = instruction("Click one corner of the object in the picture, then the opposite one.")
MARK_SECOND = instruction("Now click the opposite corner.")
MARK_DONE = instruction("The frame covers {area:.0%} of the picture. Click again to draw another one.")
MARK_ALT = definition("The photograph with the marked object, {count} patches.")
MARK_TOO_LARGE = definition(
    "The frame covers more than half of the picture, so nothing of its size is left to compare with. Draw a smaller one."
)
MARK_RUNNING = instruction("Hiding the object, and equal areas elsewhere")
MARK_FALL = definition("fall, object hidden")
MARK_ELSEWHERE = definition("fall, elsewhere hidden")
MARK_SENTENCE = computed(
    "Hiding the object takes **{target}** from {before} to {after}; hiding as much elsewhere leaves it at {elsewhere} on "
    "average of {draws} tries.",
    "vitviz.analysis.hiding.object_test",
)
MARK_SHARES = definition(("Method", "Inside", "Times its area"))
MARK_SHARES_TEXT = definition(
    "Inside: the share of a map's relevance that lies on the object. A map that knew nothing would have {area:.0%} inside."
)
