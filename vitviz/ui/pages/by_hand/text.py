"""Words of the page "one head by hand"."""

from __future__ import annotations

from vitviz.tokens import cell_of_name
from vitviz.ui.text import common
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction

_HAND = "vitviz.analysis.by_hand.head_by_hand"
_ENTRANCE = "vitviz.analysis.by_hand.embedded_token"

PAGE = PageText(
    title=instruction("One head by hand"),
    question=instruction("What is attention, in numbers?"),
    lead=definition(
        "The steps follow one patch from its pixels through one head. Every number can be checked by hand."
    ),
    try_this=instruction(
        "Go from step to step, then choose another patch and see which numbers change. "
        "Open Details and check the first line of a table, then a sum, with a calculator. "
        "Change the photograph: the numbers of $W_q$, $W_k$ and $W_v$ stay the same."
    ),
    notice=definition(
        "The head turns a token into a query, a key and a value. The score of each key is one dot product. The softmax turns scores into weights: how much of each value is taken. "
        "If one score is larger than another by 1, its weight is e ≈ 2.7 times as large."
    ),
    catch=definition(
        "This is one head of one layer. The outputs of all heads are combined by the matrix $W_o$. "
        "A large weight does not mean that the token changes much. From layer 1 on, a token also holds information from other patches."
    ),
    formula=definition(
        r"For a token $z$ of width $D$ and a head of dimension $d$: $\hat z = \mathrm{LN}(z)$, $q = W_q \hat z + b_q$, $k = W_k \hat z + b_k$, "
        r"$v = W_v \hat z + b_v$ with $W \in \mathbb{R}^{d \times D}$. The score of query $i$ and key $j$ is $s_{ij} = q_i \cdot k_j / \sqrt d$, plus a bias "
        r"$b_{ij}$ where the model has one; the weight is $A_{ij} = e^{s_{ij} - m_i} / \sum_l e^{s_{il} - m_i}$ with $m_i = \max_l s_{il}$, "
        r"which changes nothing but keeps the numbers small; the output is $o_i = \sum_j A_{ij} v_j$. As matrices: "
        r"$O = \mathrm{softmax}(Q K^\top / \sqrt d)\, V$, the softmax taken row by row. What the head adds to the token is $(W_o^{(h)} o_i) \odot g$, "
        r"$g$ the model's LayerScale where it has one."
    ),
    references=("vaswani", "dosovitskiy", "roformer", "swin", "layerscale"),
)

NO_LAYERS = definition("This model has no layer of self-attention between tokens.")
OPENING = instruction("Opening layer {layer}")

