"""Words of the patches page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="Patches",
    question="How does a model read a picture?",
    lead=(
        "It cuts the picture into square patches and lines them up, row by row, like words. "
        "Each patch becomes one vector: its pixels, compared with a set of learned filters."
    ),
    try_this=(
        "Click a wheel, an eye or an edge, and see which of its pixels the model gets as one word. Then make the input "
        "larger in the sidebar."
    ),
    notice=(
        "Neighbours above and below are far apart in the sequence: with {cols} patches a row, one step down is {cols} "
        "steps along. "
        "The leading filters are colour gradients and stripes, as in the first layer of a convolutional network."
    ),
    catch=(
        "Nothing finer than a patch has a place of its own: where something is within a patch is known only from its "
        "pixels. "
        "The filters shown are the main directions in which the learned filters differ, not the filters themselves, "
        "and their sign means nothing."
    ),
    formula=(
        r"A picture of $H \times W$ pixels gives $N = \frac{H}{P} \cdot \frac{W}{P}$ patches $x_i \in "
        r"\mathbb{R}^{3P^2}$, and "
        r"patch $i$ enters as $E\,x_i + b$ with $E \in \mathbb{R}^{D \times 3P^2}$ learned. The tiles are the "
        r"principal components "
        r"of the rows of $E$."
    ),
    references=(
        "Dosovitskiy et al. 2021, *An image is worth 16x16 words*, [arXiv "
        "2010.11929](https://arxiv.org/abs/2010.11929), "
        "figure 7 left.",
    ),
)

CUT = "Width of the cuts"
DIM = "Let the rest sink"
ROW, COL = "Row", "Column"
GRID_ALT = "The photograph cut into {rows} rows and {cols} columns of patches."
PATCH = "The patch under discussion"
PATCH_FACTS = (
    "Token {token} of {tokens} · row {row}, column {col} · pixels {left} to {right} across, {top} to {bottom} down"
)
PATCH_NUMBERS = "{pixels} pixels × 3 colours = {numbers} numbers become one vector of {width}."
PATCH_ALT = "The patch in row {row}, column {col}, enlarged, beside its place in the photograph."
SEQUENCE = "The sequence"
SEQUENCE_TEXT = "{prefix} prefix and {patches} patches: {tokens} tokens in this order."
SEQUENCE_ALT = "The tokens of the sequence in order, numbered from 0; token {token} is framed."
FILTERS = "What each patch is compared with"
FILTERS_TEXT = "The {count} leading components of the learned filters and their share of the filters' variance."
FILTERS_ALT = "{count} small colour tiles: the leading principal components of the patch filters."
