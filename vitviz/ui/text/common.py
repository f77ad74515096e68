"""Words that appear on every page."""

from __future__ import annotations

from dataclasses import dataclass

from vitviz.tokens import Query, cell_of_name
from vitviz.ui.text import outputs
from vitviz.ui.text.sentences import computed, definition, instruction

NAME = instruction("vitviz")

# The words that every page has: its question, and what helps to look at its figure.


@dataclass(frozen=True)
class PageText:
    """What every page says. Each text is tagged; pieces of it may be true of some models only (`sentences.true_of`).

    Attributes:
        title: In the navigation.
        question: The heading.
        lead: What the figure above it shows, in one line.
        try_this: What to do.
        notice: What will be seen, and why.
        catch: What it does not mean.
        formula: Markdown with LaTeX between dollars.
        references: Keys of `vitviz.references.PUBLICATIONS`.
    """

    title: str
    question: str
    lead: str
    try_this: str
    notice: str
    catch: str
    formula: str
    references: tuple[str, ...] = ()

    @property
    def reading(self) -> tuple[str, ...]:
        """The texts around the figure, in the order in which they are read."""
        return self.lead, self.try_this, self.notice, self.catch


# Words before a run that takes long.

COUNTING = instruction("Estimating the cost of this run")
COST = computed(
    "At {width} x {height} pixels, {model} has {tokens} tokens. The forward pass takes about **{run}**. Each later pass over all "
    "attention weights takes about **{rollout}**. The run needs {memory} of memory beyond the model's own. These are estimates from a "
    "short measurement on the server. You can stop at any time.",
    "vitviz.capture.cost.estimate",
)
GO_ON = instruction("Go on")
OWN_SIZE = instruction("Use the model's own size")
TOO_LARGE_TO_KEEP = computed(
    "The queries and keys of this run would take {kept}, more than the {limit} that the server keeps for one view. Choose a "
    "smaller input size, or run it from Python.",
    "vitviz.capture.cost.estimate",
)
COUNTING_WEIGHTS = instruction("Estimating the size of {model}")
WEIGHTS_COST = computed(
    "{model} has {parameters} million weights: **{memory}** of memory on the server. Loading them, or drawing them at random, may take "
    "minutes. You can stop at any time.",
    "vitviz.capture.cost.estimate",
)
SIGN_IN = instruction("Sign in")
DOWNLOAD_COST = computed(
    "The weights of {model} are not on this server. The download of **{size}** from the model hub may take minutes. You can "
    "stop at any time.",
    "vitviz.models.load.download_bytes",
)
MODEL_OFF = instruction("This server does not load {model}. Choose a model from the lists in the sidebar.")
MODEL_TOO_LARGE = instruction(
    "The input of this model has more than {side} pixels a side, the limit of this server. Choose another model."
)
NO_DETECTOR = instruction(
    "{model} is not the name of a detector. Write hf: and the name of a DETR, a Conditional DETR or a YOLOS."
)
SIZE_OFF = instruction("This server takes inputs of at most {side} pixels a side.")
EMBEDDED_MODEL = instruction("Use the embedded model")
EMBEDDED_CNN = instruction("Use the embedded network")
WORK_COST = computed(
    "{what} takes about {passes} forward passes of {model} at {width} x {height} pixels, about **{run}** on this server. You can stop "
    "at any time.",
    "vitviz.capture.cost.estimate",
)


# Waiting
CANCEL = instruction("Stop this")
IN_QUEUE = instruction("{what}: {count} ahead in the queue")
IN_TURN = instruction("{what}: {count} ahead in the queue, done in about {time}")
TIME_LEFT = instruction("{what}: about {time} left")
CALLED_OFF = definition("You stopped this computation.")
ASK_AGAIN = instruction("Compute again")
LOADING_MODEL = instruction("Loading {model}")
READING_IMAGE = instruction("Reading the photograph")
RUNNING_MODEL = instruction("Running {model} on the photograph")
COMPUTING = instruction("Computing")

