"""Words of the model page."""

from __future__ import annotations

TITLE = "Model"
LINK = "About this model"
QUESTION = "Which model is this, and how good is it?"
LEAD = "{name}: {architecture}, {parameters:.1f} million parameters, {weights}."
WEIGHTS = {
    "embedded": "weights that come with vitviz",
    "pretrained": "pretrained weights from the model hub",
    "random": "random weights: it was never trained",
    "file": "weights from a file of this server",
}
FACTS = {
    "input": "Input",
    "tokens": "Tokens",
    "preprocessing": "Preprocessing",
    "outputs": "Outputs",
    "hash": "Weights (sha256)",
}
INPUT = "{height}x{width} pixels, {framing}"
TOKENS = "{rows}x{cols} patches of {height}x{width} pixels; before them: {prefix}"
NO_PREFIX = "nothing"
PREPROCESSING = "{interpolation}, mean {mean}, standard deviation {std}"
OUTPUTS = "{count} {nouns}"
NOT_MEASURED = (
    "vitviz has not measured this model. What it was trained on and how good it is stands in its makers' own card, under its name on the model "
    "hub."
)
CLASSES = "What it can answer"
CARD = "Model card"
