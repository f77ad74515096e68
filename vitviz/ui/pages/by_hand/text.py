"""Words of the page "one head by hand"."""

from __future__ import annotations

from vitviz.tokens import cell_of_name
from vitviz.ui.text import common
from vitviz.ui.text.common import PageText

PAGE = PageText(
    title="One head by hand",
    question="What is attention, in numbers?",
    lead=(
        "One patch is followed through one head, from its pixels to what the head hands on, with the numbers of this photograph. "
        "Each step can be checked with a calculator from what stands on the screen. "
        "The matrices $W_q$, $W_k$ and $W_v$ were learned and stay as they are; the attention weights are computed afresh for every image."
    ),
    try_this=(
        "Choose layer 0 to follow a patch without a gap. Take a calculator: the first line of any table, then a sum. "
        "Change the photograph and see which numbers stay: those of $W_q$, $W_k$, $W_v$ and the position."
    ),
    notice=(
        "The head turns hundreds of numbers into a query of a few dozen. One dot product decides how much a key matters, "
        "and the softmax turns a lead of one point into a weight e ≈ 2.7 times as large."
    ),
    catch=(
        "This is one head of one layer. Its output meets those of the other heads, is multiplied by $W_o$ and *added* to the token; a large "
        "weight does not mean that the sum changes much. From layer 1 on the token carries what it has read from other patches."
    ),
    formula=(
        r"For a token $z$ of width $D$ and a head of dimension $d$: $\hat z = \mathrm{LN}(z)$, $q = W_q \hat z + b_q$, $k = W_k \hat z + b_k$, "
        r"$v = W_v \hat z + b_v$ with $W \in \mathbb{R}^{d \times D}$. The score of query $i$ and key $j$ is $s_{ij} = q_i \cdot k_j / \sqrt d$, plus a bias "
        r"$b_{ij}$ where the model has one; the weight is $A_{ij} = e^{s_{ij} - m_i} / \sum_l e^{s_{il} - m_i}$ with $m_i = \max_l s_{il}$, "
        r"which changes nothing but keeps the numbers small; the output is $o_i = \sum_j A_{ij} v_j$. As matrices: "
        r"$O = \mathrm{softmax}(Q K^\top / \sqrt d)\, V$, the softmax taken row by row."
    ),
    references=(
        "Vaswani et al. 2017, *Attention is all you need*, [arXiv 1706.03762](https://arxiv.org/abs/1706.03762), equation 1.",
        "Dosovitskiy et al. 2021, *An image is worth 16x16 words*, [arXiv 2010.11929](https://arxiv.org/abs/2010.11929), appendix A.",
        "Su et al. 2021, *RoFormer* (rotation), [arXiv 2104.09864](https://arxiv.org/abs/2104.09864).",
    ),
)

NO_LAYERS = "This model has no layer in which tokens look at each other."
OPENING = "Opening layer {layer}"

# What is followed
FOLLOWED = "Followed: **{query}**, in layer **{layer}**, head **{head}**."
PICTURE_ALT = "Weights of the {query} in layer {layer}, head {head}, over the photograph."
WEIGHT = "attention weight"
LAYER, HEAD, ROW, COL = "Layer", "Head", "Row", "Column"
COMPONENT = "Component to write out"
COMPONENT_HELP = (
    "A vector has many components, each made in the same way. This one is written out in every step, counted from 0."
)
PAIR = "Key to write out"
PAIR_HELP = "The query is compared with every key. This comparison is written out; the strongest keys are offered."
ROUNDED = (
    "Read every line from left to right, as it is typed into a calculator. Numbers on the screen are rounded to about four digits; the "
    "model's own are longer."
)
EVERY = "All {count} numbers"
REST = "the other {count} together"
SUM = "sum"
BIAS = "learned bias b"
INDEX = "no."
SHORT_PATCH = "row {row}, col {col}"

STEP = "{number} · {name}"

