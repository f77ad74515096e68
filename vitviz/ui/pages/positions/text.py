"""Words of the positions page."""

from __future__ import annotations

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

PAGE = PageText(
    title=instruction("Positions"),
    question=instruction("How does it know where a patch was?"),
    lead=definition(
        "A vector is added to each patch for its place. The map compares one place with all others.", when="added"
    )
    + definition(
        "Queries and keys are turned by angles of their place. The map shows what is left of a score.", when="rotary"
    )
    + definition(
        "Each score gains a number for the step from query to key. The maps show it, head by head.", when="relative"
    )
    + definition("This page looks for what encodes where a patch lies in this model.", when="!added,!rotary,!relative"),
    try_this=instruction(
        "Choose a patch in a corner, then one in the middle, and look along its row and column.", when="added"
    )
    + instruction("Choose a patch and see what is left of a score after each step.", when="rotary")
    + instruction("Choose another layer and head, and see which steps gain.", when="relative")
    + instruction("Choose another model in the sidebar and compare.", when="!added,!rotary,!relative"),
    notice=definition(
        "Attention has no sense of order: shuffle the tokens, and its results are shuffled in the same way."
    )
    + definition(
        "Whether the grid was learned or given depends on the training: where positions were resampled in two dimensions, it was given.",
        when="learned positions",
    )
    + definition("These positions follow from a formula of sines and cosines and were not learned.", when="sin-cos")
    + definition(
        "Turning depends only on the step between two patches. The score depends on what is in them, too.",
        when="rotary",
    )
    + definition(
        "What is added depends only on the step. The score depends on what is in the patches, too.", when="relative"
    )
    + reference(
        "Convolutions can encode places: at the edges of a picture they see the padding.",
        "islam",
        when="!added,!rotary,!relative",
    ),
    catch=definition(
        "That two places are alike, or that a score gains from a step, does not show that the model uses it."
    )
    + definition("At another input size positions are interpolated, which smooths the picture.", when="added")
    + definition("What is added to all keys of a query alike changes nothing in the softmax.", when="relative"),
    formula=definition(
        r"**Added.** Patch $i$ enters the first layer as $z_i = E\,x_i + b + p_i$. Shown is $\cos(p_i, p_j) = "
        r"\frac{p_i \cdot p_j}{\lVert p_i \rVert \lVert p_j \rVert}$ over patch positions." + "\n\n",
        when="added",
    )
    + definition(
        r"**Turned (rotary).** $q$ and $k$ are rotated by $\omega \cdot \mathrm{place}$, so that of the place a score depends on the step "
        r"$\Delta$ only: where all components of $q$ and $k$ are equal, it changes by $K(\Delta) = \frac{1}{F}\sum_{\omega} "
        r"\cos(\omega \cdot \Delta)$, over the model's own $F$ frequencies. In axial models these follow from a formula; in mixed ones each "
        r"head learned its own." + "\n\n",
        when="rotary",
    )
    + definition(
        r"**Biased (relative).** The score of query $q$ and key $k$ is $s\, q \cdot k + b_h(k - q)$; shown is $b_h$, read off the "
        r"model's own forward pass, whether it keeps a table or makes it with a small network. What is added to all keys alike "
        r"changes nothing in the softmax: only differences within one map count.",
        when="relative",
    )
    + definition(
        r"Where the places of patches enter neither their vectors nor the scores, $A_{qk} = \mathrm{softmax}_k(s\, q \cdot k)$ follows "
        r"the tokens into any other order.",
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
    "The curve and the atlas compare every place with every other. With {count} places they are left out; choose a smaller input "
    "size to see them.",
    "vitviz.analysis.positions.position_similarity",
)
CURVE_TEXT = definition(
    "All pairs of places, by the distance between them: the mean, and the band that holds 80% of them."
)
STEP_TEXT = computed(
    "{step} patches apart the mean cosine similarity is {row:.2f} along a row, {column:.2f} along a column and {diagonal:.2f} diagonally, "
    "{step} along both.",
    "vitviz.analysis.positions.similarity_by_step",
)
SUM = instruction("Added, not attached")
SUM_TEXT = computed(
    "For this patch: the length of the patch embedding is {patch:.2f}, of the position embedding {position:.2f}, of "
    "their sum {total:.2f}; the cosine similarity of the two is {cosine:.2f}.",
    "vitviz.analysis.positions.embedding_sum",
)
SUM_CHANCE = computed(
    "A value near zero says little: of two random directions in {width} dimensions, 95 in 100 lie within ±{chance:.2f}.",
    "vitviz.analysis.positions.chance_similarity",
)
SUM_NAMES = definition(("patch embedding", "position embedding"))
SUM_RESULT = definition("sum, as it enters the first layer")
SUM_ALT = definition("Patch embedding and position embedding of the chosen patch as coloured strips, and their sum.")
ATLAS = instruction("The whole atlas:")
ATLAS_LABEL = definition("each place's map, in its own place")
ATLAS_ALT = definition(
    "{rows} by {cols} small maps, one a place: the cosine similarity of its position with all others."
)

NONE = definition(
    "This model adds no position to its patches and turns no queries and keys. It adds nothing to its scores that is the same for every "
    "picture. Its biases may still be zero, as before training, or depend on what is in the patches as well, as in MViTv2."
)
NAMED = definition(
    "This model has position parameters ({names}). But it does not add one vector to each patch where the patches enter its first layer. "
    "So there is no position embedding to compare patch by patch."
)
ROTARY_TEXT = definition(
    "Every query and key of a patch is rotated by angles that grow with row and column. The map is what is left of a score after each "
    "step where all components of query and key are equal: 1 for none."
)
ROTARY_KERNEL = instruction("By displacement:")
ROTARY_LABEL = definition("rotary kernel from row {row}, column {col}")
ROTARY_ALT = definition("Rotary kernel of the displacement from row {row}, column {col} to every other patch.")
KERNEL_LABEL = definition("rotary kernel by the step from query to key")
DISPLACEMENTS_ALT = definition("{label}: a map over the steps from query to key, in patches, the query in its middle.")
ROTARY_ONE = definition("The same in every layer and head.")
RELATIVE_TEXT = definition(
    "Before the softmax each score gains a number that depends only on the step from query to key. It comes from a table or a small "
    "network of the model. The query is in the middle of each map."
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
    "What this model adds to its scores depends on where patches are and on what is in them. So no one map over displacements holds it."
)
