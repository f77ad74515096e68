"""Words for what a model's outputs are: classes, labels, plain numbers, or features of a model without a classifier."""

from __future__ import annotations

from vitviz.outputs import OutputKind

CLASSES, LABELS, NUMBERS, FEATURES = OutputKind

# The prediction strip
LIST = {CLASSES: "{count} classes", LABELS: "{count} labels", NUMBERS: "{count} outputs"}
ONE = {CLASSES: "1 class", LABELS: "1 label", NUMBERS: "1 output"}
COLUMN = {CLASSES: "Class", LABELS: "Label", NUMBERS: "Output"}
FIND = {CLASSES: "Find a class", LABELS: "Find a label", NUMBERS: "Find an output"}
GROUP, EVERY_GROUP = "Group", "All groups"
DOUBTFUL = {
    CLASSES: "Perhaps none of the classes this model knows.",
    LABELS: "No label reaches 50%: perhaps none of them applies.",
}
UNIT = "numbers of unknown unit"

# The prediction page
ANSWERS = {
    CLASSES: "The model gives a probability to every class it knows.",
    LABELS: "The model gives every label it knows a probability of its own, so several may apply, or none.",
    NUMBERS: "The model answers with plain numbers, whose unit is not known here.",
    FEATURES: "The model has no classifier: it turns the picture into a vector and names nothing.",
}
TARGET = {CLASSES: "Explain the class", LABELS: "Explain the label", NUMBERS: "Explain the output"}
TARGET_HELP = {
    CLASSES: "The predicted class, or any other the model knows: what in the picture raises its score?",
    LABELS: "The likeliest label, or any other the model knows: what in the picture raises its score?",
    NUMBERS: "What in the picture makes this number larger?",
}
AGAINST_HELP = {
    CLASSES: "Explain the difference between two classes: what raises the score of the one above that of the other.",
    LABELS: "Explain the difference between two labels: what raises the score of the one above that of the other.",
    NUMBERS: "Explain the difference between two outputs: what makes the one larger and not the other.",
}
PREDICTED = {
    CLASSES: "{label} (predicted, {value})",
    LABELS: "{label} (likeliest, {value})",
    NUMBERS: "{label} ({value})",
}
FORMING_VALUE = {CLASSES: "Probability", LABELS: "Probability", NUMBERS: "Value"}
PATCH_LENS = {
    CLASSES: "What would each patch alone be called?",
    LABELS: "What would each patch alone be called?",
    NUMBERS: "What would each patch alone give?",
}
PATCH_LENS_ALT = {
    CLASSES: "For every patch: the probability of {target} when this patch's token alone is read after layer {layer}.",
    NUMBERS: "For every patch: the value of {target} when this patch's token alone is read after layer {layer}.",
}
PATCH_LENS_ALT[LABELS] = PATCH_LENS_ALT[CLASSES]
PATCH_LENS_LABEL = {
    CLASSES: "probability of {target}, patch by patch",
    LABELS: "probability of {target}, patch by patch",
    NUMBERS: "{target}, patch by patch",
}

# What if: of the target's likelihood, which is a probability, a plain number, or a cosine
SHARE_METRIC, NUMBER_METRIC, COSINE_METRIC = (
    "Probability of {target}",
    "{target}, of unknown unit",
    "Likeness of {target} to before",
)
SHARE_FALL = "fall in the probability of {target} without the head; blue: it rises"
NUMBER_FALL = "fall in {target} without the head; blue: it rises"
COSINE_FALL = "fall in likeness without the head"
