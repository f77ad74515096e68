"""Words of the page on which objects are found."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Find"),
    question=instruction("Where is the object?"),
    lead=definition("An object is taken to be a group of patches that are alike among themselves and unlike the rest."),
    try_this=instruction("Go through the steps, from the graph to the box.")
    + instruction("Take a larger input size in the sidebar: smaller patches, closer boxes.")
    + instruction("Choose *several objects*, and another photograph.")
    + instruction("Then hide what was found on *What if*, and see what the model makes of the rest."),
    notice=reference(
        "Keys of the last layer of self-supervised models set objects apart well enough for boxes.", "lost", "tokencut"
    )
    + definition(
        "Neighbouring parts of another object may join the group, and a large plain ground may be taken for the object."
    )
    + definition(
        "The model was not trained: what is found here follows from colours and places alone.", when="!trained"
    ),
    catch=definition(
        "TokenCut knows nothing of objects: it divides patches in two, whatever the picture shows. "
        "The score says how far a group stands apart, not how sure the box is. "
        "A photographer who centres the subject makes a box in the middle a strong guess."
    ),
    formula=definition(
        r"With unit vectors $u_i$ of patches, the mean patch subtracted first: TokenCut joins patches with $u_i \cdot u_j > 0.2$ by weight 1, "
        r"others by $10^{-5}$, and solves $(D - W)\,y = \lambda D\,y$ for the second smallest $\lambda$; patches with $y$ above its mean are one side, "
        r"and the part of the object's side connected with its largest entry is the object. LOST takes the patch joined with the fewest others "
        r"($f_i \cdot f_j > 0$) as seed, and as object what is alike to the seed and to the patches of low degree like it. MaskCut repeats the cut without what was "
        r"found. The score is the mean $u_i \cdot u_j$ of pairs inside less that of pairs across the border."
    ),
    references=("lost", "tokencut", "shi", "maskcut", "grady", "coco", "detr", "conditional-detr", "yolos"),
)

_APART = definition("The score says how far a group stands apart, not how sure the box is.")

# The page with each of the finders
PAGES = {
    "tokencut": PAGE,
    "lost": replace(
        PAGE,
        lead=definition(
            "An object is taken to be what is like a seed: the patch that is joined with the fewest others."
        ),
        try_this=instruction("Go through the steps, from the graph to the box: which patch is the seed?")
        + instruction("Then choose *TokenCut*, and see whether both boxes agree.")
        + instruction("Take a larger input size in the sidebar: smaller patches, closer boxes."),
        catch=definition(
            "LOST knows nothing of objects: it grows a group from one patch, whatever the picture shows. "
            "It assumes that the object covers less of the picture than the background."
        )
        + _APART,
    ),
    "maskcut": replace(
        PAGE,
        lead=definition("Objects are taken to be groups of patches, each cut from what earlier cuts have left."),
        try_this=instruction("Choose an object, and go through its steps.")
        + instruction("Allow more objects in the settings: where does a cut no longer follow an object?")
        + instruction("Then hide what was found on *What if*, and see what the model makes of the rest."),
        catch=definition(
            "MaskCut knows nothing of objects: it divides patches in two again and again, whatever the picture shows. "
            "One object may come in two parts, and two objects as one."
        )
        + _APART,
    ),
    "detector": replace(
        PAGE,
        lead=definition(
            "A detector was trained on boxes that people drew: each of its boxes has a class and a probability."
        ),
        try_this=instruction("Choose a detector, then a box: the map shows where its query looks.")
        + instruction("Set in the settings from which probability on a box is shown.")
        + instruction("Then choose *TokenCut*, which was never shown a box."),
        notice=reference("In DETR the decoder looks mostly at the ends of an object, such as head and legs.", "detr")
        + definition("A detector names what it finds; a group of patches has no name."),
        catch=definition(
            "A detector has the classes of its training alone: other things get no box, or a wrong name. "
            "The map shows where a query looks, not what its box rests on."
        ),
    ),
}

NO_LAYERS = definition(
    "This model has no layer in which tokens look at each other, and so no vectors to find objects in."
)

FINDER = instruction("Found by")
FINDERS = instruction(
    {
        "tokencut": "TokenCut",
        "lost": "LOST",
        "maskcut": "several objects (MaskCut)",
        "detector": "a trained detector",
    }
)
STEP = instruction("Step")
STEPS = instruction(
    {
        "tokencut": {"graph": "1 graph", "sorted": "2 eigenvector", "grouped": "3 side", "object": "4 object"},
        "lost": {"graph": "1 graph", "sorted": "2 seeds", "grouped": "3 similar", "object": "4 object"},
    }
)
OBJECTS = instruction("Objects at most")
OBJECT = instruction("Object")
CENTRED = instruction("Subtract the mean patch first")
CENTRED_HELP = definition(
    "The papers do not. Where all patches share one strong direction, their thresholds then join everything with everything."
)
REFINED = instruction("Masks along edges")
REFINED_HELP = definition(
    "Borders of masks follow the colours of the photograph: a random walker decides each pixel near a border."
)
SIZES = instruction("The input size in the sidebar sets how many patches there are.")
CUSTOMARY = definition("Customary are the keys of the last layer.")
# The pages that go on with what was found.
USE = instruction("Use what was found")
WAYS = instruction(
    {
        "what_if": "Hide {object} on What if",
        "prediction": "Mark {object} on Prediction",
        "start": "Hide {object} on the start page",
    }
)
IT, NUMBERED, ALL = instruction(("it", "object {number}", "all of them"))

RESULT_ALT = computed(
    "The photograph with what was found in colour, the rest dimmed, and a box around each object: {boxes}.",
    "vitviz.analysis.localization.box_of",
)
ONE_BOX = computed(
    "box {number} from {left}, {top} to {right}, {bottom} pixels, score {score:.2f}",
    "vitviz.analysis.localization.box_of",
)
STEP_ALT = definition("A step on the way to the box: {label}, over the photograph.")
# What the colours of a step stand for.
LABELS = definition(
    {
        "graph": "patches joined with this one",
        "eigenvector": "entry of the eigenvector",
        "seeds": "1: the seed and patches of low degree like it",
        "side": "1: this side of the cut, 0: the other",
        "similar": "sum of products with the seeds",
        "object": "1: the object",
    }
)
SAID_GRAPH = computed(
    "Alike patches are joined: the framed one with {joined} of {others}, which are marked. Choose another.",
    "vitviz.analysis.localization.affinity",
)
SAID_EIGENVECTOR = computed(
    "Patches with entries of one sign hang together. The largest entry on the object's side is framed.",
    "vitviz.analysis.localization.second_eigenvector",
)
SAID_SEEDS = computed(
    "The seed, framed, is joined with the fewest patches, {joined}. Like it: {chosen} with few neighbours.",
    "vitviz.analysis.localization.lost",
)
SAID_SIDE = computed(
    "One side of the cut has {chosen} of {total} patches. The other covers more of the border.",
    "vitviz.analysis.localization.token_cut",
)
SAID_SIDE_OF_MASKCUT = computed(
    "Shown, {chosen} of {total} patches: the side of the largest entry, or the other where it has three corners.",
    "vitviz.analysis.localization.mask_cut",
)
SAID_SIMILAR = computed(
    "Patches with a positive sum are like the seeds: {chosen} of {total}.", "vitviz.analysis.localization.lost"
)
SAID_OBJECT = computed(
    "The part connected with the framed patch: {count} of {total} patches, with a score of {score:.2f}.",
    "vitviz.analysis.localization.contrast",
)
NOT_APART = computed(
    "Hardly more alike inside than across its border (score {score:.2f}): no object stands apart here.",
    "vitviz.analysis.localization.contrast",
)
FEWER = computed(
    "Objects found: {count} of at most {wanted}. Further cuts gave nothing new.",
    "vitviz.analysis.localization.mask_cut",
)

# A trained head for contrast
DETECTOR = instruction("Detector")
DETECTOR_EMPTY = instruction("hf:owner/name")
DETECTOR_HELP = instruction(
    "Choose one, or type hf: and the name of a DETR, a Conditional DETR or a YOLOS on the hub. Its weights are downloaded."
)
DETECTOR_HELP_SOME = instruction(
    "Choose one, or type hf: and the name of another that this server allows. Its weights are downloaded."
)
NO_DETECTOR = definition("A detector was shown boxes in training, and names what it finds.") + instruction(
    "Choose one below."
)
LIKELY = instruction("Probability from")
BOX = instruction("Box")
DECODER_LAYER = instruction("Layer of the detector")
ATTENTION_LABEL = computed(
    {
        "cross-attention": "cross-attention of the box's query, mean of heads",
        "self-attention": "self-attention of the detection token to patches, mean of heads",
    },
    "vitviz.models.hugging_face.detectors.detect",
)
NAMED_BOX = computed("{label} {probability:.0%}", "vitviz.models.hugging_face.detectors.detect")
DETECTED_ALT = computed(
    "The photograph with the boxes of {model}: {boxes}.", "vitviz.models.hugging_face.detectors.detect"
)
NOTHING_LIKELY = computed(
    "No box of {model} has {likely:.0%} or more; the most probable one: {label}, {probability:.0%}.",
    "vitviz.models.hugging_face.detectors.detect",
)
SAID_ATTENTION = computed(
    "{count} boxes. On the right: where the query of {box} looks in layer {layer}.",
    "vitviz.models.hugging_face.detectors.detect",
)
DETECTED_COLUMNS = instruction(("class", "left", "top", "right", "bottom", "probability"))
DETECTED_CODE = definition(
    """import vitviz

detector = vitviz.load_detector({name!r})
found = vitviz.detect(detector, vitviz.load_image({image!r}))
for query, label, probability in found.above({likely}):
    print(found.labels[label], probability, found.boxes[query])"""
)

COLUMNS = instruction(("object", "left", "top", "right", "bottom", "score", "patches"))
IN_PHOTOGRAPH = definition("Boxes in pixels of the photograph, from its upper left corner.")
