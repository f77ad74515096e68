"""Words of the page on which two things are compared."""

from __future__ import annotations

from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Compare",
    question="Is it the model or the picture?",
    lead=(
        "A map alone does not tell what made it: what the model has learned, its architecture, or the picture. "
        "Change one of them, hold the others, and point at the same place in both."
    ),
    try_this=(
        "Leave B untrained: what remains is what the architecture does by itself. Then give B another picture: what "
        "remains is what the model does to every picture. In *one patch, two scenes*, move a patch of a thing onto a"
        " background of the same colour."
    ),
    notice=(
        "With its own scale every map looks equally sure; with one scale an untrained model is nearly even. "
        "A patch keeps its likeness to itself for some layers and then becomes part of its scene: meaning depends on"
        " context."
    ),
    catch=(
        "Heads are not aligned between models, nor between layers: head 3 here has nothing to do with head 3 there. "
        "Two pictures have the same places but not the same things in them, so a difference patch by patch compares "
        "places. A pasted patch brings hard edges that no photograph has."
    ),
    formula=(
        r"The difference is $A_{qp} - B_{qp}$ for every patch $p$, unscaled. The rank correlation is Spearman's "
        r"$\rho$ over patches. In two scenes, with $z^{(l)}$ the token of the patch after layer $l$ in its own "
        r"picture and $\tilde z^{(l)}$ after it was pasted into the other, the curve is $\cos\!\left(z^{(l)}, \tilde"
        r" z^{(l)}\right)$, with nothing subtracted first; the control is the mean of $\cos\!\left(z^{(l)}, \tilde "
        r"z_j^{(l)}\right)$ over all other patches $j$ of that picture, and the band holds the middle 80% of them."
    ),
    references=(
        "Adebayo et al. 2018, *Sanity checks for saliency maps* (trained against random), "
        "[arXiv 1810.03292](https://arxiv.org/abs/1810.03292).",
        "Ethayarajh 2019, *How contextual are contextualized word representations?* (similarity to itself in other "
        "contexts, and why a control is needed), [arXiv 1909.00512](https://arxiv.org/abs/1909.00512).",
    ),
)

COMPARED = "What is compared"
KINDS = {"attention": "attention", "rollout": "rollout", "positions": "positions", "scenes": "one patch, two scenes"}

# Two maps
METHODS = {"attention": "attention weights", "rollout": "attention rollout", "positions": "position similarity"}
KIND_NOTES = {
    "rollout": "Rollout through all layers (α = 0.5, mean of heads): each side traced back to its own picture.",
    "positions": "How alike the position embedding of the marked patch is to all others; the picture plays no part in it.",
}
DIFFERS = "B has another"
DIFFERENCES = {"model": "model", "picture": "picture", "layer": "layer or head"}
WHOSE = "Whose attention"
WHOSE_HELP = "The token that asks. Click a patch in either picture to mark it."
MARKED = "the marked patch"
SCALES = "Colours"
SCALES_OF = {"own": "each its own", "shared": "one scale"}
SCALES_HELP = "With one scale a colour means the same number in both maps."
ENDS = "End of scale"
DIFFERENCE = "A − B"
DIFFERENCE_HELP = "A third map: A minus B, patch by patch."
NO_DIFFERENCE = (
    "A has {a_rows} × {a_cols} patches and B {b_rows} × {b_cols}, so there is no difference patch by patch; the "
    "cursor goes by place. Another input size in the sidebar may give both the same grid."
)
DIFFERENCE_LABEL = "A − B, {label}"
LAYER_OF, HEAD_OF = "Layer of {side}", "Head of {side}"
HEAD_MEAN = "mean of heads"
HEAD_NAME = "head {head}"
LAYER_NAME = "layer {layer}"
MODEL = "Model of B"
MODEL_HELP = "Choose one, or type the name of any model of timm's registry."
SAME_UNTRAINED = "the same, untrained"
SAME_TRAINED = "the same, trained"
EMBEDDED = "embedded model"
UNTRAINED = "{model}, untrained"
PICTURE = "Picture of B"
OWN_PICTURE = "your own picture"
SIDE = "**{side}** · {model}, {picture}"
SIDE_A_NOTE = "Model and picture of A are those of the sidebar."
QUERY_INSTEAD = "B has no {wanted}; its {given} is shown."
ALT = "{side}: {label} of the {query}. {name}."
ALT_POSITIONS = "{side}: position similarity with the {query}. {name}."
ALT_DIFFERENCE = "A minus B: {label}, patch by patch."
AGREEMENT = (
    "Rank correlation of the two maps over patches: **{value}** (1: the same order, 0: unrelated, −1: reversed)."
)
AGREEMENT_FLAT = "One of the maps has a single value everywhere, so there is no order to compare."
BACK = "Back to the control"
NO_LAYERS = (
    "In this model no layer lets the patches look at each other, so there is nothing to compare. Choose another model."
)
NO_POOLING = "This model has no attention pooling. Choose another token."
POSITION_LABEL = "cosine similarity with row {row}, column {col}"

# One patch, two scenes
INTO = "Into this picture"
BLOCK = "How much goes along"
BLOCKS = {1: "one patch", 3: "3 × 3", 5: "5 × 5", 7: "7 × 7"}
BLOCK_HELP = (
    "The square of patches around the marked one that is pasted with it: the more of its surroundings, the less it "
    "changes."
)
FROM_HINT = "Click the patch to take."
INTO_HINT = "Click where to put it."
FROM_TITLE = "**From** · {name}"
INTO_TITLE = "**Into** · {name}"
FROM_ALT = "The picture that the patch in row {row}, column {col} comes from."
INTO_ALT = "The other picture with the patch pasted at row {row}, column {col}."
SAME_PLACE = "Put it at the same place"
CURVE_TITLE = "**How alike its token stays to itself**"
VERDICT = (
    "The same pixels, twice. Before the first layer the two tokens have a similarity of {first:.2f}; after the last, "
    "**{last:.2f}**. Any other patch of that picture has {other:.2f} on average."
)
WAIT = "Running both scenes"
