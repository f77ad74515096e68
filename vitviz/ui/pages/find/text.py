"""Words of the page on which objects are found."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Find"),
    question=instruction("Where is the object?"),
    lead=definition("Here an object is a group of patches that are similar to each other and not to the rest."),
    try_this=instruction("Go through the steps, from the graph to the box.")
    + instruction("Choose a larger input size in the sidebar: boxes then follow objects more closely.")
    + instruction("Choose *several objects*, and another photograph.")
    + instruction("Then hide the object on *What if*, and see how the output changes."),
    notice=reference(
        "Keys of the last layer of self-supervised models separate objects from the background well enough for boxes.",
        "lost",
        "tokencut",
    )
    + definition(
        "The group may include parts of a neighbouring object. A large uniform background may be taken for the object."
    )
    + definition("The model was not trained: the result here comes only from colours and places.", when="!trained"),
    catch=definition(
        "TokenCut has no knowledge of objects: it divides the patches into two groups, whatever the picture shows. "
        "The score measures how different a group is from the rest, not how certain the box is. "
        "Many photographs have their subject in the middle, so a box in the middle is a strong baseline."
    ),
    formula=definition(
        r"With unit vectors $u_i$ of patches, the mean patch subtracted first: TokenCut joins patches with $u_i \cdot u_j > 0.2$ by weight 1, "
        r"others by $10^{-5}$, and solves $(D - W)\,y = \lambda D\,y$ for the second smallest $\lambda$; patches with $y$ above its mean are one side, "
        r"and the part of the object's side connected with its largest entry is the object. LOST takes the patch joined with the fewest others "
        r"($f_i \cdot f_j > 0$) as seed; the object is the patches similar to the seed and to similar patches of low degree. MaskCut repeats the cut on the patches "
        r"that are left. The score is the mean $u_i \cdot u_j$ of pairs inside less that of pairs across the border."
    ),
    references=("lost", "tokencut", "shi", "maskcut", "grady", "coco", "detr", "conditional-detr", "yolos"),
)

_APART = definition("The score measures how different a group is from the rest, not how certain the box is.")

# The page with each of the finders
PAGES = {
    "tokencut": PAGE,
    "lost": replace(
        PAGE,
        lead=definition(
            "Here an object is the patches similar to a seed, the patch that is joined with the fewest others."
        ),
        try_this=instruction("Go through the steps, from the graph to the box: which patch is the seed?")
        + instruction("Then choose *TokenCut*, and see whether both boxes agree.")
        + instruction("Choose a larger input size in the sidebar: boxes then follow objects more closely."),
        catch=definition(
            "LOST has no knowledge of objects: it grows a group from one patch, whatever the picture shows. "
            "It assumes that the object covers less of the picture than the background."
        )
        + _APART,
    ),
    "maskcut": replace(
        PAGE,
        lead=definition(
            "Here objects are groups of patches. Each cut divides the patches that earlier cuts have left."
        ),
        try_this=instruction("Choose an object, and go through its steps.")
        + instruction("Allow more objects in Settings: which cut no longer follows an object?")
        + instruction("Then hide the object on *What if*, and see how the output changes."),
        catch=definition(
            "MaskCut has no knowledge of objects: it divides the patches repeatedly, whatever the picture shows. "
            "One object may be found as two, and two objects as one."
        )
        + _APART,
    ),
    "detector": replace(
        PAGE,
        lead=definition(
            "A detector was trained on boxes that people drew: each of its boxes has a class and a probability."
        ),
        try_this=instruction("Choose a detector, then a box: the map shows where the query of the box looks.")
        + instruction("In Settings, choose the lowest probability at which a box is shown.")
        + instruction("Then choose *TokenCut*, which uses no training with boxes."),
        notice=reference("In DETR the decoder looks mostly at the ends of an object, such as head and legs.", "detr")
        + definition("A detector gives each box a class; a group of patches has no class."),
        catch=definition(
            "A detector has only the classes of its training: other things get no box or a wrong class. "
            "The map shows where a query looks, not what its box depends on."
        ),
    ),
}

NO_LAYERS = definition(
    "This model has no layer of self-attention between tokens, so it has no vectors to find objects in."
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
    "The papers do not subtract it. Where all vectors share one strong direction, the papers' thresholds then join all patches."
)
REFINED = instruction("Masks along edges")
REFINED_HELP = definition(
    "Borders of masks follow the colours of the photograph. The random walker algorithm assigns each pixel near a border."
)
SIZES = instruction("The input size in the sidebar sets the number of patches.")
CUSTOMARY = definition("The keys of the last layer are usual.")
# The pages that go on with what was found.
USE = instruction("Use the result")
WAYS = instruction(
    {
        "what_if": "Hide {object} on What if",
        "prediction": "Mark {object} on Prediction",
        "start": "Hide {object} on the start page",
    }
)
IT, NUMBERED, ALL = instruction(("it", "object {number}", "all of them"))

RESULT_ALT = computed(
    "The photograph with each object in colour and in a box, and the rest dimmed: {boxes}.",
    "vitviz.analysis.localization.box_of",
)
ONE_BOX = computed(
    "box {number} from {left}, {top} to {right}, {bottom} pixels, score {score:.2f}",
    "vitviz.analysis.localization.box_of",
)
STEP_ALT = definition("A step of the method: {label}, over the photograph.")
# What the colours of a step stand for.
LABELS = definition(
    {
        "graph": "patches joined with this one",
        "eigenvector": "entry of the eigenvector",
        "seeds": "1: the seed and similar patches of low degree",
        "side": "1: this side of the cut, 0: the other",
        "similar": "sum of products with the seeds",
        "object": "1: the object",
    }
)
SAID_GRAPH = computed(
    "Similar patches are joined. The framed patch is joined with {joined} of {others} others (marked).",
    "vitviz.analysis.localization.affinity",
)
SAID_EIGENVECTOR = computed(
    "Strongly joined patches have similar entries. The largest entry on the object's side is framed.",
    "vitviz.analysis.localization.second_eigenvector",
)
SAID_SEEDS = computed(
    "The framed seed has the fewest joins, {joined}; {chosen} patches with few neighbours are similar to it.",
    "vitviz.analysis.localization.lost",
)
SAID_SIDE = computed(
    "One side of the cut has {chosen} of {total} patches. The other side covers more of the border.",
    "vitviz.analysis.localization.token_cut",
)
SAID_SIDE_OF_MASKCUT = computed(
    "The side shown has {chosen} of {total} patches and the largest entry, unless that side has three corners.",
    "vitviz.analysis.localization.mask_cut",
)
SAID_SIMILAR = computed(
    "Patches with a positive sum are similar to the seeds: {chosen} of {total}.", "vitviz.analysis.localization.lost"
)
SAID_OBJECT = computed(
    "The object is the part connected with the framed patch: {count} of {total} patches, score {score:.2f}.",
    "vitviz.analysis.localization.contrast",
)
NOT_APART = computed(
    "The group is hardly more similar inside than across its border (score {score:.2f}): no clear object.",
    "vitviz.analysis.localization.contrast",
)
FEWER = computed(
    "Objects found: {count} of at most {wanted}. Further cuts found no new object.",
    "vitviz.analysis.localization.mask_cut",
)

# A trained head for contrast
DETECTOR = instruction("Detector")
DETECTOR_EMPTY = instruction("hf:owner/name")
DETECTOR_HELP = instruction(
    "Choose one, or type hf: and the name of a DETR, a Conditional DETR or a YOLOS on the hub. Its weights are downloaded."
)
DETECTOR_HELP_SOME = instruction(
    "Choose one, or type hf: and the name of another detector that this server allows. Its weights are downloaded."
)
NO_DETECTOR = definition("A detector is trained on boxes and gives each box a class.") + instruction(
    "Choose a detector below."
)
LIKELY = instruction("Lowest probability")
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
    "No box of {model} reaches {likely:.0%}. The most probable box is {label}, {probability:.0%}.",
    "vitviz.models.hugging_face.detectors.detect",
)
SAID_ATTENTION = computed(
    "Boxes: {count}. The map shows where the query of {box} looks in layer {layer}.",
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
