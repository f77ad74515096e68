"""Words of the positions page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Positions"),
    question=instruction("How does the model know where a patch is?"),
    lead=definition(
        "A vector is added to each patch for its place. The map compares one place with all others.", when="added"
    )
    + definition(
        "Queries and keys are rotated by angles that depend on the place. The map shows how this changes a score.",
        when="rotary",
    )
    + definition(
        "A bias for the displacement from query to key is added to each score. The maps show the bias.", when="relative"
    )
    + definition("This page checks how this model encodes the place of a patch.", when="!added,!rotary,!relative"),
    try_this=instruction(
        "Choose a patch in a corner, then one in the middle, and look along its row and column.", when="added"
    )
    + instruction("Choose a patch and see how the rotation changes a score at each displacement.", when="rotary")
    + instruction("Choose another layer and head, and see which displacements get a higher score.", when="relative")
    + instruction("Choose another model in the sidebar and compare.", when="!added,!rotary,!relative"),
    notice=definition(
        "Attention by itself does not use the order of the tokens: if tokens are shuffled, its results are shuffled in the same way."
    )
    + definition(
        "A grid pattern in these embeddings need not be learned: resampling in two dimensions during training also gives one.",
        when="learned positions",
    )
    + definition("These embeddings come from a formula of sines and cosines and were not learned.", when="sin-cos")
    + definition(
        "The rotation depends only on the displacement between two patches. The score also depends on their content.",
        when="rotary",
    )
    + definition(
        "The bias depends only on the displacement. The score also depends on the content of the patches.",
        when="relative",
    )
    + reference(
        "Convolutions can encode positions, because the padding at the edges of a picture changes their output.",
        "islam",
        when="!added,!rotary,!relative",
    ),
    catch=definition("A map shows how a place is encoded, not whether the model uses it.")
    + definition("At another input size, position embeddings are interpolated, which smooths the map.", when="added")
    + definition("A bias that is equal for all keys of a query does not change the weights.", when="relative"),
    formula=definition(
        r"**Added.** Patch $i$ enters the first layer as $z_i = E\,x_i + b + p_i$. The map shows $\cos(p_i, p_j) = "
        r"\frac{p_i \cdot p_j}{\lVert p_i \rVert \lVert p_j \rVert}$ over patch positions." + "\n\n",
        when="added",
    )
    + definition(
        r"**Rotated (rotary).** $q$ and $k$ are rotated by $\omega \cdot \mathrm{place}$, so that a score depends on the places only through the "
        r"displacement $\Delta$: where all components of $q$ and $k$ are equal, it changes by $K(\Delta) = \frac{1}{F}\sum_{\omega} "
        r"\cos(\omega \cdot \Delta)$, over the model's own $F$ frequencies. In axial models these follow from a formula; in mixed ones each "
        r"head learned its own." + "\n\n",
        when="rotary",
    )
    + definition(
        r"**Biased (relative).** The score of query $q$ and key $k$ is $s\, q \cdot k + b_h(k - q)$; the maps show $b_h$, read off the "
        r"model's own forward pass, whether it keeps a table or makes it with a small network. A bias that is equal for all keys "
        r"changes nothing in the softmax: only differences within one map count.",
        when="relative",
    )
    + definition(
        r"If neither the vectors nor the scores depend on the places of patches, $A_{qk} = \mathrm{softmax}_k(s\, q \cdot k)$ does not "
        r"depend on the order of the tokens.",
        when="!added,!rotary,!relative",
    ),
    references=("dosovitskiy", "roformer", "heo", "swin", "swin-v2", "dinov2", "islam"),
)

LEARNED = definition("parameters of the model")
FIXED = definition("fixed by a formula (sines and cosines), not learned")
KIND = definition("Position embedding: {kind}.")
SIMILARITY = instruction("One place against all others:")
SIMILARITY_LABEL = definition("cosine similarity with row {row}, column {col}")
SIMILARITY_ALT = definition(
    "Cosine similarity of the position embedding in row {row}, column {col} with those of all other patches."
)
COLOURS = instruction("Scale")
COLOURS_OF = instruction({"signed": "−1 to 1 around zero", "raw": "smallest to largest"})
CURVE = instruction("Similarity against distance")
TOO_MANY = computed(
    "The curve and the map of all places compare every place with every other. With {count} places they are left out. Choose a smaller "
    "input size to see them.",
    "vitviz.analysis.positions.position_similarity",
)
CURVE_TEXT = definition(
    "The curve is the mean over all pairs of places at each distance. The band holds 80% of these pairs."
)
STEP_TEXT = computed(
    "At a distance of {step} patches, the mean cosine similarity is {row:.2f} along a row and {column:.2f} along a column. Diagonally, "
    "{step} patches along both, it is {diagonal:.2f}.",
    "vitviz.analysis.positions.similarity_by_step",
)
SUM = instruction("Added, not concatenated")
SUM_TEXT = computed(
    "For this patch, the patch embedding has the length {patch:.2f}, the position embedding {position:.2f}, and their sum {total:.2f}. "
    "The cosine similarity of the two embeddings is {cosine:.2f}.",
    "vitviz.analysis.positions.embedding_sum",
)
SUM_CHANCE = computed(
    "A value near zero says little: for random directions in {width} dimensions, 95 of 100 values lie within ±{chance:.2f}.",
    "vitviz.analysis.positions.chance_similarity",
)
SUM_NAMES = definition(("patch embedding", "position embedding"))
SUM_RESULT = definition("sum, as it enters the first layer")
SUM_ALT = definition("Patch embedding and position embedding of the chosen patch as coloured strips, and their sum.")
ATLAS = instruction("All places against all others:")
ATLAS_LABEL = definition("the map of each place, at this place")
ATLAS_ALT = definition(
    "{rows} by {cols} small maps, one for each place: the cosine similarity of its position with all others."
)

NONE = definition(
    "This model adds no vector for the place to its patches and does not rotate queries or keys. It adds no bias to its scores that is "
    "the same for every picture. Its biases may be zero, as before training, or also depend on the content of the patches, as in MViTv2."
)
NAMED = definition(
    "This model has position parameters ({names}). But it does not add one vector to each patch where the patches enter its first layer. "
    "So there is no position embedding to compare patch by patch."
)
ROTARY_TEXT = definition(
    "Every query and key of a patch is rotated by angles that grow with row and column. The map shows the factor by which this changes a "
    "score, if all components of query and key are equal. Without displacement the factor is 1."
)
ROTARY_KERNEL = instruction("By displacement:")
ROTARY_LABEL = definition("rotary kernel from row {row}, column {col}")
ROTARY_ALT = definition("Rotary kernel of the displacement from row {row}, column {col} to every other patch.")
KERNEL_LABEL = definition("rotary kernel by the step from query to key")
DISPLACEMENTS_ALT = definition("{label}: a map over the steps from query to key, in patches, the query in its middle.")
ROTARY_ONE = definition("The same in every layer and head.")
RELATIVE_TEXT = definition(
    "Before the softmax, a bias that depends only on the displacement from query to key is added to each score. It comes from a table or "
    "a small network of the model. The query is in the middle of each map."
)
RELATIVE_LAYER = instruction("Layer that adds a bias")
RELATIVE_NAME = instruction("{number}: {layer}, within {rows}×{cols} patches")
RELATIVE_STEP = instruction("{name}, every {step} patches")
RELATIVE_BOARD_ALT = definition(
    "One small map for each of {heads} heads of {layer}: bias over displacements, the query in the middle."
)
RELATIVE_LABEL = definition("bias added to the score")
RELATIVE_OF = definition("bias added to the score, head {head}")
RELATIVE_HEAD = instruction("Head {head}:")
RELATIVE_HEADS = instruction("All heads:")
RELATIVE_MORE = definition(
    "The bias of this model depends on the places and on the content of patches. So one map over displacements cannot show it."
)
