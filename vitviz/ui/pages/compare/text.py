"""Words of the page on which two things are compared."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_SCENES = "vitviz.analysis.patches.two_scenes"

PAGE = PageText(
    title=instruction("Compare"),
    question=instruction("What comes from the model, and what from the picture?"),
    lead=instruction("Change one thing and keep the rest: what both maps share does not depend on that thing."),
    try_this=instruction(
        "Let B be the same model, untrained: what both maps share does not come from training.", when="trained"
    )
    + instruction("Give B another picture."),
    notice=definition(
        "With its own scale, each map uses all colours. With one scale, a colour means the same number in both maps."
    )
    + reference(
        "Some kinds of maps hardly change when the weights of a network are replaced by random ones.", "adebayo"
    ),
    catch=definition(
        "Heads do not correspond between models or between layers: head 3 of one is unrelated to head 3 of another. "
        "Two pictures show different things at the same place, so a difference compares places, not things."
    ),
    formula=definition(
        r"The difference is $A_{qp} - B_{qp}$ for every patch $p$, unscaled. The rank correlation is Spearman's "
        r"$\rho$ over patches. In two scenes, $z^{(l)}$ is the patch's token after layer $l$ in its own "
        r"picture, and $\tilde z^{(l)}$ after it was pasted into the other. The curve is $\cos\!\left(z^{(l)}, \tilde"
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
        try_this=instruction(
            "Let B be the same model, untrained: what both rollouts share does not come from training.", when="trained"
        )
        + instruction("Give B another picture and the same model."),
        catch=definition(
            "Rollout leaves out values, norms and MLPs: two models with similar rollouts may compute different things. "
            "Two pictures show different things at the same place, so a difference compares places, not things."
        ),
    ),
    "positions": replace(
        PAGE,
        lead=instruction("Change the model: position embeddings do not depend on the picture."),
        try_this=instruction("Choose a patch in the middle, then one at the border.")
        + instruction("Let B be the same model, untrained: is its map the same?", when="trained"),
        notice=definition(
            "A row or column through the marked patch stands out where the embeddings of a row or column are similar."
        )
        + definition("Two models with the same grid can be compared patch by patch."),
        catch=definition(
            "Similar embeddings do not mean that the model treats two patches alike: that depends on its layers."
        ),
    ),
    "scenes": replace(
        PAGE,
        lead=definition("The same pixels are in two pictures: how similar are their tokens after each layer?"),
        try_this=instruction("Choose a patch of the object on the left and a place of the same colour on the right.")
        + instruction("Then paste its neighbours too: how many are needed until the curve stays high?"),
        notice=definition(
            "Both tokens come from the same pixels. The curve shows how similar they are after each layer."
        )
        + reference(
            "In language models, the vectors of one word in two contexts become less similar from layer to layer.",
            "ethayarajh",
            "peters",
        ),
        catch=definition(
            "A pasted patch has hard edges that a photograph does not have. "
            "Where all tokens become similar, a high value alone says little: compare it with the other patches."
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
        "rollout": "Each map is the rollout through all layers (α = 0.5, mean of heads).",
        "positions": "Cosine similarity of the marked patch's position embedding with all others. It does not depend on the picture.",
    }
)
DIFFERS = instruction("B has another")
DIFFERENCES = instruction({"model": "model", "picture": "picture", "layer": "layer or head"})
WHOSE = instruction("Whose attention")
WHOSE_HELP = instruction("The query: the token whose attention is shown. Choose a patch in either picture to mark it.")
MARKED = instruction("the marked patch")
SCALES = instruction("Colours")
SCALES_HELP = definition("With one scale a colour means the same number in both maps.")
ENDS = instruction("End of scale")
DIFFERENCE = instruction("A − B")
DIFFERENCE_HELP = definition("A third map: A minus B, patch by patch.")
NO_DIFFERENCE = definition(
    "A has {a_rows} × {a_cols} patches and B has {b_rows} × {b_cols}, so their patches cannot be compared one by one."
)
OTHER_GRID = definition(
    "The cursor marks the same place in both pictures. Another input size in the sidebar may give both the same grid."
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
        -0.2: "The two maps are almost unrelated (rank correlation **{value}**).",
        -1.0: "Where one map is high, the other tends to be low (rank correlation **{value}**, at least −1).",
    },
    "vitviz.analysis.faithfulness.rank_agreement",
)
AGREEMENT_FLAT = definition("One of the maps has a single value everywhere, so there is no order to compare.")
BACK = instruction("Back to the control")
EMBEDDED_INSTEAD = instruction("Compare with the embedded model")
NO_LAYERS = definition(
    "This model has no layer of self-attention between patches, so there is nothing to compare. Choose another model."
)
NO_POOLING = definition("This model has no attention pooling. Choose another token.")
POSITION_LABEL = definition("cosine similarity with row {row}, column {col}")

# One patch, two scenes
INTO = instruction("Into this picture")
BLOCK = instruction("Pasted area")
BLOCKS = instruction({1: "one patch", 3: "3 × 3", 5: "5 × 5", 7: "7 × 7"})
BLOCK_HELP = definition("The square of patches around the marked patch that is pasted.")
FROM_TITLE = instruction("**From** · {name}")
INTO_TITLE = instruction("**Into** · {name}")
FROM_ALT = definition("The picture that the patch in row {row}, column {col} comes from.")
INTO_ALT = definition("The other picture with the patch pasted at row {row}, column {col}.")
SAME_PLACE = instruction("Put it at the same place")
CURVE_TITLE = instruction("**Similarity, layer by layer**")
VERDICT = computed(
    "Cosine similarity after the last layer: **{last:.2f}** for the same pixels, {other:.2f} for the other patches.",
    _SCENES,
)
WAIT = instruction("Running both scenes")
