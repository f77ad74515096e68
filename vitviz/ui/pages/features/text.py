"""Words of the page of patch features, and of its figure."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import FETCH_WORDS, PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Features"),
    question=instruction("Which patches have similar features?"),
    lead=definition("Two patches are similar if their vectors point in the same direction (high cosine similarity)."),
    try_this=instruction("Choose a part of the object: which patches are similar to it?")
    + instruction("Then move the selection with the arrow keys.", when="mouse")
    + instruction("Choose an early layer in Settings."),
    notice=reference(
        "Keys of middle and last layers of self-supervised models match parts of objects across pictures.",
        "amir",
    )
    + definition("The result depends on the layer and on the kind of vector. Choose both in Settings.")
    + definition("The model was not trained: similarity here comes only from colours and places.", when="!trained"),
    catch=definition(
        "A high cosine similarity means that vectors agree, not that patches show the same thing. "
        "Where all vectors share a direction, every pair has a high value, and only differences between values are informative. "
        "Each map has its own scale. "
        "A line leads to the most similar patch even where no patch corresponds."
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
    "The model was not trained: similarity here comes only from colours and places.", when="!trained"
)

# The page for each of what is shown
PAGES = {
    "alike": PAGE,
    "components": replace(
        PAGE,
        lead=definition("Three principal components of the patches' vectors are shown as red, green and blue."),
        try_this=instruction("Add a photograph of the same kind of object: do its parts get the same colours?")
        + instruction("Switch to the object only, then choose another kind of vector in Settings."),
        notice=reference(
            "In the principal components of DINOv2's tokens, each part of an animal or a car has one colour.", "dinov2"
        )
        + _UNTRAINED,
        catch=definition(
            "Colours have no fixed meaning: red in one set of photographs and red in another mean different things. "
            "Three components may explain little of the variance. Details gives the share."
        ),
    ),
    "groups": replace(
        PAGE,
        lead=definition("Patches of all photographs together are divided into groups of similar vectors."),
        try_this=instruction("Choose a patch to see its group alone.")
        + instruction("Raise the number of groups: which part of the object becomes a separate group?"),
        notice=reference(
            "Keys of middle and last layers of self-supervised models match parts of objects across pictures.", "amir"
        )
        + definition("A group may lie in several photographs, and in several places of one.")
        + _UNTRAINED,
        catch=definition(
            "You choose the number of groups, whatever the picture shows. "
            "Another random start of k-means may give other groups. A group need not be an object."
        ),
    ),
}
# What to try first with photographs of wheels
WHEELS = instruction("Choose a wheel: is the other wheel similar to it?", when="motorcycle")
WHEELS_OF_BOTH = instruction(
    "Choose a wheel: are the other wheel and those of the fire engine similar to it?", when="motorcycle"
)

NO_LAYERS = definition(
    "This model has no layer of self-attention between tokens, so patches have no queries, keys or values."
)

SHOWS = instruction("Show")
SHOWN = instruction({"alike": "similar patches", "components": "principal components", "groups": "groups"})
SECOND = instruction("Second photograph")
ALONE = instruction("none")
PHOTOGRAPHS = instruction("Together with")
OWN_FIRST, OWN_SECOND = instruction(("Your own picture", "Your second picture"))
UPLOAD_SECOND = instruction("A second picture of your own")
PAIRS = instruction("All mutual pairs")
PAIRS_HELP = definition("A line joins two patches if each is the most similar patch to the other in its picture.")
FOREGROUND = instruction("Object only")
FOREGROUND_HELP = definition(
    "Keeps the patches whose first component has one sign, and computes the components again from these patches. "
    "The sign that is rarer at the border is taken as that of the object."
)
SMOOTH = instruction("Smooth")
SMOOTH_HELP = definition(
    "Interpolates between patch centres (bicubic). The shape of an edge then comes from the interpolation, not from the model."
)
REFINED = instruction("Along edges")
REFINED_HELP = definition(
    "Borders of groups follow the colours of the photograph. The random walker algorithm assigns each pixel near a border."
)
GROUPS = instruction("Groups")
GROUP_NAME = instruction("group {number}")

CUSTOMARY = definition(
    {
        "alike": "The keys of a late layer are usual for similarity and correspondences.",
        "components": "The tokens after the last layer are usual for principal components. "
        "In a model trained for classification, these tokens may separate pictures instead of parts. Keys then work better.",
        "groups": "The keys of a late layer are usual for groups that become masks.",
    }
)
DIFFER = computed(
    "In layer {layer}, half of all pairs of patches have a cosine similarity between these two numbers:",
    "vitviz.analysis.features.patch_similarity",
)
DIFFER_COLUMNS = instruction(("vectors", "from", "to"))
EXPLAINED = computed(
    "The three components explain {share:.0%} of the variance of {kept} of {total} patches.",
    "vitviz.analysis.features.principal_components",
)
COUNTED_PAIRS = computed(
    "{count} mutual pairs; the {shown} most similar are drawn.", "vitviz.analysis.features.correspondences"
)

ALT = definition(
    {
        "alike": "The photograph under a map: a brighter patch is more similar to the chosen patch.",
        "components": "Three principal components of the patches as red, green and blue: similar colours mean similar vectors.",
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
            "painted_hint": "Point at a patch to read it, click to choose it; the arrow keys move the selection.",
            "painted_hint_touch": "Tap a patch to choose and read it.",
        }
    )
    | computed(
        {
            "here": "{title}, {place}: most similar to {best} ({value}).",
            "there": "In {title}: most similar to {best} ({value}), which is most similar to {back}.",
            "there_mutual": "In {title}: most similar to {best} ({value}), in both directions.",
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