# Pixels and the patch embedding
PIXELS = "The patch is pixels"
PIXELS_TEXT = (
    "{height} × {width} pixels × {channels} = **{count} numbers**. Each is brought to the range the model was trained on: divided by "
    "255, minus a mean, divided by a spread. The pixel in the upper left corner:"
)
PIXEL_COLUMNS = ("colour", "value, 0–255", "÷ 255 =", "− mean", "÷ spread", "= input")
CHANNELS, GREY = ("red", "green", "blue"), "grey"
COUNTED = {3: "3 colours", 1: "1 grey value"}
PATCH_ALT = "The patch in row {row}, column {col} in the photograph, and its pixels enlarged."
NO_PIXELS = (
    "The {query} has no pixels. It begins as **{width} learned numbers** that are the same for every image; only attention will bring the "
    "photograph into it."
)
EMBED = "Patch embedding"
EMBED_TEXT = (
    "A learned matrix of **{width} × {count}** numbers turns the {count} pixel values into {width}. Component {component} is the sum of "
    "{count} products, pixel × learned filter, plus a learned bias:"
)
EMBED_COLUMNS = ("colour, place", "pixel", "× filter", "= product")
EMBED_PIXEL = "{colour}, row {row}, col {col}"
EMBED_OTHER = "This model makes its patch vectors in more than one step; what comes out of them is the first column of the next table."

# Position
POSITION = "Plus position"
POSITION_TEXT = (
    "The vector of this place is **added**, component by component: {width} + {width} numbers give {width} numbers."
)
POSITION_COLUMNS = ("component", "patch", "+ position", "= sum")
POSITION_COLUMNS_PREFIX = ("component", "learned token", "+ position", "= sum")
POSITION_NORM = "= entering (normalised)"
NO_POSITION = "Nothing is added for the place here: {reason}"
NO_POSITION_ROTARY = "this model turns queries and keys by an angle that depends on the place, further down."
NO_POSITION_BIAS = "this model adds a bias for the distance of two patches to their score, further down."
NO_POSITION_NONE = "the token enters as it is."
SUM_NAMES = ("patch embedding", "position embedding")
SUM_NAMES_PREFIX = ("learned token", "position embedding")
SUM_RESULT = "sum"
SUM_ALT = "The two vectors as coloured strips, and their sum."

# Into the layer
ENTERS = "The token as it enters layer {layer}"
ENTERS_FIRST = "Layer 0 is the first: the token enters it as that sum, {width} numbers."
ENTERS_LATER = (
    "The {layers} layers before have **added** what they found: the token is still {width} numbers, of length {length:.2f} instead of "
    "{before:.2f}, and its cosine with what it was at the entrance is {cosine:.2f}."
)
ENTERS_COLUMNS = ("component", "at the entrance", "entering layer {layer}")
NORM = "Layer norm"
NORM_RMS = "RMS norm"
NORM_TEXT = (
    "The mean of the {width} numbers is **{mean}**, their spread **{deviation}**. Each number minus the mean, divided by the spread, "
    "times a learned gain, plus a learned shift:"
)
NORM_RMS_TEXT = "The root of the mean square of the {width} numbers is **{deviation}**. Each number divided by it, times a learned gain:"
NORM_COLUMNS = ("component", "token", "− mean", "÷ spread", "× gain", "+ shift", "= result")
NORM_RMS_COLUMNS = ("component", "before", "÷ root mean square", "× gain", "= result")
NO_NORM = "This model normalises after the attention, not before: the token goes in as it is."

# Query, key, value
PROJECT = "Query, key and value"
PROJECT_TEXT = (
    "Three learned matrices, $W_q$, $W_k$ and $W_v$, each **{d} × {width}** for this head. **They are learned and the same for every image; the "
    "weights below are computed afresh for every image.** Component {component} of the query q is row {component} of $W_q$ times the "
    "normalised token:"
)
PROJECT_COLUMNS = ("component", "token", "× W_q", "= product")
VECTOR_Q = "**q**, the query of the {token}: {d} numbers, the first {shown} of them {numbers} …"
VECTOR_K = "**k**, the key of the {token}: {d} numbers, the first {shown} of them {numbers} …"
VECTOR_V = "**v**, the value of the {token}: {d} numbers, the first {shown} of them {numbers} …"
VECTOR_O = "**o**, the output for the {token}: {d} numbers, the first {shown} of them {numbers} …"
VECTOR_ALT = "The {d} components of {name} as bars."
QK_NORM = "This model normalises q and k"
QK_NORM_TEXT = (
    "Before they meet, every query and key is normalised over its {d} numbers. For this query the mean is **{mean}** and the spread "
    "**{deviation}**:"
)
QK_NORM_COLUMNS = ("component", "q before", "− mean", "÷ spread", "× gain", "+ shift", "= q")
ROTATE = "This model turns q and k"
ROTATE_TEXT = (
    "Rotary position: pairs of components turn by an angle that depends on the patch's row and column, so that q·k comes to depend on "
    "the distance of two patches. A component times the cosine, plus its partner times the sine:"
)
ROTATE_COLUMNS = ("component", "q before", "× cos", "+ partner", "× sin", "= q turned")
ROTATE_NOT = "Patches are turned here by an angle that depends on their place. The {query} has no place, and its query stays as it is."
ROTATE_KEY = "The key of the {key} is turned by its own angle in the same way."
ROTATE_KEY_NOT = "The key of the {key} is not turned: it has no place."