# The steps: their names in the bar, their titles, and what their captions say
STEP_NAMES = instruction(
    {
        "pixels": "Pixels",
        "embedding": "Embedding",
        "position": "Position",
        "norm": "Norm",
        "qkv": "q, k, v",
        "scores": "Scores",
        "softmax": "Softmax",
        "output": "Output",
        "matrices": "All tokens",
    }
)
TITLES = instruction(
    {
        "pixels": "The pixels of the patch",
        "embedding": "Patch embedding",
        "position": "Plus position",
        "qkv": "Query, key and value",
        "scores": "Scores: the query times every key",
        "softmax": "Softmax: scores become weights",
        "output": "The weighted sum of values",
        "matrices": "The same for all tokens at once: matrices",
    }
)
CAPTION_PIXELS = computed(
    "The {query}: {height} × {width} pixels × {channels} = {count} numbers, each normalised as the model expects.",
    _ENTRANCE,
)
CAPTION_NO_PIXELS = computed(
    "The {query} has no pixels: it starts as {width} parameters of the model, the same for every picture.", _ENTRANCE
)
CAPTION_EMBEDDING = computed(
    "A matrix of the model turns {count} pixel values into {width} numbers. Component {component} is the sum of {count} products.",
    _ENTRANCE,
)
CAPTION_NO_EMBEDDING = definition("Only patches have a patch embedding. The {query} is a parameter of the model.")
CAPTION_POSITION = computed(
    "The position embedding of this place is added, component by component: {width} + {width} numbers give {width}.",
    _ENTRANCE,
)
CAPTION_LATER = computed("{layers} layers have changed the token.", "vitviz.analysis.by_hand.open_layer")
CAPTION_NORM = computed(
    {
        "layer": "The input of the head is the token minus its mean {mean}, divided by its spread {deviation}, times a gain, plus a shift.",
        "rms": "The input of the head is the token divided by its root mean square {deviation}, times a gain.",
        "none": "This layer has no norm before its attention: the token itself is the input of the head.",
    },
    _HAND,
)
CAPTION_QKV = computed(
    "Three matrices, the same for every picture, make {d} numbers each: this token's query, and the key and value of every token.",
    _HAND,
)
CAPTION_QK_NORM = definition("Queries and keys are normalised.")
CAPTION_ROTATE = definition("Queries and keys of patches are rotated by angles that depend on the place.")
CAPTION_SCORES = computed(
    "Each score is the dot product of the query and a key, divided by √{d}. A brighter patch has a higher score.",
    _HAND,
)
CAPTION_SCORES_FACTOR = computed(
    "Each score is the dot product of the query and a key, multiplied by {factor}. A brighter patch has a higher score.",
    _HAND,
)
CAPTION_BIAS = definition("A bias for the displacement from query to key is added.")
CAPTION_SOFTMAX = computed(
    "A weight is e to the power of its score, divided by the sum over all {tokens} keys. The weights sum to 1.", _HAND
)
CAPTION_OUTPUT = definition(
    "The value of every key is multiplied by its weight. The sum of these products is the output of head {head}."
)
CAPTION_MATRICES = computed(
    "All {tokens} queries at once, one row each. The framed row is the one from the steps before.", _HAND
)
NOT_WRITTEN = definition(
    "Before the first layer, this model does more than add a position embedding. These steps are not shown here."
)

# The query and key that are written out
PICTURE_ALT = definition("Weights of the {query} in layer {layer}, head {head}, over the photograph.")
WEIGHT, SCORE = definition(("attention weight", "score"))
TO_PERCENTILE = definition("{label}, colours up to the 99th percentile")
COMPONENT = instruction("Component to write out")
COMPONENT_HELP = definition(
    "All components of a vector are computed in the same way. This one, counted from 0, is written out in every step."
)
PAIR = instruction("Key to write out")
PAIR_HELP = definition(
    "The query is compared with every key. The comparison with this key is written out. The list holds the strongest keys."
)
ROUNDED = instruction(
    "Read every line from left to right, as you would type it into a calculator. Numbers on the screen are rounded to about four "
    "digits. The model computes with more digits."
)
EVERY = instruction("All {count} numbers")
REST = definition("the other {count} together")
SUM = definition("sum")
BIAS = definition("the model's bias b")
INDEX = definition("no.")
SHORT_PATCH = definition("row {row}, col {col}")

# Pixels and the patch embedding
PIXELS_TEXT = computed(
    "{height} × {width} pixels × {channels} = **{count} numbers**. Each number is normalised as the model expects: divided by "
    "255, minus a mean, divided by a spread. The pixel in the upper left corner:",
    _ENTRANCE,
)
PIXEL_COLUMNS = definition(("colour", "value, 0–255", "÷ 255 =", "− mean", "÷ spread", "= input"))
CHANNELS, GREY = definition((("red", "green", "blue"), "grey"))
COUNTED = definition({3: "3 colours", 1: "1 grey value"})
PATCH_ALT = definition("The patch in row {row}, column {col} in the photograph, and its pixels enlarged.")
NO_PIXELS = computed(
    "The {query} has no pixels. It starts as **{width} parameters of the model**, which are the same for every picture. Attention then "
    "adds information about the photograph.",
    _ENTRANCE,
)
EMBED_TEXT = computed(
    "A matrix of the model, **{width} × {count}** numbers, turns the {count} pixel values into {width}. Component {component} is the sum of "
    "{count} products, pixel × filter, plus a bias:",
    _ENTRANCE,
)
EMBED_COLUMNS = definition(("colour, place", "pixel", "× filter", "= product"))
EMBED_PIXEL = definition("{colour}, row {row}, col {col}")
EMBED_OTHER = definition(
    "This model computes its patch embeddings in more than one step. The first column of the next table shows the result."
)