# Trouble
UNEXPECTED = definition(
    "An unexpected error occurred here. Change a setting or choose another picture. The rest of the app still works."
)
NO_MEMORY = definition(
    "The server does not have enough memory for this. Choose a smaller input size or a smaller model, or try again in a minute."
)
RANDOM_INSTEAD = instruction("{model} with random weights")
BACK_TO_START = instruction("Back to the embedded model and the first sample")
PASSED_OVER = definition("The link names something that does not exist ({names}). The rest of the link is shown.")
NO_UPLOAD = definition(
    "The picture of this link is not available, so a sample is shown. Only the browser that sent a picture can show it, for "
    "30 minutes after it was last shown. Upload yours in the sidebar."
)
SCALED = computed(
    "scaled down in the browser from {width} x {height} pixels",
    "vitviz.ui.server.uploads.Upload",
)
ENOUGH_PICTURES = definition("You have reached the upload limit for one hour. Try again later.")
NOT_ONE_GRID = definition(
    "The layers of {model} do not all attend over one grid of patches. Open Layer by layer: it shows each layer on its own grid."
)
NO_SAMPLE = definition("There is no sample photograph with this name. Choose another in the sidebar.")

# From page to page
PREVIOUS_PAGE = instruction("Back: {title}")
NEXT_PAGE = instruction("Next: {title}")
LIST_OF_PAGES = instruction("Pages")

# Around every figure
FRAMINGS = instruction({"crop": "centre crop", "squash": "squashing the whole image", "fit": "fitting the whole image"})
SETTINGS = instruction("Settings")
HEAD_MEAN, HEAD_NAME = instruction(("mean of heads", "head {head}"))
DETAILS = instruction("Details")
TRY_THIS = instruction("Try this")
NOTICE = instruction("What to notice")
CATCH = instruction("Limits")
FORMULA = instruction("Formula and references")
QUESTIONS = instruction("Common questions")
GLOSSARY = instruction("Terms on this page")
GLOSSARY_LINE = definition("- **{term}**: {meaning}")
DOWNLOAD_PNG = instruction("Download PNG")
COPY_PYTHON = instruction("Copy as Python")
SNIPPET_UPLOAD = instruction("photo.jpg")
SNIPPET_SECOND = instruction("second-photo.jpg")
SNIPPET_HELP = definition("This code makes the same figure outside the app.")

# The prediction bar
SEEN = instruction("What the model sees")
SEEN_ALT = definition("The photograph as the model sees it, {width} by {height} pixels.")
PREDICTION = instruction("Prediction")
SHOW_ANSWER = instruction("Show the answer")
HIDE_ANSWER = instruction("Hide the answer")
FIRST_ANSWER = definition("the first answer")
GUESS = instruction("Guess the model's answer, then show it.")
UNTRAINED = definition("random weights: the prediction means nothing")
NO_CLASSES = definition("This model has no classifier. Its output is a vector of {count} numbers.")
UNCERTAIN = outputs.UNCERTAIN[outputs.CLASSES]

# Tokens
TOKEN_CLS = definition("class token")
TOKEN_DIST = definition("distillation token")
TOKEN_REGISTER = definition("register {index}")
TOKEN_MEAN = definition("mean of patches")
TOKEN_POOL = definition("pooling query")
TOKEN_LEARNED = definition("further token {index}")
TOKEN_PATCH = definition("patch in row {row}, column {col}")
TOKEN_SHARE = definition("{token} ({share:.3g}%)")
TOKEN_AND = instruction(" and ")

# What is explained
WHOLE_PICTURE = definition("the model's output vector")
DIFFERENCE = definition("{name}, not {other}")
POINTS = computed("{points:+.1f} points", "vitviz.analysis.interventions.application.effect")

# Pages that a model cannot fill
NO_SEQUENCE = definition(
    "This page follows the same tokens through all layers, which is not possible for this model. {reason} {instead}"
)
NO_FORM_OF_ATTENTION = definition(
    "{reason} This page cannot follow the attention of this model from layer to layer. Each layer can be shown by itself."
)
LAYERS_LINK = instruction("Layer by layer")

