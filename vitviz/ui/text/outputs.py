"""Words for what a model's outputs are: classes, labels, plain numbers, or features of a model without a classifier."""

from __future__ import annotations

from vitviz.outputs import OutputKind
from vitviz.ui.text.sentences import computed, definition, instruction

CLASSES, LABELS, NUMBERS, FEATURES = OutputKind

# The prediction bar
LIST = instruction({CLASSES: "{count} classes", LABELS: "{count} labels", NUMBERS: "{count} outputs"})
ONE = instruction({CLASSES: "1 class", LABELS: "1 label", NUMBERS: "1 output"})
COLUMN = instruction({CLASSES: "Class", LABELS: "Label", NUMBERS: "Output"})
FIND = instruction({CLASSES: "Find a class", LABELS: "Find a label", NUMBERS: "Find an output"})
GROUP, EVERY_GROUP = instruction(("Group", "All groups"))
DOUBTFUL = {
    CLASSES: computed("Perhaps none of the classes this model knows.", "vitviz.models.model.Model"),
    LABELS: computed("No label reaches 50%: perhaps none of them applies.", "vitviz.outputs.OutputKind"),
}
UNIT = definition("numbers of unknown unit")

# The prediction page
ANSWERS = definition(
    {
        CLASSES: "The model gives a probability to every class it knows.",
        LABELS: "The model gives every label it knows a probability of its own, so several may apply, or none.",
        NUMBERS: "The model answers with plain numbers, whose unit is not known here.",
        FEATURES: "The model has no classifier: it turns the picture into a vector and names nothing.",
    }
)
TARGET = instruction({CLASSES: "Explain the class", LABELS: "Explain the label", NUMBERS: "Explain the output"})
TARGET_HELP = instruction(
    {
        CLASSES: "The predicted class, or any other the model knows: what in the picture raises its logit?",
        LABELS: "The most probable label, or any other the model knows: what in the picture raises its logit?",
        NUMBERS: "What in the picture makes this number larger?",
    }
)
AGAINST_HELP = instruction(
    {
        CLASSES: "Explain the difference between two classes: what raises the logit of the one above that of the other.",
        LABELS: "Explain the difference between two labels: what raises the logit of the one above that of the other.",
        NUMBERS: "Explain the difference between two outputs: what makes the one larger and not the other.",
    }
)
PREDICTED = computed(
    {
        CLASSES: "{label} (predicted, {value})",
        LABELS: "{label} (most probable, {value})",
        NUMBERS: "{label} ({value})",
    },
    "vitviz.analysis.prediction.top_predictions",
)
PATCH_LENS = instruction(
    {
        CLASSES: "What does each patch's token read as?",
        LABELS: "What does each patch's token read as?",
        NUMBERS: "What does each patch's token give?",
    }
)
PATCH_LENS_ALT = definition(
    {
        CLASSES: "For every patch: the probability of {target} when this patch's token alone is read after layer {layer}.",
        LABELS: "For every patch: the probability of {target} when this patch's token alone is read after layer {layer}.",
        NUMBERS: "For every patch: the value of {target} when this patch's token alone is read after layer {layer}.",
    }
)
PATCH_LENS_LABEL = definition(
    {
        CLASSES: "probability of {target}, patch by patch",
        LABELS: "probability of {target}, patch by patch",
        NUMBERS: "{target}, patch by patch",
    }
)

# What if: of the target's likelihood, which is a probability, a plain number, or a cosine similarity
SHARE_METRIC, NUMBER_METRIC, COSINE_METRIC = definition(
    (
        "Probability of {target}",
        "{target}, of unknown unit",
        "Cosine similarity of {target} with before",
    )
)
SHARE_FALL = definition("fall in the probability of {target} without the head; blue: it rises")
NUMBER_FALL = definition("fall in {target} without the head; blue: it rises")
COSINE_FALL = definition("fall in cosine similarity without the head")
