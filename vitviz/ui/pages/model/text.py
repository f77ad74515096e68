"""Words of the model page."""

from __future__ import annotations

from vitviz.ui.text.sentences import computed, definition, instruction

TITLE = instruction("Model")
LINK = instruction("About this model")
QUESTION = instruction("Which model is this, and how good is it?")
LEAD = computed("{name}: {architecture}, {parameters:.1f} million parameters, {weights}.", "vitviz.models.model.Model")
WEIGHTS = definition(
    {
        "embedded": "weights that come with vitviz",
        "pretrained": "pretrained weights from the model hub",
        "random": "random weights, never trained",
        "file": "weights from a file of this server",
    }
)
FACTS = instruction(
    {
        "input": "Input",
        "tokens": "Tokens",
        "preprocessing": "Preprocessing",
        "outputs": "Outputs",
        "hash": "Weights (sha256)",
    }
)
INPUT = computed("{height} × {width} pixels, {framing}", "vitviz.models.model.Model")
TOKENS = computed(
    "{rows} × {cols} patches of {height} × {width} pixels; before them: {prefix}", "vitviz.tokens.TokenLayout"
)
NO_PREFIX = definition("nothing")
PREPROCESSING = computed("{interpolation}, mean {mean}, standard deviation {std}", "vitviz.models.model.Model")
OUTPUTS = computed("{count} {nouns}", "vitviz.models.model.Model")
ACCURACY = definition(("Accuracy on", "Photographs", "Top-1, %", "Top-5, %"))
SETS = definition(
    {
        "everyday": "everyday photographs, kept out of the training",
        "caltech101-heldout": "Caltech-101, kept out of the training",
    }
)
NOT_MEASURED = definition(
    "vitviz has not measured this model. For a model of the model hub, its model card there describes training data and accuracy."
)
CLASSES = instruction("All outputs")
CARD = instruction("Model card")
