"""Words of the prediction page."""

from __future__ import annotations

from vitviz.ui.text import outputs
from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Prediction",
    question="What does it see, and why?",
    lead=(
        "{answers} Several methods claim to show what that answer rests on, and they do not agree. So each of them can be put "
        "to the test here, on this very picture."
    ),
    try_this=(
        "Ask why it is this class and not another one. Mark the object and see which map lies inside. Then test the maps: which "
        "one hides the right patches first?"
    ),
    notice=(
        "The answer often forms in a few late layers. Maps that do not depend on the class show what was read, not why this "
        "class was chosen. The centre of the picture is a hard rival, because photographers put things there."
    ),
    catch=(
        "Hidden patches make pictures that the model never saw, so a curve measures this too. No method wins everywhere: the "
        "test speaks for this picture and this class."
    ),
    formula=(
        r"With target $s$ and gradients $G^{(l,h)} = \partial s / \partial A^{(l,h)}$ of the same layer: relevance is $R = I$, then "
        r"$R \leftarrow R + \mathrm{mean}_h\,\mathrm{ReLU}(G \odot A)\, R$. Deletion: the likelihood of the target while patches are "
        r"hidden in the order of a map; a good map has a small area below it. Insertion: the same while they are shown, with "
        r"a large area. Every method's own formula stands on its card."
    ),
    references=(
        "Chefer, Gur and Wolf 2021, *Generic attention-model explainability*, [arXiv 2103.15679](https://arxiv.org/abs/2103.15679).",
        "Petsiuk, Das and Saenko 2018, *RISE* (deletion and insertion), [arXiv 1806.07421](https://arxiv.org/abs/1806.07421).",
        "Adebayo et al. 2018, *Sanity checks for saliency maps*, [arXiv 1810.03292](https://arxiv.org/abs/1810.03292).",
    ),
)

TARGET = outputs.TARGET[outputs.CLASSES]
AGAINST = "and not"
NOTHING_ELSE = "(all others)"
SELF_DOT = (
    "This model has no classifier, so there is no class to explain. What is explained instead is the model's own summary of the "
    "picture, by its dot product with itself; choose a patch as the query to explain that patch."
)

PARTS = {
    "forming": "How the answer forms",
    "methods": "What it rests on",
    "trust": "Which map to trust",
    "mark": "Mark the object",
}
PART = "Look at"

FORMING_TEXT = (
    "After every layer the tokens are read as if it were the last one (logit lens), through the model's own final norm, "
    "pooling and head. Those were trained on the last layer only, so early layers read this way are faint at best."
)
FORMING_TABLE = ("After layer", "Reads as", "Probability", "Target")
BEFORE_FIRST = "input"
PATCH_LENS_LAYER = "After layer"
PATCH_LENS_WORDS = "Most patches, read alone, are called: {names}."
PATCH_NAME = "{name} ({count})"

LINKED = "Point at a patch in one map and read its value in all of them."
SLOW = "Compute the two slow ones too"
SLOW_TEXT = "Integrated gradients and occlusion run the model many times."
SIGNED_NOTE = "Red speaks for it, blue against it."
NOT_PER_CLASS = "Not about the class: it would look the same for any other."
CARD = "Card"
CARD_LINES = ("Formula", "Reference", "Cost in forward passes", "When it misleads")
MAP_ALT = "{method}: relevance of every patch for {target}."
MISSING = "Not defined for this model: {names}."

TEST = "Test these maps on this picture"
TEST_TEXT = (
    "Patches are hidden (deletion) and shown (insertion) in the order of each map and the model is asked each time. Beside them: "
    "five random orders as a band, and the centre of the picture. Patches of equal value come in random order, averaged over five."
)
TESTING = "Hiding and showing patches"
AREAS = ("Order", "Deletion area (small is good)", "Insertion area (large is good)", "Insertion - deletion")
COARSE = "First a coarse look; the finer one is on its way."
BEST = "On this picture, for this target, **{best}** comes out first."
BEST_NONE = "On this picture, for this target, no map does better than hiding from the centre outwards: trust none of them blindly."
AGREEMENT = "Do the maps agree? (rank correlation, patch by patch)"
DISAGREEMENT = "Where they disagree"
DISAGREEMENT_ALT = "How far the methods' ranks of each patch lie apart."
SANITY = "Do the maps notice when the model forgets?"
SANITY_RUN = "Randomise the model, layer by layer from the top"
SANITY_TEXT = (
    "The model's weights are replaced by random ones, from the head downwards. A map that stays as it was shows the picture, "
    "not what the model has learned."
)
SANITY_RUNNING = "Forgetting, layer by layer"
SANITY_STAGE = "Random down to"
SANITY_TOLD = "Still alike with everything random: {names}. Do not take these maps as reasons."
SANITY_FINE = "With everything random, every map has changed."

MARK_FIRST = "Click one corner of the object in the picture, then the opposite one."
MARK_SECOND = "Now click the opposite corner."
MARK_DONE = "The frame covers {area:.0%} of the picture. Click again to draw another one."
MARK_ALT = "The photograph with the marked object, {count} patches."
MARK_TOO_LARGE = "The frame covers more than half of the picture, so nothing of its size is left to compare with. Draw a smaller one."
MARK_RUNNING = "Hiding the object, and equal areas elsewhere"
MARK_FALL = "fall, object hidden"
MARK_ELSEWHERE = "fall, elsewhere hidden"
MARK_SENTENCE = (
    "Hiding the object takes **{target}** from {before} to {after}; hiding as much elsewhere leaves it at {elsewhere} on "
    "average of {draws} tries."
)
MARK_SHARES = ("Method", "Inside", "Times its area")
MARK_SHARES_TEXT = "Inside: the share of a map's relevance that lies on the object. A map that knew nothing would have {area:.0%} inside."
