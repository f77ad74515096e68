"""Words of the positions page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Positions",
    question="How does it know where a patch was?",
    lead=(
        "Attention has no sense of order: shuffle the patches and it computes the same. "
        "So a model is told where each patch lies: by a vector added to the patch, by queries and keys that are turned with "
        "their place, or by a bias on each score for the step from one patch to the other. "
        "Here it is in the terms of the model that you chose."
    ),
    try_this="Click a patch in a corner, then one in the middle, and look at row and column through it.",
    notice=(
        "Likeness falls with distance. Where positions were learned nobody put the grid there, and it often falls faster for "
        "other rows than within the row. Where they are turned or biased, only the step between two patches counts."
    ),
    catch=(
        "That two places are alike, or that a score gains from a step, does not say that the model uses it. At another input "
        "size positions are interpolated from those it was trained with, which smooths the picture."
    ),
    formula=(
        r"**Added.** Patch $i$ enters the first layer as $z_i = E\,x_i + b + p_i$. Shown is $\cos(p_i, p_j) = "
        r"\frac{p_i \cdot p_j}{\lVert p_i \rVert \lVert p_j \rVert}$ over patch positions."
        "\n\n"
        r"**Turned (rotary).** $q$ and $k$ are rotated by $\omega \cdot \mathrm{place}$, so that a score feels only the step "
        r"$\Delta$: with content out of the way it changes by $K(\Delta) = \frac{1}{F}\sum_{\omega} \cos(\omega \cdot \Delta)$, "
        r"over the model's own $F$ frequencies."
        "\n\n"
        r"**Biased (relative).** The score of query $q$ and key $k$ is $s\, q \cdot k + b_h(k - q)$; shown is $b_h$, read off the "
        r"model's own forward pass, whether it keeps a table or makes it with a small network. What is added to all keys alike "
        r"changes nothing in the softmax: only differences within one map count."
    ),
    references=(
        "Dosovitskiy et al. 2021, *An image is worth 16x16 words*, [arXiv "
        "2010.11929](https://arxiv.org/abs/2010.11929), "
        "figure 7 middle.",
        "Su et al. 2021, *RoFormer* (rotary), [arXiv 2104.09864](https://arxiv.org/abs/2104.09864); in two dimensions Heo et al. "
        "2024, [arXiv 2403.13298](https://arxiv.org/abs/2403.13298).",
        "Liu et al. 2021, *Swin Transformer* (relative bias), [arXiv 2103.14030](https://arxiv.org/abs/2103.14030), and 2022, "
        "*Swin Transformer V2* (a network that makes it), [arXiv 2111.09883](https://arxiv.org/abs/2111.09883).",
    ),
)

LEARNED = "learned"
FIXED = "fixed by formula (sines and cosines), not learned"
KIND = "Position embedding: {kind}."
SIMILARITY = "One place against all others"
SIMILARITY_LABEL = "cosine similarity with row {row}, column {col}"
SIMILARITY_ALT = (
    "Cosine similarity of the position embedding in row {row}, column {col} with those of all other patches."
)
ROW, COL = "Row", "Column"
COLOURS = "Scale"
COLOURS_OF = {"signed": "−1 to 1 around zero", "raw": "smallest to largest"}
CURVE = "Similarity against distance"
TOO_MANY = (
    "The curve and the atlas compare every place with every other. With {count} places they are left out; choose a smaller input "
    "size to see them."
)
CURVE_TEXT = "All pairs of places, by the distance between them: the mean, and the band that holds 80% of them."
CURVE_X, CURVE_Y = "distance between patch centres (input pixels)", "cosine similarity"
CURVE_MEAN = "mean of all pairs"
CURVE_ALT = (
    "Curve of position similarity against distance: {near:.2f} between neighbours, {far:.2f} across the picture."
)
SUM = "Added, not attached"
SUM_TEXT = (
    "For this patch: the length of the patch embedding is {patch:.2f}, of the position embedding {position:.2f}, of "
    "their sum {total:.2f}; "
    "the cosine between the two is {cosine:.2f}. Near zero means that content and place use different directions."
)
SUM_NAMES = ("patch embedding", "position embedding")
SUM_RESULT = "sum, as it enters the first layer"
SUM_ALT = "Patch embedding and position embedding of the chosen patch as coloured strips, and their sum."
ATLAS = "The whole atlas"
ATLAS_TEXT = "One tile for each place, in its place: the tile's picture is that place's similarity with all others."
ATLAS_ALT = "{rows} by {cols} tiles; each is the map of one position's similarity with all others."
ATLAS_TITLE = "cosine similarity of position embeddings"

NONE = (
    "This model adds no position to its patches, turns no queries and keys, and adds nothing to its scores that is the same for every "
    "picture. Its biases may still be zero, as before training, or depend on what is in the patches as well, as in MViTv2; "
    "convolutions can tell places too, because at the edges of a picture they see the padding."
)
NAMED = (
    "This model has position parameters ({names}), but does not add one vector to each patch where the patches enter its first "
    "layer, so there is no position embedding to compare patch by patch."
)
ROTARY = "Turned by their place: rotary positions"
ROTARY_TEXT = (
    "Every query and key is rotated by angles that grow with row and column, so that a score depends on the step between two "
    "patches, not on where they are. The map is what is left of a score after each step, where all channels point the same way: 1 "
    "for none."
)
ROTARY_PLACE = "One place against all others"
ROTARY_KERNEL = "By displacement"
ROTARY_LABEL = "rotary kernel from row {row}, column {col}"
ROTARY_ALT = "Rotary kernel of the displacement from row {row}, column {col} to every other patch."
ROTARY_ONE = "The same in every layer and head."
LAYER, HEAD = "Layer", "Head"
RELATIVE = "A bias for each step: relative positions"
RELATIVE_TEXT = (
    "Before the softmax each score gains a number that depends only on the step from query to key, learned for each head. The query "
    "is in the middle of each map."
)
RELATIVE_LAYER = "Layer that adds a bias"
RELATIVE_NAME = "{number}: {layer}, within {rows}×{cols} patches"
RELATIVE_STEP = "{name}, every {step} patches"
RELATIVE_BOARD_ALT = (
    "One small map for each of {heads} heads of {layer}: bias over displacements, the query in the middle."
)
RELATIVE_LABEL = "bias added to the score"
RELATIVE_HEAD = "Head {head}"
RELATIVE_MORE = (
    "This model adds something to its scores that depends on where patches are and on what is in them, so no one map over "
    "displacements holds it."
)
