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
    lead=definition("A patch is followed from its pixels through one head; every number can be checked by hand."),
    try_this=instruction(
        "Go from step to step, then choose another patch and see which numbers change. "
        "Open Details and take a calculator: the first line of any table, then a sum. "
        "Change the photograph: the numbers of $W_q$, $W_k$ and $W_v$ stay."
    ),
    notice=definition(
        "The head turns a long token into a much shorter query, key and value. "
        "One dot product for each key gives its score; the softmax turns scores into weights: how much of each value is taken. "
        "One point more in a score makes a weight e ≈ 2.7 times as large as the other."
    ),
    catch=definition(
        "This is one head of one layer. Its output meets those of the other heads and is multiplied by $W_o$. "
        "A large weight does not mean that the token changes much. "
        "From layer 1 on the token carries what it has read from other patches."
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

NO_LAYERS = definition("This model has no layer in which tokens look at each other.")
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
        "pixels": "The patch is pixels",
        "embedding": "Patch embedding",
        "position": "Plus position",
        "qkv": "Query, key and value",
        "scores": "Scores: the query meets every key",
        "softmax": "Softmax: scores become weights",
        "output": "The weighted sum of values",
        "matrices": "The same for all tokens at once: matrices",
    }
)
CAPTION_PIXELS = computed(
    "The {query}: {height} × {width} pixels × {channels} = {count} numbers, each brought to the scale that the model expects.",
    _ENTRANCE,
)
CAPTION_NO_PIXELS = computed(
    "The {query} has no pixels: it begins as {width} numbers of the model, the same for every picture.", _ENTRANCE
)
CAPTION_EMBEDDING = computed(
    "A matrix of the model turns {count} pixel values into {width} numbers. Component {component} is the sum of {count} products.",
    _ENTRANCE,
)
CAPTION_NO_EMBEDDING = definition("Only patches are embedded; the {query} enters as the model learned it.")
CAPTION_POSITION = computed(
    "The vector of this place is added, component by component: {width} + {width} numbers give {width}.", _ENTRANCE
)
CAPTION_LATER = computed("{layers} layers have changed the token.", "vitviz.analysis.by_hand.open_layer")
CAPTION_NORM = computed(
    {
        "layer": "Minus its mean {mean}, divided by its spread {deviation}, times a gain, plus a shift: this is what the head reads.",
        "rms": "Divided by the root of its mean square, {deviation}, and multiplied by a gain: this is what the head reads.",
        "none": "No norm stands before the attention here: the token goes in as it is.",
    },
    _HAND,
)
CAPTION_QKV = computed(
    "Three matrices, the same for every picture, make {d} numbers each: the token's query, and of every token a key and a value.",
    _HAND,
)
CAPTION_QK_NORM = definition("Queries and keys are normalised.")
CAPTION_ROTATE = definition("Those of patches are turned by an angle for their place.")
CAPTION_SCORES = computed(
    "The query meets every key: {d} products, added up and divided by √{d}, are one score. The brighter a patch, the higher its score.",
    _HAND,
)
CAPTION_SCORES_FACTOR = computed(
    "The query meets every key: {d} products, added up and multiplied by {factor}, are one score. The brighter a patch, the higher its score.",
    _HAND,
)
CAPTION_BIAS = definition("A bias for the step from query to key is added.")
CAPTION_SOFTMAX = computed(
    "e to the power of each score, divided by the sum over all {tokens} keys: weights, which sum to 1.", _HAND
)
CAPTION_OUTPUT = definition(
    "Every key hands over its value, as much of it as its weight says. Their sum is what head {head} hands on."
)
CAPTION_MATRICES = computed(
    "All {tokens} queries at once, one row each: the framed row is the one that was written out.", _HAND
)
NOT_WRITTEN = definition(
    "This model does more to its tokens before the first layer than adding a position; that is not written out here."
)

# What is followed
PICTURE_ALT = definition("Weights of the {query} in layer {layer}, head {head}, over the photograph.")
WEIGHT, SCORE = definition(("attention weight", "score"))
TO_PERCENTILE = definition("{label}, colours up to the 99th percentile")
COMPONENT = instruction("Component to write out")
COMPONENT_HELP = definition(
    "A vector has many components, each made in the same way. This one is written out in every step, counted from 0."
)
PAIR = instruction("Key to write out")
PAIR_HELP = definition(
    "The query is compared with every key. This comparison is written out; the strongest keys are offered."
)
ROUNDED = instruction(
    "Read every line from left to right, as it is typed into a calculator. Numbers on the screen are rounded to about four digits; the "
    "model's own are longer."
)
EVERY = instruction("All {count} numbers")
REST = definition("the other {count} together")
SUM = definition("sum")
BIAS = definition("the model's bias b")
INDEX = definition("no.")
SHORT_PATCH = definition("row {row}, col {col}")