# Scores
SCORES = "Scores: the query meets every key"
DOT_TEXT = "q · k is one number: component times component, {d} products, added up. Here with the {key}:"
DOT_COLUMNS = ("component", "q", "× k", "= product")
SCORES_TEXT = "The same with all {tokens} keys. Each dot product is divided by √{d} = {root}, so that scores do not grow with the dimension:"
SCORES_TEXT_FACTOR = "The same with all {tokens} keys. Each dot product is multiplied by the model's factor {factor}:"
SCORES_BIAS = "**This model adds a bias**: a learned number for the distance between the two patches, from a table, whatever they show."
SCORES_COLUMNS = ("key", "q · k", "÷ √{d} =", "+ bias", "= score")
SCORES_FACTOR = "× {factor} ="

# Softmax
SOFTMAX = "Softmax: scores become weights"
SOFTMAX_TEXT = (
    "The largest of all {tokens} scores is **{maximum}**. Subtract it, take e to that power, and divide by the sum over all {tokens} keys, "
    "**{total}**. The weights of a row sum to 1:"
)
SOFTMAX_COLUMNS = ("key", "score", "− largest =", "exp =", "÷ sum = weight")
OWN = "The largest difference between these {tokens} weights and the ones the model itself used is {off}."

# What if
WHAT_IF = "What if the scores were sharper, or flatter?"
WHAT_IF_TEXT = (
    "**A what-if, not the model.** The model's temperature is 1. Here its scores are divided by T before the softmax: a small T lets one key "
    "take all, a large T spreads the weight evenly. The steps below go on with the model's own weights."
)
TEMPERATURE = "What-if temperature T"
WHAT_IF_COLUMNS = ("key", "score ÷ {temperature} =", "weight at T = {temperature}", "the model's weight")
WHAT_IF_FACTS = "At T = {temperature} half of the weight lies on {half} of {tokens} keys; in the model on {own}."

# Output
OUTPUT = "The weighted sum of values"
OUTPUT_TEXT = "Every key hands over its value v ({d} numbers), as much of it as its weight says. Component {component} of the output, key by key:"
OUTPUT_COLUMNS = ("key", "weight", "× v[{component}]", "= share")
OUTPUT_NEXT = (
    "This head ends here. The outputs of all {heads} heads, {heads} × {d} = {together} numbers, are laid side by side and multiplied by the "
    "learned matrix $W_o$."
)
OUTPUT_SCALE = (
    "Then the model multiplies each of the {width} numbers by a learned factor of its own (LayerScale); the median of these factors is "
    "{median}, their sign left out."
)
OUTPUT_ADDED = "What this head adds to the token has the length **{added}**; the token itself has the length {length} as it enters the layer."
OUTPUT_OTHERWISE = "This model changes the outputs of its heads together before it adds them, so what one head adds has no length of its own."
OUTPUT_OWN = "The largest difference from what the model itself computed is {off}."

# Matrices
MATRICES = "The same for all tokens at once: matrices"
MATRICES_TEXT = {
    "scores": "Row by row the queries, column by column the keys: every pair's dot product is one entry. "
    "**Comparing everything with everything is one matrix multiplication.** The arrows mark the row and the column written out above.",
    "weights": "The softmax of every row of scores: row {query} is the row computed above. Each row sums to 1, columns need not.",
    "output": "Weights times values: every row of the output is a mixture of all rows of V. The arrow marks the row computed above.",
}
MATRIX = "Show"
MATRIX_OF = {"scores": "Q · Kᵀ", "weights": "softmax", "output": "weights · V"}
MATRIX_TOO_LARGE = "With {tokens} tokens the matrices have more rows than a screen has pixels. Choose a smaller input size to see them."


def short(name: str) -> str:
    """A token's name for a table."""
    cell = cell_of_name(name)
    return common.token(name) if cell is None else SHORT_PATCH.format(row=cell[0], col=cell[1])
