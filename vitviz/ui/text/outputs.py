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
UNCERTAIN = {
    CLASSES: computed("The picture may show none of this model's classes.", "vitviz.models.model.Model"),
    LABELS: computed("No label reaches 50%, so perhaps no label applies.", "vitviz.outputs.OutputKind"),
}
UNIT = definition("numbers of unknown unit")

# The prediction page
ANSWERS = definition(
    {
        CLASSES: "The model gives a probability to each of its classes.",
        LABELS: "The model gives each of its labels a separate probability: several labels may apply, or none.",
        NUMBERS: "The outputs of the model are plain numbers of unknown unit.",
        FEATURES: "The model has no classifier: its output is a vector of features, without class names.",
    }
)
TARGET = instruction({CLASSES: "Explain the class", LABELS: "Explain the label", NUMBERS: "Explain the output"})
TARGET_HELP = instruction(
    {
        CLASSES: "The predicted class or any other class of the model. What in the picture raises its logit?",
        LABELS: "The most probable label or any other label of the model. What in the picture raises its logit?",
        NUMBERS: "What in the picture makes this number larger?",
    }
)
AGAINST_HELP = instruction(
    {
        CLASSES: "Explain the difference between two classes: what raises the logit of the first above that of the second.",
        LABELS: "Explain the difference between two labels: what raises the logit of the first above that of the second.",
        NUMBERS: "Explain the difference between two outputs: what makes the first larger and not the second.",
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
        CLASSES: "Which class is read from each patch's token?",
        LABELS: "Which label is read from each patch's token?",
        NUMBERS: "Which value is read from each patch's token?",
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

# What if: what is measured of the target: a probability, a plain number, or a cosine similarity
SHARE_METRIC, NUMBER_METRIC, COSINE_METRIC = definition(
    (
        "Probability of {target}",
        "{target}, of unknown unit",
        "Cosine similarity of {target} before and after",
    )
)
SHARE_FALL = definition("fall in the probability of {target} without the head; blue: it rises")
NUMBER_FALL = definition("fall in {target} without the head; blue: it rises")
COSINE_FALL = definition("fall in cosine similarity without the head")