# Pixels and the patch embedding
PIXELS_TEXT = computed(
    "{height} × {width} pixels × {channels} = **{count} numbers**. Each is brought to the scale that the model expects: divided by "
    "255, minus a mean, divided by a spread. The pixel in the upper left corner:",
    _ENTRANCE,
)
PIXEL_COLUMNS = definition(("colour", "value, 0–255", "÷ 255 =", "− mean", "÷ spread", "= input"))
CHANNELS, GREY = definition((("red", "green", "blue"), "grey"))
COUNTED = definition({3: "3 colours", 1: "1 grey value"})
PATCH_ALT = definition("The patch in row {row}, column {col} in the photograph, and its pixels enlarged.")
NO_PIXELS = computed(
    "The {query} has no pixels. It begins as **{width} numbers of the model** that are the same for every picture; attention brings the "
    "photograph into it.",
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
    "This model makes its patch vectors in more than one step; what comes out of them is the first column of the next table."
)

# Position
POSITION_TEXT = computed(
    "The vector of this place is **added**, component by component: {width} + {width} numbers give {width} numbers.",
    _ENTRANCE,
)
POSITION_COLUMNS = definition(("component", "patch", "+ position", "= sum"))
POSITION_COLUMNS_PREFIX = definition(("component", "the model's token", "+ position", "= sum"))
POSITION_NORM = definition("= entering (normalised)")
NO_POSITION = definition("Nothing is added for the place here: {reason}")
NO_POSITION_ROTARY = definition(
    "this model turns queries and keys by an angle that depends on the place, further down."
)
NO_POSITION_BIAS = definition("this model adds a bias to each score for the step from query to key, further down.")
NO_POSITION_NONE = definition("the token enters as it is.")
SUM_NAMES = definition(("patch embedding", "position embedding"))
SUM_NAMES_PREFIX = definition(("the model's token", "position embedding"))
SUM_RESULT = definition("sum")
SUM_ALT = definition("The two vectors as coloured strips, and their sum.")

# Into the layer
ENTERS = instruction("The token as it enters layer {layer}")
ENTERS_FIRST = computed("Layer 0 is the first: the token enters it as that sum, {width} numbers.", _ENTRANCE)
ENTERS_LATER = computed(
    "{layers} layers have changed it before: the token is still {width} numbers, of length {length:.2f} instead of "
    "{before:.2f}, and its cosine similarity with what it was at the entrance is {cosine:.2f}.",
    "vitviz.analysis.by_hand.open_layer",
)
ENTERS_COLUMNS = definition(("component", "at the entrance", "entering layer {layer}"))
NORM = instruction("Layer norm")
NORM_RMS = instruction("RMS norm")
NORM_TEXT = computed(
    "The mean of the {width} numbers is **{mean}**, their spread **{deviation}**. Each number minus the mean, divided by the spread, "
    "times a gain of the model, plus a shift of the model:",
    _HAND,
)
NORM_RMS_TEXT = computed(
    "The root of the mean square of the {width} numbers is **{deviation}**. Each number divided by it, times a gain of the model:",
    _HAND,
)
NORM_COLUMNS = definition(("component", "token", "− mean", "÷ spread", "× gain", "+ shift", "= result"))
NORM_RMS_COLUMNS = definition(("component", "before", "÷ root mean square", "× gain", "= result"))
NO_NORM = definition("No norm stands before the attention here: the token goes in as it is.")

# Query, key, value
PROJECT_TEXT = computed(
    "Three matrices of the model, $W_q$, $W_k$ and $W_v$, each **{d} × {width}** for this head. **They are the same for every picture; the "
    "weights below are computed afresh for every picture.** Component {component} of the query q is row {component} of $W_q$ times what goes "
    "in:",
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
    "Before they meet, every query and key is normalised over its {d} numbers. For this query the mean is **{mean}** and the spread "
    "**{deviation}**:",
    _HAND,
)
QK_NORM_COLUMNS = definition(("component", "q before", "− mean", "÷ spread", "× gain", "+ shift", "= q"))
ROTATE = instruction("This model turns q and k")
ROTATE_TEXT = definition(
    "Rotary position: pairs of components turn by an angle that depends on the patch's row and column. So q·k depends on the step from "
    "one patch to the other, and on what is in them. A component times the cosine, plus its partner times the sine:"
)
ROTATE_COLUMNS = definition(("component", "q before", "× cos", "+ partner", "× sin", "= q turned"))
ROTATE_NOT = definition(
    "Patches are turned here by an angle that depends on their place. The {query} has no place, and its query stays as it is."
)
ROTATE_KEY = definition("The key of the {key} is turned by its own angle in the same way.")
ROTATE_KEY_NOT = definition("The key of the {key} is not turned: it has no place.")

