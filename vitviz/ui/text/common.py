"""Words that appear on every page."""

from __future__ import annotations

from dataclasses import dataclass

from vitviz.tokens import Query, cell_of_name
from vitviz.ui.text import outputs

NAME = "vitviz"

# The words that every page has: its question, and what helps to look at its figure.


@dataclass(frozen=True)
class PageText:
    """title       in the navigation
    question    the heading
    lead        at most three sentences
    try_this, notice, catch   what to do, what to look for, and when the picture misleads
    formula     Markdown with LaTeX between dollars
    references  Markdown, one work each
    """

    title: str
    question: str
    lead: str
    try_this: str
    notice: str
    catch: str
    formula: str
    references: tuple[str, ...] = ()


# Words before a run that takes long.

COUNTING = "Working out what this would cost"
COST = (
    "Running {model} at {width} x {height} pixels means {tokens} tokens, and each of them asks all others: about **{run}** for the "
    "forward pass, about **{sweep}** for each rollout after it, and {memory} of memory beside the model. This is an estimate from a "
    "short measurement on the server; you can stop at any time."
)
GO_ON = "Go on"
OWN_SIZE = "The model's own size instead"
TOO_LARGE_TO_KEEP = (
    "The queries and keys of this run would take {kept}, more than the {room} that the server keeps between clicks. Choose a "
    "smaller input size, or run it from Python."
)
COUNTING_WEIGHTS = "Working out how large {model} is"
WEIGHTS_COST = (
    "{model} has {parameters} million weights: **{memory}** of memory on the server. To load them, or to draw them at random, may take "
    "minutes. You can stop at any time."
)
EMBEDDED_MODEL = "The embedded model instead"
WORK_COST = (
    "{what}: about {passes} forward passes of {model} at {width} x {height} pixels, about **{run}** on this server. You can stop at "
    "any time."
)


# Waiting
CANCEL = "Stop this"
IN_QUEUE = "{what}: waiting for {count} before it"
CALLED_OFF = "You stopped this computation."
ASK_AGAIN = "Ask again"
LOADING_MODEL = "Loading {model}"
READING_IMAGE = "Reading the photograph"
RUNNING_MODEL = "Running {model} on the photograph"
COMPUTING = "Computing"

# Trouble
UNEXPECTED = (
    "Something went wrong here that should not have. Change a setting or choose another picture; the rest of the app "
    "goes on working."
)
BACK_TO_START = "Back to the embedded model and the first sample"
PASSED_OVER = "The link asked for something that is not there ({names}); the rest of it is shown."
NO_UPLOAD = (
    "The picture of this link was somebody's own and stayed with them, so a sample is shown. Upload your own in the "
    "sidebar."
)
NOT_ONE_GRID = (
    "{model} does not attend over one grid of patches in every layer. Look at its layers one by one, on the page that "
    "shows each on its own grid."
)
NO_SAMPLE = "There is no sample photograph of that name. Choose another in the sidebar."

# Around every figure
TRY_THIS = "Try this"
NOTICE = "What to notice"
CATCH = "The catch"
FORMULA = "Formula and references"
DOWNLOAD_PNG = "Download PNG"
COPY_PYTHON = "Copy as Python"
SNIPPET_UPLOAD = "photo.jpg"
SNIPPET_HELP = "Runs outside the app and makes the same figure."

# The prediction strip
SEEN = "What the model sees"
SEEN_ALT = "The photograph as the model sees it, {width} by {height} pixels."
PREDICTION = "Prediction"
UNTRAINED = "untrained weights: no prediction to speak of"
NO_CLASSES = "This model has no classifier: it turns a picture into {count} numbers and names nothing."
DOUBTFUL = outputs.DOUBTFUL[outputs.CLASSES]

# Tokens
TOKEN_CLS = "class token"
TOKEN_DIST = "distillation token"
TOKEN_REGISTER = "register {index}"
TOKEN_MEAN = "mean of patches"
TOKEN_POOL = "pooling query"
TOKEN_LEARNED = "learned token {index}"
TOKEN_PATCH = "patch in row {row}, column {col}"
TOKEN_SHARE = "{token} ({share:.3g}%)"
TOKEN_AND = " and "

# What is explained
WHOLE_PICTURE = "the model's summary of the picture"
DIFFERENCE = "{name}, not {other}"
POINTS = "{points:+.1f} points"

# Pages that a model cannot fill
ELSEWHERE = "This page follows the same tokens through all layers, and this model does not let it. {reason} {instead}"
ELSEWHERE_FORM = (
    "{reason} But it hands its attention over in a form that this page cannot follow; each of its layers can be looked at by "
    "itself."
)
ELSEWHERE_LINK = "Layer by layer"

# Scales
SCALE = "Colours"
SCALE_HELP = "Robust colours end at the 99th percentile, so that a few very strong patches do not turn the rest black."
SCALE_ROBUST = "robust"
SCALE_RAW = "raw"

# Boards of small maps
ATTENTION_WEIGHT = "attention weight"
TILE_SCALES = "Tile colours"
TILE_SCALE_OF = {"own": "each its own", "shared": "one scale"}
TILE_SCALE_HELP = "With its own scale every head looks equally sure; with one scale colours compare between heads."
OWN_CAPTION = "{label}, {scale}; each map has its own scale, so colours do not compare between maps"
OWN_ENDS = ("a map's smallest", "a map's largest")
OWN_ENDS_ROBUST = ("a map's smallest", "its 99th percentile")
SHARED_CAPTION = "{label} · {scale}"

# What every component says in the browser where something cannot be fetched; {blanks} are filled there
TROUBLE = {
    "failed": "{what} could not be fetched: {reason}.",
    "missing_part": "This part of the page",
    "missing_picture": "The picture",
    "missing_numbers": "The numbers of this map",
    "reason_network": "the server does not answer",
    "reason_gone": "no longer on the server",
    "reason_server": "the server answers with the error {status}",
    "reason_damaged": "what the server sent cannot be read",
    "again": "Fetch them again",
}

# What the exhibits say in the browser
EXHIBIT = TROUBLE | {
    "tokens": "Tokens that are not patches",
    "blend": "How much of the map lies over the picture",
    "loading": "on its way …",
    "place": "row {row}, column {col}",
    "hint": "Point at a patch to read it, click to choose it. The arrow keys move the choice.",
    "board_hint": "Point at a head to read it, click to enlarge it. The arrow keys move the choice.",
    "board_place": "layer {layer}, head {head}",
    "board_head": "head {head}",
    "most": "largest {value} at row {row}, column {col}",
}


def token(name: str) -> str:
    """A query in words: a token's name, or the parts of a mixture with their shares."""
    shares = Query.parse(name).shares
    if len(shares) > 1:
        parts = [TOKEN_SHARE.format(token=_part(part), share=100 * share) for part, share in shares]
        return TOKEN_AND.join([", ".join(parts[:-1]), parts[-1]])
    return _part(name)


def _part(name: str) -> str:
    fixed = {"cls": TOKEN_CLS, "dist": TOKEN_DIST, "mean": TOKEN_MEAN, "pool": TOKEN_POOL}
    if name in fixed:
        return fixed[name]
    if name.startswith("reg"):
        return TOKEN_REGISTER.format(index=name[3:])
    if name.startswith("pool"):
        return TOKEN_POOL
    if name.startswith("token"):
        return TOKEN_LEARNED.format(index=name[5:])
    row, col = cell_of_name(name) or ("", "")
    return TOKEN_PATCH.format(row=row, col=col)
