"""Words of the page of patch features, and of its figure."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import FETCH_WORDS, PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Features"),
    question=instruction("Which patches are alike to the model?"),
    lead=definition(
        "Patches are alike to the model where their vectors point in the same direction: their cosine similarity is high."
    ),
    try_this=instruction("Choose a part of the object: where is its like?")
    + instruction("Then move the patch with the arrow keys.", when="mouse")
    + instruction("Go to an early layer in the settings."),
    notice=reference(
        "Keys of middle and last layers of self-supervised models match parts of objects across pictures.",
        "amir",
    )
    + definition("Layers and kinds of vectors differ: the settings choose them.")
    + definition(
        "The model was not trained: what is alike here follows from colours and places alone.", when="!trained"
    ),
    catch=definition(
        "A high cosine says that vectors agree, not that the patches show the same thing. "
        "Where all vectors share a direction, every pair is alike, and only differences between the numbers mean anything. "
        "Each map has its own scale. "
        "A line leads to the most similar patch even where nothing corresponds."
    ),
    formula=definition(
        r"For vectors $f_i$ and $g_j$ of two patches, $s_{ij} = f_i \cdot g_j / (\lVert f_i \rVert \lVert g_j \rVert)$; "
        r"$i$ and $j$ are mutual neighbours where $j = \arg\max_k s_{ik}$ and $i = \arg\max_k s_{kj}$. Principal components are "
        r"the leading eigenvectors of the covariance of all patches of all pictures; the foreground is where the first one is "
        r"positive, with the sign that is rarer at the border, and is then decomposed anew. Between patch centres, colours are "
        r"interpolated bicubically. Groups are k-means over vectors of length 1; along edges, each pixel gets the group that a "
        r"random walker reaches first."
    ),
    references=("amir", "dinov2", "arthur", "grady", "coco"),
)

_UNTRAINED = definition(
    "The model was not trained: what is alike here follows from colours and places alone.", when="!trained"
)

# The page for each of what is shown
PAGES = {
    "alike": PAGE,
    "components": replace(
        PAGE,
        lead=definition("Three principal components of the patches' vectors are shown as red, green and blue."),
        try_this=instruction("Add a photograph of the same kind of object: do its parts get the same colours?")
        + instruction("Switch to the object only, then to another kind of vectors in the settings."),
        notice=reference(
            "Principal components of DINOv2's tokens give the parts of animals and cars one colour each.", "dinov2"
        )
        + _UNTRAINED,
        catch=definition(
            "Colours have no names: red here and red in another set of photographs mean different things. "
            "Three components may hold little of how the vectors differ; the share stands under Details."
        ),
    ),
    "groups": replace(
        PAGE,
        lead=definition("Patches are divided into groups of like vectors, over all photographs at once."),
        try_this=instruction("Choose a patch to see its group alone.")
        + instruction("Raise the number of groups: which part of the object gets one of its own?"),
        notice=reference(
            "Keys of middle and last layers of self-supervised models match parts of objects across pictures.", "amir"
        )
        + definition("A group may lie in several photographs, and in several places of one.")
        + _UNTRAINED,
        catch=definition(
            "There are as many groups as were asked for, whatever the picture shows. "
            "Another start of k-means may draw other borders. A group is no object."
        ),
    ),
}
# What to try first with photographs of wheels
WHEELS = instruction("Choose a wheel: is the other wheel like it?", when="motorcycle")
WHEELS_OF_BOTH = instruction(
    "Choose a wheel: are the other wheel and those of the fire engine like it?", when="motorcycle"
)

NO_LAYERS = definition("This model has no layer in which tokens look at each other, and so no queries, keys or values.")

SHOWS = instruction("Show")
SHOWN = instruction({"alike": "everything like it", "components": "principal components", "groups": "groups"})
SECOND = instruction("Second photograph")
ALONE = instruction("none")
PHOTOGRAPHS = instruction("Together with")
OWN_FIRST, OWN_SECOND = instruction(("Your own picture", "Your second picture"))
UPLOAD_SECOND = instruction("A second picture of your own")
PAIRS = instruction("All mutual pairs")
PAIRS_HELP = definition("Lines join patches each of which is most like the other of all patches of the other picture.")
FOREGROUND = instruction("Object only")
FOREGROUND_HELP = definition(
    "Keeps the patches on one side of zero of the first component, and computes the components of those alone. "
    "The side that is rarer at the border is taken for the object."
)
SMOOTH = instruction("Smooth")
SMOOTH_HELP = definition(
    "Interpolates between patch centres, bicubically. An edge that looks sharp then was made by interpolation, not by the model."
)
REFINED = instruction("Along edges")
REFINED_HELP = definition(
    "Borders of groups follow the colours of the photograph: a random walker decides each pixel near a border."
)
GROUPS = instruction("Groups")
GROUP_NAME = instruction("group {number}")

CUSTOMARY = definition(
    {
        "alike": "Customary for similarity and correspondences are the keys of a late layer.",
        "components": "Customary for principal components are the tokens after the last layer. "
        "In a model trained to name classes they may separate pictures in place of parts; keys then do better.",
        "groups": "Customary for groups that become masks are the keys of a late layer.",
    }
)
DIFFER = computed(
    "In layer {layer}, half of all pairs of patches have a cosine similarity between these two numbers:",
    "vitviz.analysis.features.patch_similarity",
)
DIFFER_COLUMNS = instruction(("vectors", "from", "to"))
EXPLAINED = computed(
    "The three components hold {share:.0%} of the variance of {kept} of {total} patches.",
    "vitviz.analysis.features.principal_components",
)
COUNTED_PAIRS = computed(
    "{count} mutual pairs; the {shown} most alike are drawn.", "vitviz.analysis.features.correspondences"
)

ALT = definition(
    {
        "alike": "The photograph under a map: the brighter a patch, the more like the patch that is asked about.",
        "components": "Three principal components of the patches as red, green and blue: like colours mean like vectors.",
        "groups": "Groups of patches in colours over the grey photograph.",
    }
)

# What the figure says in the browser; {blanks} are filled there.
FIGURE: dict[str, str] = (
    FETCH_WORDS
    | instruction(
        {
            **{
                f"missing_{part}{i}": FETCH_WORDS["missing_picture"]
                for part in ("picture", "painted")
                for i in range(6)
            },
            **{
                f"missing_{part}{i}": FETCH_WORDS["missing_numbers"]
                for part in ("features", "numbers")
                for i in range(6)
            },
            "missing_pairs": "The pairs",
            "loading": "loading …",
            "place": "row {row}, column {col}",
            "painted_hint": "Point at a patch to read it, click to choose it; the arrow keys move the choice.",
            "painted_hint_touch": "Tap a patch to choose and read it.",
        }
    )
    | computed(
        {
            "here": "{title}, {place}: most like it here is {best} ({value}).",
            "there": "In {title}: {best} ({value}), whose own nearest is {back}.",
            "there_mutual": "In {title}: {best} ({value}), and each is the other's nearest.",
            "value": "{title}, {place}: cosine similarity {value}, rank {rank} of {count}.",
        },
        "vitviz.analysis.features.similar_patches",
        "vitviz.analysis.features.correspondences",
    )
    | computed(
        {"group": "{title}, {place}: group {group} of {groups}, with {count} patches."},
        "vitviz.analysis.features.cluster_patches",
    )
    | computed(
        {
            "components": "{title}, {place}: components {values}.",
            "background": "{title}, {place}: left out as background.",
        },
        "vitviz.analysis.features.principal_components",
    )
)
