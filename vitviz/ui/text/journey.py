"""The subject's own story: captions for the steps of the start page's figure, and the questions that people ask at the end.

Numbers are parameters, named with the function that computes them; a caption is true of the model and picture that it is shown
with (`sentences.true_of` with `ui.controls.captions.Facts`).
"""

from __future__ import annotations

from dataclasses import dataclass

from vitviz.ui.text.sentences import computed, definition, instruction, reference

_COST = "vitviz.analysis.patches.sequence_cost"
_MAP = "vitviz.analysis.attention.query_weights"
_LENS = "vitviz.analysis.prediction.logit_lens"


@dataclass(frozen=True)
class Caption:
    """One step of the story.

    Attributes:
        step: its name in links and tests.
        text: what is said beneath the figure; blanks in braces are filled with what `computed` names.
        page: the page that explains it in full.
        references: keys of `vitviz.references.PUBLICATIONS`.
    """

    step: str
    text: str
    page: str
    references: tuple[str, ...] = ()


CAPTIONS: tuple[Caption, ...] = (
    Caption(
        "translation",
        reference(
            "Transformers began in translation: every word of a sentence takes what it needs from the others.",
            "vaswani",
            "bahdanau",
        ),
        "by_hand",
        ("vaswani", "bahdanau"),
    ),
    Caption(
        "context",
        reference("What a word means depends on the words around it.", "peters", "ethayarajh")
        + definition("So does what a patch shows: put it into another picture, and its token becomes another one."),
        "compare",
        ("peters", "ethayarajh"),
    ),
    Caption(
        "cut",
        computed("Cut into {patches} patches, the photograph becomes a sequence.", _COST, when="cuts")
        + computed("The photograph becomes a sequence of {patches} patches.", _COST, when="!cuts")
        + computed(
            "These {patches} patches make {patch_pairs} pairs to compare; the {pixels} pixels would make {pixel_pairs}.",
            _COST,
        ),
        "patches",
        ("dosovitskiy",),
    ),
    Caption(
        "order",
        definition("A picture is no sequence: the order is imposed, row by row.")
        + definition("Attention does not use it: how far apart two tokens stand in the sequence means nothing to it."),
        "patches",
        ("vaswani",),
    ),
    Caption(
        "positions",
        definition("So a vector that stands for its place is added to each patch.", when="added")
        + definition("So queries and keys are turned by angles that depend on the place.", when="rotary")
        + definition("So each score gains a number for the step from query to key.", when="relative"),
        "positions",
        ("dosovitskiy", "roformer", "swin"),
    ),
    Caption(
        "attention",
        computed(
            "In layer {layer}, head {head}, {source} takes most from {strongest}: {weight:.0%} of its weight.", _MAP
        )
        + instruction(
            "Choose a wheel, the body or a window of a vehicle, and see what each takes from the others.",
            when="motorcycle",
        ),
        "microscope",
        ("vaswani",),
    ),
    Caption(
        "global",
        reference(
            "A convolution sees a small neighbourhood. Attention reaches every patch in one layer, for all patches at once.",
            "cordonnier",
            when="only global",
        )
        + definition("Attention reaches every patch of a window, or of a coarser grid, at once.", when="!only global"),
        "layers",
        ("cordonnier", "raghu"),
    ),
    Caption(
        "price",
        definition("The price: twice the patches make four times the pairs.", when="only global")
        + reference(
            "And with no built-in neighbourhood it needs more pictures, or training on other data first, to learn what is near.",
            "dosovitskiy",
            when="only global",
        ),
        "patches",
        ("dosovitskiy", "deit"),
    ),
    Caption(
        "answer",
        computed("Read after layer {layer}, it would say {label} ({probability:.0%}).", _LENS)
        + definition("Early readings may mean nothing: the classifier belongs to the last layer."),
        "prediction",
        ("nostalgebraist", "vilas"),
    ),
    Caption(
        "hide",
        instruction("Hide a part of the picture, and see whether the answer needs it."),
        "what_if",
        ("zeiler",),
    ),
    Caption(
        "uses",
        reference("The same tokens serve to find objects and to outline them.", "detr", "vitdet", "segmenter", "sam"),
        "layers",
        ("detr", "vitdet", "segmenter", "sam"),
    ),
)


@dataclass(frozen=True)
class ClosingQuestion:
    """A question that people ask at the end, its short answer, and the page that shows it. It is asked where some of its answer
    is true.
    """

    question: str
    answer: str
    page: str
    references: tuple[str, ...] = ()


QUESTIONS: tuple[ClosingQuestion, ...] = (
    ClosingQuestion(
        instruction("Why does it need positions?"),
        definition(
            "Attention gives the same whatever the order of the tokens. Without positions, left and right would be lost."
        ),
        "positions",
        ("vaswani", "dosovitskiy"),
    ),
    ClosingQuestion(
        instruction("What does attention do?"),
        definition("It lets each token take from the others, in shares that are computed afresh for each picture."),
        "by_hand",
        ("vaswani",),
    ),
    ClosingQuestion(
        instruction("What are its advantages over a CNN?"),
        reference(
            "Every layer can relate places that lie far apart, and what it relates depends on the picture.",
            "raghu",
            "cordonnier",
            when="only global",
        )
        + definition("What a layer relates depends on the picture.", when="!only global")
        + reference("On few pictures a CNN often learns better: it has the neighbourhood built in.", "dosovitskiy"),
        "microscope",
        ("raghu", "cordonnier", "dosovitskiy"),
    ),
    ClosingQuestion(
        instruction("What else is it used for?"),
        reference("To find objects, to outline them, and to match pictures with texts.", "vitdet", "segmenter", "clip"),
        "layers",
        ("detr", "vitdet", "segmenter", "sam", "clip"),
    ),
    ClosingQuestion(
        instruction("Why patches and not pixels?"),
        computed(
            "{pixels} pixels make {pixel_pairs} pairs to compare in each head; {patches} patches make {patch_pairs}.",
            _COST,
            when="only global",
        ),
        "patches",
        ("dosovitskiy",),
    ),
)