# Scores
DOT_TEXT = computed(
    "q · k is one number: component times component, {d} products, added up. Here with the {key}:", _HAND
)
DOT_COLUMNS = definition(("component", "q", "× k", "= product"))
SCORES_TEXT = computed(
    "The same with all {tokens} keys. Each dot product is divided by √{d} = {root}, so that scores do not grow with the dimension:",
    _HAND,
)
SCORES_TEXT_FACTOR = computed(
    "The same with all {tokens} keys. Each dot product is multiplied by the model's factor {factor}:", _HAND
)
SCORES_BIAS = definition(
    "**This model adds a bias**: a number for the step from query to key, from a table or a small network of the model, whatever the "
    "patches show."
)
SCORES_COLUMNS = definition(("key", "q · k", "÷ √{d} =", "+ bias", "= score"))
SCORES_FACTOR = definition("× {factor} =")

# Softmax
SOFTMAX_TEXT = computed(
    "The largest of all {tokens} scores is **{maximum}**. Subtract it, take e to that power, and divide by the sum over all {tokens} keys, "
    "**{total}**. The weights of a row sum to 1:",
    _HAND,
)
SOFTMAX_COLUMNS = definition(("key", "score", "− largest =", "exp =", "÷ sum = weight"))
OWN = computed(
    "The largest difference between these {tokens} weights and the ones the model itself used is {off}.", _HAND
)

# What if
WHAT_IF = instruction("What if the scores were sharper, or flatter?")
WHAT_IF_TEXT = definition(
    "**A what-if, not the model.** The model's temperature is 1. Here its scores are divided by T before the softmax: a small T lets one key "
    "take all, a large T spreads the weight evenly. The steps below go on with the model's own weights."
)
TEMPERATURE = instruction("What-if temperature T")
WHAT_IF_COLUMNS = definition(("key", "score ÷ {temperature} =", "weight at T = {temperature}", "the model's weight"))
WHAT_IF_FACTS = computed(
    "At T = {temperature} half of the weight lies on {half} of {tokens} keys; in the model on {own}.",
    "vitviz.analysis.by_hand.at_temperature",
)

# Output
OUTPUT_TEXT = definition(
    "Every key hands over its value v ({d} numbers), as much of it as its weight says. Component {component} of the output, key by key:"
)
OUTPUT_COLUMNS = definition(("key", "weight", "× v[{component}]", "= share"))
OUTPUT_NEXT = definition(
    "This head ends here. The outputs of all {heads} heads, {heads} × {d} = {together} numbers, are laid side by side and multiplied by the "
    "model's matrix $W_o$."
)
OUTPUT_SCALE = computed(
    "Then the model multiplies each of the {width} numbers by a factor of its own (LayerScale); the median of these factors is "
    "{median}, their sign left out.",
    _HAND,
)
OUTPUT_ADDED = computed(
    "What this head adds to the token has the length **{added}**; the token itself has the length {length} as it enters the layer.",
    _HAND,
)
OUTPUT_OTHERWISE = definition(
    "This model changes the outputs of its heads together before it adds them, so what one head adds has no length of its own."
)
OUTPUT_OWN = computed("The largest difference from what the model itself computed is {off}.", _HAND)

# Matrices
MATRICES_TEXT = definition(
    {
        "scores": "Row by row the queries, column by column the keys: every pair's dot product is one entry. "
        "**Comparing everything with everything is one matrix multiplication.** The arrows mark the row and the column written out above.",
        "weights": "The softmax of every row of scores: row {query} is the row computed above. Each row sums to 1, columns need not.",
        "output": "Weights times values: every row of the output is a mixture of all rows of V. The arrow marks the row computed above.",
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
        "own_vector": "the model's own vector: {count} numbers",
        "embedded": "patch embedding: {count} numbers",
        "column_pixels": "pixels",
        "column_filter": "× filter {index}",
        "column_product": "= products",
        "sum_products": "sum {value}",
        "sum_bias": "+ bias {value}",
        "sum_is": "= {value}",
        "plus_position": "+ position",
        "is_sum": "= sum",
        "no_position": "as it was: {count} numbers",
        "at_entrance": "at the entrance: {count} numbers",
        "entering": "entering layer {layer}: {count} numbers",
        "normalised": "− mean {mean}, ÷ spread {deviation}, × gain, + shift",
        "normalised_rms": "÷ root mean square {deviation}, × gain",
        "goes_in": "what goes in: {count} numbers",
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
