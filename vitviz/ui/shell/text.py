"""Words around the pages: the sidebar, the start, the presenter's view."""

from __future__ import annotations

from vitviz.ui.text.sentences import definition, instruction

STARTING = definition("The server has just started and is loading the model.")
NOT_STARTED = definition("The server could not start. Its log says why.")

PICTURE = instruction("Picture")
SOURCE = instruction("Where from")
SOURCES = instruction({"gallery": "Samples", "upload": "Upload", "camera": "Camera"})
GALLERY = instruction("Sample photograph")
UPLOAD = instruction("Photograph")
UPLOAD_HELP = definition(
    "JPEG, PNG, WebP, HEIC and others. Your browser scales a file of more than 10 MB down first, if it can read it. The server never "
    "writes it to disk."
) + definition(
    "In files of more than 8 bits, 0 is shown black. White is the full scale of the fewest bits (8, 10, 12, 14 or 16) that hold the "
    "largest value. Negative, larger and float values are stretched from the smallest to the largest."
)
CAMERA = instruction("Take a picture")
OWN_PICTURE = definition(
    "Your picture is shown only in this browser. The server deletes it 30 minutes after it was last shown. The button below deletes it "
    "now. For others, a link to this view shows a sample."
)
FORGET = instruction("Delete my pictures")
TOO_LARGE = instruction(
    "This picture is over 10 MB, and your browser cannot scale it down. Choose a JPEG, PNG or WebP file."
)
FRAMING = instruction("Resized by")
FRAMING_HELP = definition(
    "A centre crop scales the shorter side and keeps the middle. Squashing stretches the whole image to the shape of the input. Fitting "
    "keeps the whole image and its shape, where the model takes inputs that are not square."
)

MODEL = instruction("Model")
MODEL_KINDS = instruction(
    {"embedded": "Embedded", "known": "Well-known", "any": "Any name in timm", "file": "From the server"}
)
MODEL_KIND = instruction("Choose from")
KNOWN = instruction("Well-known models")
ANY = instruction("Name in timm")
SEARCH, SEARCH_EXAMPLE = instruction(("Search", "dinov2 reg"))
ANY_HELP = instruction(
    "Type parts of a name, in any order. The first use of a model downloads its weights from the model hub. For a model of Hugging "
    "Face's transformers, where that library is installed, write hf: and its whole name, as in hf:facebook/dinov2-small. For a model "
    "that was saved with timm, write hf-hub: and its name."
)
FILE = instruction("Checkpoint")
FILES_LEFT_OUT = definition(
    "Files not listed because of their names: {count}. A name may have only letters, digits, spaces and . _ - + = @ ( )."
)
UNTRAINED = instruction("Untrained (random)")
UNTRAINED_HELP = definition(
    "The same architecture with random weights. Patterns that remain do not come from training."
)
UNTRAINED_NOTE = definition("These weights are random.")
SIZE = instruction("Input size")
SIZE_REFUSED = definition("{reason} The model is shown at its own input size.")
SIZE_HELP = definition(
    "More pixels make more patches and finer maps. Where every patch attends to all patches, the number of attention weights grows with "
    "the square of the number of patches. The other computations grow in proportion to that number. The app shows the cost before a long "
    "run. With the whole image fitted, the number of patches stays about the same."
)

# The presenter's view
PRESENT = instruction("Present")
PRESENT_HELP = instruction(
    "Shows only the figure, in large type. Left and right, or up and down on a remote control, change the step and then the page."
)
LEAVE_PRESENTER = instruction("Leave")
