"""Captions for the steps of the start page's figure, and common questions with their answers.

Numbers are parameters, named with the function that computes them; a caption is true of the model and picture that it is shown
with (`sentences.true_of` with `ui.controls.captions.Facts`).
"""

from __future__ import annotations

from dataclasses import dataclass

from vitviz.ui.text.sentences import computed, definition, instruction, reference

_COST = "vitviz.analysis.patches.sequence_cost"


@dataclass(frozen=True)
class Caption:
    """One step of the story.

    Attributes:
        step: Its name in links and tests.
        text: What is said beneath the figure; blanks in braces are filled with what `computed` names.
        page: The page that explains it in full.
        references: Keys of `vitviz.references.PUBLICATIONS`.
    """

    step: str
    text: str
    page: str
    references: tuple[str, ...] = ()


CAPTIONS: tuple[Caption, ...] = (
    Caption(
        "translation",
        reference(
            "Transformers were first used for translation: each word of a sentence takes information from the other words.",
            "vaswani",
            "bahdanau",
        ),
        "by_hand",
        ("vaswani", "bahdanau"),
    ),
    Caption(
        "context",
        reference("The meaning of a word depends on the words around it.", "peters", "ethayarajh")
        + definition(
            "In the same way, the token of a patch depends on other patches: in another picture, it becomes another vector."
        ),
        "compare",
        ("peters", "ethayarajh"),
    ),
    Caption(
        "cut",
        computed("The photograph is cut into {patches} patches, which form a sequence.", _COST, when="cuts")
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
        definition("A picture is not a sequence: the order, row by row, is imposed.")
        + definition("Attention does not use this order: the distance of two tokens in the sequence changes nothing."),
        "patches",
        ("vaswani",),
    ),
    Caption(
        "positions",
        definition("Therefore a position embedding is added to each patch.", when="added")
        + definition(
            "Therefore queries and keys are rotated by angles that depend on the place of the patch.", when="rotary"
        )
        + definition(
            "Therefore a bias for the displacement from query to key is added to each score.", when="relative"
        ),
        "positions",
        ("dosovitskiy", "roformer", "swin"),
    ),
    Caption(
        "global",
        reference(
            "A convolution combines a small neighbourhood. Attention combines all patches in one layer.",
            "cordonnier",
            when="only global",
        )
        + definition(
            "A layer of attention combines all the tokens that it compares with the query.", when="!only global"
        ),
        "layers",
        ("cordonnier", "raghu"),
    ),
    Caption(
        "parts",
        instruction(
            "Choose a wheel, the body or a window of a vehicle, and see what each takes from the others.",
            when="motorcycle",
        ),
        "microscope",
        ("vaswani",),
    ),
    Caption(
        "price",
        definition("The cost: twice the patches make four times the pairs.", when="only global")
        + reference(
            "A Vision Transformer has no built-in neighbourhood, so it usually needs more training pictures than a convolutional network.",
            "dosovitskiy",
            when="only global",
        ),
        "patches",
        ("dosovitskiy", "deit"),
    ),
    Caption(
        "uses",
        reference(
            "The same tokens are used to detect objects and to outline them.", "detr", "vitdet", "segmenter", "sam"
        ),
        "find",
        ("detr", "vitdet", "segmenter", "sam"),
    ),
)


@dataclass(frozen=True)
class ClosingQuestion:
    """A common question, its short answer, and the page that shows it. It is asked where some of its answer
    is true.
    """

    question: str
    answer: str
    page: str
    references: tuple[str, ...] = ()


QUESTIONS: tuple[ClosingQuestion, ...] = (
    ClosingQuestion(
        instruction("Why does a transformer need positions?"),
        definition(
            "The result of attention does not depend on the order of the tokens. Without positions, left and right would be lost."
        ),
        "positions",
        ("vaswani", "dosovitskiy"),
    ),
    ClosingQuestion(
        instruction("What does attention do?"),
        definition(
            "For each token it computes a weighted sum of the values of other tokens. The weights are computed anew for each picture."
        ),
        "by_hand",
        ("vaswani",),
    ),
    ClosingQuestion(
        instruction("What are the advantages over a CNN?"),
        reference(
            "Every layer can combine distant places, and its attention weights depend on the picture.",
            "raghu",
            "cordonnier",
            when="only global",
        )
        + definition("The attention weights of a layer depend on the picture.", when="!only global")
        + reference(
            "With few training pictures a CNN often learns better, because it has a built-in neighbourhood.",
            "dosovitskiy",
        ),
        "vit_or_cnn",
        ("raghu", "cordonnier", "dosovitskiy"),
    ),
    ClosingQuestion(
        instruction("What else are Vision Transformers used for?"),
        reference("They detect objects, outline them, and match pictures with texts.", "vitdet", "segmenter", "clip"),
        "find",
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
