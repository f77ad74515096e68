"""Words around the pages: the sidebar, the ways from page to page, the presenter's view."""

from __future__ import annotations

from vitviz.ui.text.sentences import definition, instruction

STARTING = definition("The server has just started. The model is being read.")
NOT_STARTED = definition("The server could not start. Its log says why.")

PICTURE = instruction("Picture")
SOURCE = instruction("Where from")
SOURCES = instruction({"gallery": "Samples", "upload": "Upload", "camera": "Camera"})
GALLERY = instruction("Sample photograph")
UPLOAD = instruction("Photograph")
UPLOAD_HELP = definition(
    "JPEG, PNG, WebP, HEIC and others. Above 10 MB your browser scales it down first, where it can read it. It is never written to disk."
) + definition(
    "Of values of more than 8 bits, 0 is shown black. White is the full scale of the fewest bits (8, 10, 12, 14 or 16) that hold the "
    "largest value. Negative, larger and float values are stretched from the smallest to the largest."
)
CAMERA = instruction("Take a picture")
OWN_PICTURE = definition(
    "Your picture is shown in this browser alone. The server deletes it 30 minutes after it was last shown, or now. A link to this view "
    "opens with a sample for others."
)
FORGET = instruction("Delete my pictures")
TOO_LARGE = instruction(
    "This picture is over 10 MB, and your browser cannot scale it down. Choose a JPEG, PNG or WebP file."
)
FRAMING = instruction("Brought to size by")
FRAMINGS = instruction({"crop": "centre crop", "squash": "squashing the whole image", "fit": "fitting the whole image"})
FRAMING_HELP = definition(
    "A centre crop scales the shorter side and keeps the middle. Squashing shows everything, bent to a square. Fitting "
    "keeps everything and its shape, where the model takes inputs that are not square."
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
    "Parts of a name, in any order. Weights come from the model hub the first time. For a model of Hugging Face's transformers, where "
    "that library is installed, write hf: and its whole name, as in hf:facebook/dinov2-small. For one that was saved with timm, write "
    "hf-hub: and its name."
)
FILE = instruction("Checkpoint")
FILES_LEFT_OUT = definition(
    "Left out: {count} in the folder, because a link cannot hold the name: a name has letters, digits, spaces and . _ - + = @ ( )."
)
UNTRAINED = instruction("Untrained (random)")
UNTRAINED_HELP = definition(
    "The same architecture with random weights, before it has learned anything: whatever still shows needs no training."
)
UNTRAINED_NOTE = definition("These weights are random.")
SIZE = instruction("Input size")
SIZE_REFUSED = definition("{reason} It is shown at its own size.")
SIZE_HELP = definition(
    "More pixels make more patches and finer maps. Where every patch attends to all, the number of weights grows with the square of the "
    "number of patches. The rest of the model grows in proportion, and the time lies in between. Before a run that takes long, "
    "its cost is said. With the whole image fitted, its shape is kept at about as many patches."
)

# From page to page
BACK = instruction("Back: {title}")
NEXT = instruction("Next: {title}")
PAGES = instruction("Pages")

# The presenter's view
PRESENT = instruction("Present")
PRESENT_HELP = instruction(
    "The figure alone, in large type. Left and right, or up and down on a remote control, go through a figure's steps and from page to page."
)
LEAVE_PRESENTER = instruction("Leave")
