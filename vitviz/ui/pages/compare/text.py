"""Words of the page on which two things are compared."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_SCENES = "vitviz.analysis.patches.two_scenes"

PAGE = PageText(
    title=instruction("Compare"),
    question=instruction("Is it the model or the picture?"),
    lead=instruction("Change one thing and hold the others: what stays the same in both was not made by it."),
    try_this=instruction(
        "Compare a model with itself untrained: what both maps share needs no training. Then give B another picture."
    ),
    notice=definition(
        "With its own scale every map uses all colours; with one scale, a colour means the same number in both."
    )
    + reference("Some maps of a network stay almost as they were when its weights become random.", "adebayo"),
    catch=definition(
        "Heads are not aligned between models, nor between layers: head 3 here has nothing to do with head 3 there. "
        "Two pictures have the same places but not the same things in them, so a difference compares places."
    ),
    formula=definition(
        r"The difference is $A_{qp} - B_{qp}$ for every patch $p$, unscaled. The rank correlation is Spearman's "
        r"$\rho$ over patches. In two scenes, with $z^{(l)}$ the token of the patch after layer $l$ in its own "
        r"picture and $\tilde z^{(l)}$ after it was pasted into the other, the curve is $\cos\!\left(z^{(l)}, \tilde"
        r" z^{(l)}\right)$, with nothing subtracted first; the control is the mean of $\cos\!\left(z^{(l)}, \tilde "
        r"z_j^{(l)}\right)$ over all other patches $j$ of that picture, and the band holds the middle 80% of them."
    ),
    references=("adebayo", "ethayarajh", "peters"),
)

# The page for each of what is compared
PAGES = {
    "attention": PAGE,
    "rollout": replace(
        PAGE,
        try_this=instruction("Let B be the same model, untrained: what both rollouts share needs no training.")
        + instruction("Then give B another picture, and the same model again."),
        catch=definition(
            "Rollout leaves out values, norms and MLPs: two models with like rollouts may compute different things. "
            "Two pictures have the same places but not the same things in them, so a difference compares places."
        ),
    ),
    "positions": replace(
        PAGE,
        lead=instruction("Change the model: the picture plays no part in what is compared here."),
        try_this=instruction("Choose a patch in the middle, then one at the border.")
        + instruction("Let B be the same model, untrained: is its map the same?"),
        notice=definition(
            "A row or column through the marked patch stands out where embeddings of one row or column are alike."
        )
        + definition("Two models of one grid can be compared patch by patch."),
        catch=definition(
            "Like embeddings do not say that a patch is treated like its neighbour: layers decide what they read of them."
        ),
    ),
    "scenes": replace(
        PAGE,
        lead=definition("The same pixels in two pictures: how alike do their tokens stay from layer to layer?"),
        try_this=instruction("Move a patch of the object onto a background of the same colour.")
        + instruction("Then let its neighbours go along: how many does it take until the curve stays high?"),
        notice=definition(
            "The same pixels begin with nearly the same token, and the curve shows how far apart the two end."
        )
        + reference(
            "In language models, too, a word's vectors in two contexts grow less alike from layer to layer: meaning depends on context.",
            "ethayarajh",
            "peters",
        ),
        catch=definition(
            "A pasted patch brings hard edges that no photograph has. "
            "Where all tokens grow alike, a high value alone says little: compare it with the other patches."
        ),
    ),
}

COMPARED = instruction("What is compared")
KINDS = instruction(
    {"attention": "attention", "rollout": "rollout", "positions": "positions", "scenes": "one patch, two scenes"}
)

# Two maps
METHODS = definition(
    {"attention": "attention weights", "rollout": "attention rollout", "positions": "position similarity"}
)
KIND_NOTES = definition(
    {
        "rollout": "Rollout through all layers (α = 0.5, mean of heads): each side traced back to its own picture.",
        "positions": "Cosine similarity of the marked patch's position embedding with all others; the picture plays no part in it.",
    }
)
DIFFERS = instruction("B has another")
DIFFERENCES = instruction({"model": "model", "picture": "picture", "layer": "layer or head"})
WHOSE = instruction("Whose attention")
WHOSE_HELP = instruction("The token that asks. Choose a patch in either picture to mark it.")
MARKED = instruction("the marked patch")
SCALES = instruction("Colours")
SCALES_HELP = definition("With one scale a colour means the same number in both maps.")
ENDS = instruction("End of scale")
DIFFERENCE = instruction("A − B")
DIFFERENCE_HELP = definition("A third map: A minus B, patch by patch.")
NO_DIFFERENCE = definition(
    "A has {a_rows} × {a_cols} patches and B {b_rows} × {b_cols}, so there is no difference patch by patch; the "
    "cursor goes by place. Another input size in the sidebar may give both the same grid."
)
DIFFERENCE_LABEL = definition("A − B, {label}")
LAYER_OF, HEAD_OF = instruction(("Layer of {side}", "Head of {side}"))
LAYER_NAME = instruction("layer {layer}")
MODEL = instruction("Model of B")
MODEL_HELP = instruction("Choose one, or type the name of any model of timm's registry.")
SAME_UNTRAINED = instruction("the same, untrained")
SAME_TRAINED = instruction("the same, trained")
EMBEDDED = instruction("embedded model")
UNTRAINED = instruction("{model}, untrained")
PICTURE = instruction("Picture of B")
OWN_PICTURE = instruction("your own picture")
SIDE = instruction("**{side}** · {model}, {picture}")
SIDE_A_NOTE = definition("Model and picture of A are those of the sidebar.")
QUERY_INSTEAD = definition("B has no {wanted}; its {given} is shown.")
ALT = definition("{side}: {label} of the {query}. {name}.")
ALT_POSITIONS = definition("{side}: position similarity with the {query}. {name}.")
ALT_DIFFERENCE = definition("A minus B: {label}, patch by patch.")
# Of the rank correlation of two maps: at least the first, at least the second, or less.
AGREEMENT = computed(
    {
        0.2: "Where one map is high, the other tends to be high, too (rank correlation **{value}**, at most 1).",
        -0.2: "One map says next to nothing about the other (rank correlation **{value}**).",
        -1.0: "Where one map is high, the other tends to be low (rank correlation **{value}**, at least −1).",
    },
    "vitviz.analysis.faithfulness.rank_agreement",
)
AGREEMENT_FLAT = definition("One of the maps has a single value everywhere, so there is no order to compare.")
BACK = instruction("Back to the control")
NO_LAYERS = definition(
    "In this model no layer lets the patches look at each other, so there is nothing to compare. Choose another model."
)
NO_POOLING = definition("This model has no attention pooling. Choose another token.")
POSITION_LABEL = definition("cosine similarity with row {row}, column {col}")

# One patch, two scenes
INTO = instruction("Into this picture")
BLOCK = instruction("How much goes along")
BLOCKS = instruction({1: "one patch", 3: "3 × 3", 5: "5 × 5", 7: "7 × 7"})
BLOCK_HELP = definition("The square of patches around the marked one that is pasted with it.")
FROM_HINT = instruction("Choose the patch to take.")
INTO_HINT = instruction("Choose where to put it.")
FROM_TITLE = instruction("**From** · {name}")
INTO_TITLE = instruction("**Into** · {name}")
FROM_ALT = definition("The picture that the patch in row {row}, column {col} comes from.")
INTO_ALT = definition("The other picture with the patch pasted at row {row}, column {col}.")
SAME_PLACE = instruction("Put it at the same place")
CURVE_TITLE = instruction("**How alike its token stays to itself**")
VERDICT = computed(
    "The same pixels, twice. Before the first layer the two tokens have a cosine similarity of {first:.2f}; after the last, "
    "**{last:.2f}**. Any other patch of that picture has {other:.2f} on average.",
    _SCENES,
)
WAIT = instruction("Running both scenes")
