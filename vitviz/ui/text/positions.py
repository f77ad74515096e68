"""Words of the positions page."""

from __future__ import annotations

from vitviz.ui.text.page import PageText

PAGE = PageText(
    title="Positions",
    question="How does it know where a patch was?",
    lead=(
        "Attention has no sense of order: shuffle the patches and it computes the same. "
        "So each place in the grid has a vector of its own, which is added to whatever patch lies there. "
        "Places whose vectors point the same way are neighbours to the model."
    ),
    try_this="Click a patch in a corner, then one in the middle, and look at row and column through it.",
    notice=(
        "Similarity falls with distance, and often faster for other rows than within the row: the grid was learned, "
        "nobody put it there."
    ),
    catch=(
        "A cosine says that two vectors point the same way, not that the model uses it. At another input size the "
        "vectors are "
        "interpolated from those it was trained with, which smooths the picture."
    ),
    formula=(
        r"Patch $i$ enters the first layer as $z_i = E\,x_i + b + p_i$. Shown is $\cos(p_i, p_j) = "
        r"\frac{p_i \cdot p_j}{\lVert p_i \rVert \lVert p_j \rVert}$ over patch positions."
    ),
    references=(
        "Dosovitskiy et al. 2021, *An image is worth 16x16 words*, [arXiv "
        "2010.11929](https://arxiv.org/abs/2010.11929), "
        "figure 7 middle.",
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
