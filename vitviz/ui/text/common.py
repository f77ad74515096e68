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
        title: in the navigation.
        question: the heading.
        lead: what the figure above it shows, in one line.
        try_this: what to do.
        notice: what will be seen, and why.
        catch: what it does not mean.
        formula: Markdown with LaTeX between dollars.
        references: keys of `vitviz.references.PUBLICATIONS`.
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

COUNTING = instruction("Working out what this would cost")
COST = computed(
    "Running {model} at {width} x {height} pixels means {tokens} tokens. The forward pass takes about **{run}**, each sweep over all "
    "attention weights after it about **{sweep}**, and {memory} of memory beside the model. This is an estimate from a short measurement "
    "on the server; you can stop at any time.",
    "vitviz.capture.cost.estimate",
)
GO_ON = instruction("Go on")
OWN_SIZE = instruction("The model's own size instead")
TOO_LARGE_TO_KEEP = computed(
    "The queries and keys of this run would take {kept}, more than the {limit} that the server keeps for one view. Choose a "
    "smaller input size, or run it from Python.",
    "vitviz.capture.cost.estimate",
)
COUNTING_WEIGHTS = instruction("Working out how large {model} is")
WEIGHTS_COST = computed(
    "{model} has {parameters} million weights: **{memory}** of memory on the server. To load them, or to draw them at random, may take "
    "minutes. You can stop at any time.",
    "vitviz.capture.cost.estimate",
)
SIGN_IN = instruction("Sign in")
DOWNLOAD_COST = computed(
    "The weights of {model} are not on this server: **{size}** would be downloaded from the model hub, which may take minutes. You can "
    "stop at any time.",
    "vitviz.models.load.download_bytes",
)
MODEL_OFF = instruction(
    "{model} is not among the models that this server loads. Choose one from the lists in the sidebar."
)
MODEL_TOO_LARGE = instruction(
    "The input of this model is larger than {side} pixels a side, which is the most on this server. Choose another model."
)
NO_DETECTOR = instruction("{model} names no detector: write hf: and the name of a DETR, a Conditional DETR or a YOLOS.")
SIZE_OFF = instruction("Inputs of more than {side} pixels a side are switched off on this server.")
EMBEDDED_MODEL = instruction("The embedded model instead")
EMBEDDED_CNN = instruction("The embedded network instead")
WORK_COST = computed(
    "{what}: about {passes} forward passes of {model} at {width} x {height} pixels, about **{run}** on this server. You can stop at "
    "any time.",
    "vitviz.capture.cost.estimate",
)


# Waiting
CANCEL = instruction("Stop this")
IN_QUEUE = instruction("{what}: waiting for {count} before it")
IN_TURN = instruction("{what}: waiting for {count} before it, done in about {time}")
TIME_LEFT = instruction("{what}: about {time} left")
CALLED_OFF = definition("You stopped this computation.")
ASK_AGAIN = instruction("Ask again")
LOADING_MODEL = instruction("Loading {model}")
READING_IMAGE = instruction("Reading the photograph")
RUNNING_MODEL = instruction("Running {model} on the photograph")
COMPUTING = instruction("Computing")

# Trouble
UNEXPECTED = definition(
    "Something went wrong here that should not have. Change a setting or choose another picture; the rest of the app "
    "goes on working."
)
NO_MEMORY = definition(
    "The server did not have enough memory for this. Choose a smaller input size or a smaller model, or try again in a minute."
)
RANDOM_INSTEAD = instruction("{model} with random weights")
BACK_TO_START = instruction("Back to the embedded model and the first sample")
PASSED_OVER = definition("The link asked for something that is not there ({names}); the rest of it is shown.")
NO_UPLOAD = definition(
    "The picture of this link is not here, so a sample is shown. A picture of one's own stays with the browser that sent it, for "
    "30 minutes after it was last shown. Upload yours in the sidebar."
)
SCALED = computed(
    "scaled down in the browser from {width} x {height} pixels",
    "vitviz.ui.server.uploads.Upload",
)
ENOUGH_PICTURES = definition("You have sent as much as this page takes within an hour. Try again later.")
NOT_ONE_GRID = definition(
    "{model} does not attend over one grid of patches in every layer. Look at its layers one by one, on the page that "
    "shows each on its own grid."
)
NO_SAMPLE = definition("There is no sample photograph of that name. Choose another in the sidebar.")