# Position
POSITION_TEXT = computed(
    "The position embedding of this place is **added**, component by component: {width} + {width} numbers give {width} numbers.",
    _ENTRANCE,
)
POSITION_COLUMNS = definition(("component", "patch", "+ position", "= sum"))
POSITION_COLUMNS_PREFIX = definition(("component", "the model's token", "+ position", "= sum"))
POSITION_NORM = definition("= input of layer 0 (normalised)")
NO_POSITION = definition("No position embedding is added here: {reason}")
NO_POSITION_ROTARY = definition(
    "this model rotates queries and keys by angles that depend on the place, in a later step."
)
NO_POSITION_BIAS = definition(
    "this model adds a bias for the displacement from query to key to each score, in a later step."
)
NO_POSITION_NONE = definition("the token enters the first layer unchanged.")
SUM_NAMES = definition(("patch embedding", "position embedding"))
SUM_NAMES_PREFIX = definition(("the model's token", "position embedding"))
SUM_RESULT = definition("sum")
SUM_ALT = definition("The two vectors as coloured strips, and their sum.")

# Into the layer
ENTERS = instruction("The token as it enters layer {layer}")
ENTERS_FIRST = computed("Layer 0 is the first layer. Its input is the token above, {width} numbers.", _ENTRANCE)
ENTERS_LATER = computed(
    "{layers} layers have changed the token. It still has {width} numbers. Its length is {length:.2f}, and it was {before:.2f} before "
    "layer 0. The cosine similarity of the two vectors is {cosine:.2f}.",
    "vitviz.analysis.by_hand.open_layer",
)
ENTERS_COLUMNS = definition(("component", "before layer 0", "before layer {layer}"))
NORM = instruction("Layer norm")
NORM_RMS = instruction("RMS norm")
NORM_TEXT = computed(
    "The mean of the {width} numbers is **{mean}** and their spread is **{deviation}**. Each number minus the mean is divided by the "
    "spread. The result is multiplied by a gain, and a shift is added; gain and shift are parameters of the model:",
    _HAND,
)
NORM_RMS_TEXT = computed(
    "The root mean square of the {width} numbers is **{deviation}**. Each number is divided by it and multiplied by a gain, a parameter "
    "of the model:",
    _HAND,
)
NORM_COLUMNS = definition(("component", "token", "− mean", "÷ spread", "× gain", "+ shift", "= result"))
NORM_RMS_COLUMNS = definition(("component", "before", "÷ root mean square", "× gain", "= result"))
NO_NORM = definition("This layer has no norm before its attention: the token itself is the input of the head.")

# Query, key, value
PROJECT_TEXT = computed(
    "The head has three matrices, $W_q$, $W_k$ and $W_v$, each of **{d} × {width}** numbers. **The matrices are the same for every picture; "
    "the attention weights are not.** Component {component} of the query q is row {component} of $W_q$ times the "
    "input of the head:",
    _HAND,
)
PROJECT_COLUMNS = definition(("component", "token", "× W_q", "= product"))
VECTOR_Q = computed("**q**, the query of the {token}: {d} numbers, the first {shown} of them {numbers} …", _HAND)
VECTOR_K = computed("**k**, the key of the {token}: {d} numbers, the first {shown} of them {numbers} …", _HAND)
VECTOR_V = computed("**v**, the value of the {token}: {d} numbers, the first {shown} of them {numbers} …", _HAND)
VECTOR_O = computed("**o**, the output for the {token}: {d} numbers, the first {shown} of them {numbers} …", _HAND)
VECTOR_ALT = definition("The {d} components of {name} as bars.")
QK_NORM = instruction("This model normalises q and k")
QK_NORM_TEXT = computed(
    "Every query and key is normalised over its {d} numbers. For this query the mean is **{mean}** and the spread is "
    "**{deviation}**:",
    _HAND,
)
QK_NORM_COLUMNS = definition(("component", "q before", "− mean", "÷ spread", "× gain", "+ shift", "= q"))
ROTATE = instruction("This model rotates q and k")
ROTATE_TEXT = definition(
    "Rotary position embedding: pairs of components are rotated by an angle that depends on the patch's row and column. So q·k depends "
    "on the displacement between two patches and on their content. A component times the cosine, plus its partner times the sine:"
)
ROTATE_COLUMNS = definition(("component", "q before", "× cos", "+ partner", "× sin", "= q rotated"))
ROTATE_NOT = definition(
    "Queries and keys of patches are rotated by angles that depend on their place. The {query} has no place, so its query is not "
    "rotated."
)
ROTATE_KEY = definition("The key of the {key} is rotated by its own angles in the same way.")
ROTATE_KEY_NOT = definition("The key of the {key} is not rotated, because it has no place.")

