"""Words of the sidebar: choosing a picture and a model."""

from __future__ import annotations

PICTURE = "Picture"
SOURCE = "Where from"
SOURCES = {"gallery": "Samples", "upload": "Upload", "camera": "Camera"}
GALLERY = "Sample photograph"
UPLOAD = "Photograph"
_DEEP = (
    "Of values of more than 8 bits, 0 is shown black, and white is the full scale of the fewest bits (8, 10, 12, 14 or 16) that hold "
    "the largest value; negative, larger and float values are stretched from the smallest to the largest."
)
UPLOAD_HELP = (
    "JPEG, PNG, WebP, HEIC and others, up to 10 MB. It stays in this session and is never written to disk. " + _DEEP
)
CAMERA = "Take a picture"
OWN_PICTURE = "Your own picture stays in this session. A link to this view opens with a sample instead."
FRAMING = "Brought to size by"
FRAMINGS = {"crop": "cutting out the centre", "squash": "squashing the whole image", "fit": "fitting the whole image"}
FRAMING_HELP = (
    "Cutting out the centre is what most models were measured with. Squashing shows everything, bent to a square. "
    "Fitting "
    "keeps everything and its shape, where the model takes inputs that are not square."
)

MODEL = "Model"
MODEL_KINDS = {"embedded": "Embedded", "known": "Well-known", "any": "Any name in timm", "file": "From the server"}
MODEL_KIND = "Choose from"
KNOWN = "Well-known models"
ANY = "Name in timm"
SEARCH, SEARCH_EXAMPLE = "Search", "dinov2 reg"
ANY_HELP = (
    "Parts of a name, in any order. Weights come from the model hub the first time. A model of Hugging Face's transformers is asked "
    "for by its whole name on the hub after hf:, as in hf:facebook/dinov2-small, where that library is installed; a model that was "
    "saved with timm, after hf-hub:."
)
FILE = "Checkpoint"
NO_FILES = "There is no checkpoint in the server's folder."
FILES_LEFT_OUT = "Left out: {count} in the folder, because a link cannot hold the name: a name has letters, digits, spaces and . _ - + = @ ( )."
UNTRAINED = "Untrained (random)"
UNTRAINED_HELP = (
    "The same architecture before it has learned anything: whatever still shows does not come from training."
)
UNTRAINED_NOTE = "Untrained: these are random weights."
SIZE = "Input size"
SIZE_REFUSED = "{reason} It is shown at its own size."
SIZE_HELP = (
    "More pixels make more patches: finer maps, and a time that grows with the square of their number. The model's own size is the "
    "one it was trained or measured at. Before a run that takes long, its cost is said. With the whole image fitted, its shape is "
    "kept at about as many patches."
)