# Around every figure
SETTINGS = instruction("Settings")
HEAD_MEAN, HEAD_NAME = instruction(("mean of heads", "head {head}"))
DETAILS = instruction("Details")
TRY_THIS = instruction("Try this")
NOTICE = instruction("What to notice")
CATCH = instruction("The catch")
FORMULA = instruction("Formula and references")
QUESTIONS = instruction("Questions that people ask at the end")
GLOSSARY = instruction("Words on this page")
GLOSSARY_LINE = definition("- **{term}**: {meaning}")
DOWNLOAD_PNG = instruction("Download PNG")
COPY_PYTHON = instruction("Copy as Python")
SNIPPET_UPLOAD = instruction("photo.jpg")
SNIPPET_SECOND = instruction("second-photo.jpg")
SNIPPET_HELP = definition("Runs outside the app and makes the same figure.")

# The prediction bar
SEEN = instruction("What the model sees")
SEEN_ALT = definition("The photograph as the model sees it, {width} by {height} pixels.")
PREDICTION = instruction("Prediction")
SHOW_ANSWER = instruction("Show the answer")
HIDE_ANSWER = instruction("Hide the answer")
FIRST_ANSWER = definition("the first answer")
GUESS = instruction("Guess what the model answers, then ask for it.")
UNTRAINED = definition("untrained weights: no prediction to speak of")
NO_CLASSES = definition("This model has no classifier: it turns a picture into {count} numbers and names nothing.")
DOUBTFUL = outputs.DOUBTFUL[outputs.CLASSES]

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
WHOLE_PICTURE = definition("the model's summary of the picture")
DIFFERENCE = definition("{name}, not {other}")
POINTS = computed("{points:+.1f} points", "vitviz.analysis.interventions.application.effect")

# Pages that a model cannot fill
NO_SEQUENCE = definition(
    "This page follows the same tokens through all layers, and this model does not let it. {reason} {instead}"
)
NO_FORM_OF_ATTENTION = definition(
    "{reason} But it hands its attention over in a form that this page cannot follow; each of its layers can be looked at by "
    "itself."
)
LAYERS_LINK = instruction("Layer by layer")

# Patch features
FACET = instruction("Vectors")
FACETS = instruction({"key": "keys", "query": "queries", "value": "values", "token": "tokens"})
CUSTOMARY = instruction("{facet} (customary)")
FACET_HELP = definition(
    "Queries, keys and values are the vectors of all heads one behind the other; tokens are what the layer leaves. "
    "What is alike in one kind need not be in another."
)
LAYER, HEAD, ROW, COL = instruction(("Layer", "Head", "Row", "Column"))
DOWNLOAD_COCO = instruction("Download COCO JSON")

# Scales
SCALE = instruction("Colours")
SCALE_HELP = definition(
    "Robust colours end at the 99th percentile, so that a few very strong patches do not turn the rest black."
)
SCALE_ROBUST = instruction("robust")
SCALE_RAW = instruction("raw")

# Boards of small maps
ATTENTION_WEIGHT = definition("attention weight")
TILE_SCALES = instruction("Tile colours")
TILE_SCALE_OF = instruction({"own": "each its own", "shared": "one scale"})
TILE_SCALE_HELP = definition(
    "With its own scale every map uses all colours; with one scale, colours compare between heads."
)
OWN_CAPTION = definition("{label}, {scale}; each map has its own scale, so colours do not compare between maps")
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
        "reason_damaged": "what the server sent cannot be read",
        "again": "Fetch them again",
    }
)

# What pictures and boards say in the browser
PICTURE_WORDS = FETCH_WORDS | instruction(
    {
        "tokens": "Prefix tokens",
        "blend": "How much of the map lies over the picture",
        "blend_picture": "picture",
        "blend_map": "map",
        "loading": "loading …",
        "place": "row {row}, column {col}",
        "marked": "marked",
        "unmarked": "not marked",
        "marked_count": "{count} of {total} marked",
        "hint": "Point to read, click to choose.",
        "keys": "The arrow keys move the choice.",
        "hint_touch": "Tap a patch to choose and read it.",
        "board_hint_touch": "Tap a head to enlarge it.",
        "layers_hint_touch": "Tap a layer to choose it.",
        "board_hint": "Point at a head to read it, click to enlarge it. The arrow keys move the choice.",
        "board_place": "layer {layer}, head {head}",
        "board_head": "head {head}",
        "board_layer": "layer {layer}",
        "layers_hint": "Point at a layer to read it, click to choose it. The arrow keys move the choice.",
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


# The model with something switched in it, as several pages ask it
ASKING_CHANGED = instruction("Asking the changed model")
TAKING_MEANS = instruction("Taking every head's mean over the gallery")
IMPOSSIBLE = definition(
    "The model cannot run with all of this switched: at least one patch has to stay. Undo a part of it."
)
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
CODE_WANTED = instruction("a class code is asked for here")
CODE_WRONG = instruction("That is not the class code. Ask whoever gave you the address.")
CODE_TOO_OFTEN = instruction("There were too many wrong codes. Try again in ten minutes.")

# In a cell of a table where there is no number
NOTHING = instruction("–")
