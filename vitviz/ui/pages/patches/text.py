"""Words of the patches page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Patches"),
    question=instruction("How does a model read a picture?"),
    lead=definition(
        "The model cuts the picture into patches and turns each patch into one vector, its patch embedding.",
        when="cuts",
    )
    + definition("The model makes one vector for each patch of this grid, its patch embedding.", when="!cuts"),
    try_this=instruction("Choose a patch of the object, then one of the background, and look at the pixels of each.")
    + instruction("Then choose a larger input size in the sidebar, if the model takes other sizes."),
    notice=definition(
        "With {cols} patches a row, one step down in the picture is {cols} steps along the sequence. "
        "So distance in the sequence says little about distance in the picture, and attention does not use the order of the sequence."
    )
    + definition("These filters are random: their components were not learned.", when="!trained,filters"),
    catch=definition(
        "Each patch is one token: no token stands for a smaller place inside a patch.",
        when="cuts",
    )
    + definition(
        "This model does not only cut the picture: the vector of a patch may include some of its neighbours' pixels.",
        when="!cuts",
    )
    + definition(
        "The tiles are principal components of the filters, not the filters themselves. Their sign means nothing.",
        when="filters",
    ),
    formula=definition(
        r"A picture of $H \times W$ pixels gives $N = \frac{H}{P} \cdot \frac{W}{P}$ patches of $P \times P$ pixels."
    )
    + definition(
        r"Cut into patches $x_i \in \mathbb{R}^{3P^2}$, patch $i$ enters as $E\,x_i + b$ with the model's own $E \in \mathbb{R}^{D \times "
        r"3P^2}$.",
        when="cuts",
    )
    + definition(r"The tiles are the principal components of the model's filters, the rows of $E$.", when="filters"),
    references=("dosovitskiy", "vaswani"),
)

CUT = instruction("Gap between patches")
DIM = instruction("Dim the rest")
GRID_ALT = definition("The photograph cut into {rows} rows and {cols} columns of patches.")
PATCH = instruction("The chosen patch:")
PATCH_FACTS = computed(
    "Token {token} of {tokens}: pixels {left} to {right} across, {top} to {bottom} down",
    "vitviz.tokens.TokenLayout.token_at",
)
PIXELS_ALT = definition("The pixels of the patch in row {row}, column {col}, each a square.")
PATCH_ALT = definition("The patch in row {row}, column {col}, enlarged, beside its place in the photograph.")
CUT_PICTURE = instruction("The picture, cut:")
SEQUENCE = instruction("The sequence")
PAIRS = definition("A picture is not a sequence: the order, row by row, is imposed.") + computed(
    "Comparing all patches with each other takes {patch_pairs} pairs. For all {pixels} pixels, it would take {pixel_pairs} pairs.",
    "vitviz.analysis.patches.sequence_cost",
)
SEQUENCE_TEXT = computed(
    "{prefix} prefix tokens and {patches} patches: {tokens} tokens in this order.", "vitviz.tokens.TokenLayout"
)
FILTERS = instruction("Patch filters")
FILTERS_TEXT = computed(
    "The tiles show the leading principal components of this model's patch filters. The first {half} of {all} explain half of the variance.",
    "vitviz.analysis.patches.filter_components",
)
FILTERS_KNOWN = reference(
    "In the paper of Dosovitskiy et al., the components look like smooth colour patterns and stripes.", "dosovitskiy"
)