# Scores
DOT_TEXT = computed(
    "The dot product q · k is the sum of {d} products, component times component. Here the key is the {key}:", _HAND
)
DOT_COLUMNS = definition(("component", "q", "× k", "= product"))
SCORES_TEXT = computed(
    "The table repeats this for all {tokens} keys. Each dot product is divided by √{d} = {root}, so that scores do not grow with the "
    "dimension:",
    _HAND,
)
SCORES_TEXT_FACTOR = computed(
    "The table repeats this for all {tokens} keys. Each dot product is multiplied by the model's factor {factor}:",
    _HAND,
)
SCORES_BIAS = definition(
    "**This model adds a bias**: a number for the displacement from query to key. It comes from a table or a small network of the model "
    "and does not depend on the picture."
)
SCORES_COLUMNS = definition(("key", "q · k", "÷ √{d} =", "+ bias", "= score"))
SCORES_FACTOR = definition("× {factor} =")

# Softmax
SOFTMAX_TEXT = computed(
    "The largest of all {tokens} scores is **{maximum}**. Subtract it from each score, take e to that power, and divide by the sum over "
    "all {tokens} keys, **{total}**. The weights of a row sum to 1:",
    _HAND,
)
SOFTMAX_COLUMNS = definition(("key", "score", "− largest =", "exp =", "÷ sum = weight"))
OWN = computed("The largest difference between these {tokens} weights and those of the model itself is {off}.", _HAND)

# What if
WHAT_IF = instruction("What if the scores were sharper, or flatter?")
WHAT_IF_TEXT = definition(
    "**This step is not part of the model.** The model's temperature is 1. Here the scores are divided by T before the softmax. A small T "
    "gives one key almost all the weight, and a large T spreads the weight evenly. The steps below use the model's own weights."
)
TEMPERATURE = instruction("What-if temperature T")
WHAT_IF_COLUMNS = definition(("key", "score ÷ {temperature} =", "weight at T = {temperature}", "the model's weight"))
WHAT_IF_FACTS = computed(
    "At T = {temperature}, {half} of {tokens} keys have half of the weight; in the model, {own} keys.",
    "vitviz.analysis.by_hand.at_temperature",
)

# Output
OUTPUT_TEXT = definition(
    "The value v of every key ({d} numbers) is multiplied by its weight. Component {component} of the output, key by key:"
)
OUTPUT_COLUMNS = definition(("key", "weight", "× v[{component}]", "= share"))
OUTPUT_NEXT = definition(
    "This head ends here. The outputs of all {heads} heads are concatenated to {heads} × {d} = {together} numbers and multiplied by the "
    "model's matrix $W_o$."
)
OUTPUT_SCALE = computed(
    "Then the model multiplies each of the {width} numbers by its own factor (LayerScale). The median of the absolute factors is "
    "{median}.",
    _HAND,
)
OUTPUT_ADDED = computed(
    "The vector that this head adds to the token has the length **{added}**. The token before the layer has the length {length}.",
    _HAND,
)
OUTPUT_OTHERWISE = definition(
    "This model changes the outputs of its heads together before it adds them. So the contribution of one head has no separate length."
)
OUTPUT_OWN = computed("The largest difference from the model's own output is {off}.", _HAND)