# Patch features
FACET = instruction("Vectors")
FACETS = instruction({"key": "keys", "query": "queries", "value": "values", "token": "tokens"})
CUSTOMARY = instruction("{facet} (usual)")
FACET_HELP = definition(
    "Queries, keys and values are the concatenated vectors of all heads. Tokens are the output of the layer. "
    "Two patches may be similar in one kind of vector and not in another."
)
LAYER, HEAD, ROW, COL = instruction(("Layer", "Head", "Row", "Column"))
DOWNLOAD_COCO = instruction("Download COCO JSON")

# Scales
SCALE = instruction("Colours")
SCALE_HELP = definition(
    "Robust colours end at the 99th percentile, so that a few very large values do not make all other patches dark."
)
SCALE_ROBUST = instruction("robust")
SCALE_RAW = instruction("raw")

# Boards of small maps
ATTENTION_WEIGHT = definition("attention weight")
TILE_SCALES = instruction("Tile colours")
TILE_SCALE_OF = instruction({"own": "own scales", "shared": "one scale"})
TILE_SCALE_HELP = definition(
    "With its own scale, each map uses all colours. With one scale, colours can be compared between maps."
)
OWN_CAPTION = definition("{label}, {scale}; each map has a scale of its own")
OWN_ENDS = definition(("a map's smallest", "a map's largest"))
OWN_ENDS_ROBUST = definition(("a map's smallest", "its 99th percentile"))
SHARED_CAPTION = definition("{label} · {scale}")

# What every component says in the browser where something cannot be fetched; {blanks} are filled there
FETCH_WORDS = instruction(
    {
        "failed": "{what} could not be fetched: {reason}.",
        "missing_part": "This part of the page",
        "missing_picture": "The picture",
        "missing_numbers": "The numbers of this map",
        "reason_network": "the server does not answer",
        "reason_gone": "no longer on the server",
        "reason_server": "the server answers with the error {status}",
        "reason_damaged": "the data from the server cannot be read",
        "again": "Try again",
    }
)

# What pictures and boards say in the browser
PICTURE_WORDS = FETCH_WORDS | instruction(
    {
        "tokens": "Prefix tokens",
        "blend": "Opacity of the map",
        "blend_picture": "picture",
        "blend_map": "map",
        "loading": "loading …",
        "place": "row {row}, column {col}",
        "marked": "marked",
        "unmarked": "not marked",
        "marked_count": "{count} of {total} marked",
        "hint": "Point to read, click to choose.",
        "keys": instruction("The arrow keys move the selection.", when="keyboard"),
        "hint_touch": "Tap a patch to choose and read it.",
        "board_hint_touch": "Tap a head to enlarge it.",
        "layers_hint_touch": "Tap a layer to choose it.",
        "board_hint": "Point at a head to read it, click to enlarge it. The arrow keys move the selection.",
        "board_place": "layer {layer}, head {head}",
        "board_head": "head {head}",
        "board_layer": "layer {layer}",
        "layers_hint": "Point at a layer to read it, click to choose it. The arrow keys move the selection.",
        "most": "largest {value} at row {row}, column {col}",
    }
)

# What two networks side by side say in the browser
NETWORKS_WORDS = FETCH_WORDS | instruction(
    {
        "play": "Play",
        "pause": "Pause",
        "scrub": "Step",
        "missing_second": "The picture of the second network",
    }
)


# The changed model, on several pages
ASKING_CHANGED = instruction("Running the changed model")
TAKING_MEANS = instruction("Computing the mean of every head over the gallery")
IMPOSSIBLE = definition("The model cannot run with all these changes: at least one patch must stay. Undo one of them.")
HIDE_OBJECT = instruction("Hide the object")
HIDE_BACKGROUND = instruction("Hide the background")
HIDE_NOTHING = instruction("Hide nothing")


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


# The page that asks for a class's word
CODE_LABEL = instruction("Class code")
CODE_BUTTON = instruction("Open")
CODE_WANTED = instruction("a class code is required here")
CODE_WRONG = instruction("This is not the class code. Ask the person who gave you the address.")
CODE_TOO_OFTEN = instruction("There were too many wrong codes. Try again in ten minutes.")

# In a cell of a table where there is no number
NOTHING = instruction("–")