# Matrices
MATRICES_TEXT = definition(
    {
        "scores": "Each row is a query and each column a key. The entry is the dot product of the two. "
        "**One matrix multiplication compares every query with every key.** The arrows mark the row and the column written out above.",
        "weights": "The softmax is taken of every row of scores. Row {query} is the row computed above. Each row sums to 1, columns need not.",
        "output": "Every row of the output is a weighted sum of the rows of V. The arrow marks the row computed above.",
    }
)
MATRIX = instruction("Show")
MATRIX_OF = instruction({"scores": "Q · Kᵀ", "weights": "softmax", "output": "weights · V"})
MATRIX_NAMES = definition({"scores": "scores", "weights": "weights", "output": "output"})
MATRIX_TOO_LARGE = definition(
    "With {tokens} tokens the matrices have more rows than a screen has pixels. Choose a smaller input size to see them."
)

# What the figure says beside its numbers; blanks are filled in the browser
FIGURE = instruction(
    {
        "back": "Back",
        "next": "Next",
        "steps": "Steps",
        "tokens": "Prefix tokens",
        "loading": "loading …",
        "place": "row {row}, column {col}",
        "step_of": "Step {at} of {count}: {name}.",
    }
) | definition(
    {
        "component": "component {index}: {value}",
        "patch_pixels": "{rows} × {cols} pixels",
        "pixel_share": "{value} ÷ 255 = {share}",
        "pixel_input": "→ {input}",
        "grid_scale": "blue below 0, red above, up to ±{most}",
        "grid_scales": "blue below 0, red above: to ±{pixels}, ±{filter} and ±{product}",
        "own_vector": "parameters of the model: {count} numbers",
        "embedded": "patch embedding: {count} numbers",
        "column_pixels": "pixels",
        "column_filter": "× filter {index}",
        "column_product": "= products",
        "sum_products": "sum {value}",
        "sum_bias": "+ bias {value}",
        "sum_is": "= {value}",
        "plus_position": "+ position",
        "is_sum": "= sum",
        "no_position": "unchanged: {count} numbers",
        "at_entrance": "before layer 0: {count} numbers",
        "entering": "before layer {layer}: {count} numbers",
        "normalised": "− mean {mean}, ÷ spread {deviation}, × gain, + shift",
        "normalised_rms": "÷ root mean square {deviation}, × gain",
        "goes_in": "input of the head: {count} numbers",
        "is_q": "query q: {count} numbers",
        "is_k": "key k of {key}: {count} numbers",
        "is_v": "value v of {key}: {count} numbers",
        "query_row": "q",
        "key_row": "× k of {key}",
        "dot_row": "= products",
        "dot_sum": "sum {dot} × {factor} = {score}",
        "dot_sum_bias": "sum {dot} × {factor} + bias {bias} = {score}",
        "sum": "sum",
        "head_score": "score",
        "head_exp": "e^(score",
        "head_exp_below": "− {maximum})",
        "head_weight": "÷ {total}",
        "head_weight_below": "= weight",
        "head_weight_short": "weight",
        "head_share": "× value = share of the output",
        "is_o": "sum: output o",
        "matrix_head": "{name}: {rows} × {cols}, dark {low} to bright {high}",
        "matrix_head_signed": "{name}: {rows} × {cols}, blue {low} to red {high}",
        "matrix_row": "row {row}: query",
        "matrix_col": "column {col}: key",
        "too_many": "These matrices have more rows than a screen has pixels.",
        "not_written": "not written out for this model",
    }
)


def short(name: str) -> str:
    """A token's name for a table."""
    cell = cell_of_name(name)
    return common.token(name) if cell is None else SHORT_PATCH.format(row=cell[0], col=cell[1])
