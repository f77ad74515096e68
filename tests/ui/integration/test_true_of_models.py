"""Pages opened with models of other kinds contain no sentence that is false of them.

What each model is stands here by hand, from its authors' papers, and not from the code that chooses the sentences.
"""

from __future__ import annotations

import re

import pytest

from tests.ui.integration.test_pages import journey_of
from vitviz.ui.pages.registry import pages
from vitviz.ui.text import common, journey

SWIN = {"windows", "shifted", "stages", "relative", "classes", "answers", "untrained", "cuts"}
SIGLIP = {"added", "pooling", "features", "untrained", "cuts", "one grid"}
ROTARY = {"rotary", "added", "class token", "features", "untrained", "cuts", "one grid"}
PVT = {"stages", "pooled", "classes", "answers", "untrained", "overlap"}
EMBEDDED = {"added", "class token", "classes", "answers", "trained", "cuts", "one grid", "motorcycle", "LayerScale"}

MODELS = {
    "swin_tiny_patch4_window7_224": (SWIN, ("patches", "positions", "layers")),
    "vit_base_patch16_siglip_224": (SIGLIP, ("patches", "positions", "layers", "microscope", "rollout", "prediction")),
    "eva02_tiny_patch14_224": (
        ROTARY,
        ("patches", "positions", "layers", "microscope", "rollout", "what_if", "features", "find"),
    ),
    "pvt_v2_b0": (PVT, ("patches", "positions", "layers")),
}

# What a sentence says -> what a model must be for it to be true.
PHRASES = {
    r"\bclass tokens?\b": {"class token"},
    r"\bregisters?\b": {"registers"},
    r"\bwindows?\b": {"windows"},
    r"\bshift(s|ed)?\b": {"shifted"},
    r"from stage to stage|last stage|between stages|later stages": {"stages"},
    r"grid of the keys differs|keys on a coarser grid": {"pooled"},
    r"rotates queries|keys are rotated|is rotated by|the rotation (depends|changes)": {"rotary"},
    r"vector is added to each patch|position embedding\b": {"added"},
    r"bias for the displacement|the bias depends only": {"relative"},
    r"in every layer (of this model|before the pooling), each patch attends to all": {"one grid"},
    r"cuts the picture": {"cuts"},
    r"one vector for each patch of this grid|its neighbours' pixels": {"overlap"},
    r"\bthis class\b|another class|predicted class|every class": {"classes"},
    r"no classifier|output vector": {"features"},
    r"the answer (changes|stays|forms|is the same)|(its|their|this) answer\b": {"answers"},
    r"was not trained|are random|random weights": {"untrained"},
    r"trained on many|in trained|of trained|what the model has learned": {"trained"},
    r"\bwheel": {"motorcycle"},
    r"its own factor \(LayerScale\)": {"LayerScale"},
}
# Where a control or a general rule names a thing without saying that this model has it.
GENERAL = re.compile(r"sine-cosine|where the model has|Resized by|Prefix tokens")


def said(shown) -> list[str]:
    """Sentences of the page, details included, without definitions on hover, the glossary, formulas and references."""
    general = (common.GLOSSARY, common.FORMULA, common.QUESTIONS)
    expanders = [each for each in shown.at.main.get("expander") if each.label in general]
    inside = {id(child) for expander in expanders for child in _all(expander)}
    elements = [
        element
        for kind in ("header", "subheader", "markdown", "caption", "info")
        for element in shown.at.main.get(kind)
    ]
    texts = [re.sub(r"<[^>]*>", "", str(each.value)) for each in elements if id(each) not in inside]
    return [sentence for text in texts for sentence in re.split(r"(?<=[.?!])\s+", text)]


def _all(block):
    for child in block.children.values():
        yield child
        if hasattr(child, "children"):
            yield from _all(child)


def false_of(facts: set[str], sentences: list[str]) -> list[tuple[str, str]]:
    return [
        (phrase, sentence)
        for sentence in sentences
        if not GENERAL.search(sentence)
        for phrase, needed in PHRASES.items()
        if re.search(phrase, sentence, re.IGNORECASE) and not needed <= facts
    ]


SHORT = {"eva02_tiny_patch14_224", "pvt_v2_b0"}


@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=() if name in SHORT else pytest.mark.long) for name in MODELS]
)
def test_no_page_says_what_is_false_of_the_model(app, model):
    facts, opened = MODELS[model]
    shown = app(opened[0], model=model, weights="random", image="coffee")
    for page in opened:
        shown.go(page)
        shown.at.run()
        assert not shown.wrong
        sentences = said(shown)
        assert len(sentences) > 5
        assert false_of(facts, sentences) == [], page
        assert common.CATCH in " ".join(sentences)


def test_every_phrase_is_said_of_a_model_of_its_kind(app):
    """A phrase that no page says any longer would make the test above pass for nothing."""
    texts = "\n".join(text for page in pages() for text in _texts(page.name))
    assert [phrase for phrase in PHRASES if not re.search(phrase, texts, re.IGNORECASE)] == []


def _texts(page: str) -> list[str]:
    from importlib import import_module

    from vitviz.ui.text.sentences import texts_in

    module = import_module(f"vitviz.ui.pages.{page}.text")
    return [text for key, value in vars(module).items() if not key.startswith("_") for _, text in texts_in(value)]


def test_the_embedded_model_is_told_what_it_has(app):
    shown = app("microscope")
    sentences = said(shown)
    assert false_of(EMBEDDED, sentences) == []
    for phrase in (r"\bclass token", r"\bwheel", "trained on many"):
        assert any(re.search(phrase, sentence) for sentence in sentences)


def test_the_start_page_answers_the_questions_with_numbers_of_this_picture(app):
    text = app("start").text
    for each in journey.QUESTIONS:
        assert each.question in text
    assert "50,176 pixels make 2,517,630,976 pairs" in text and "256 patches make 65,536" in text


@pytest.mark.parametrize("model", ["swin_tiny_patch4_window7_224", "pvt_v2_b0"])
def test_the_start_page_answers_only_what_is_true_of_this_model(app, model):
    shown = app("start", model=model, weights="random", image="coffee")
    assert not shown.wrong
    for false in ("Every layer can combine", "pairs to compare in each head", "Why patches and not pixels?"):
        assert false not in shown.text
    assert "The attention weights of a layer depend on the picture." in shown.text
    assert "built-in neighbourhood" not in str(journey_of(shown)["story"])
    assert f"load_model('{model}'" in shown.at.code[0].value and "rollout" not in shown.at.code[0].value
    caption = journey_of(shown)["captions"]["patches"]
    assert caption.startswith(
        "The photograph is cut into" if "cuts" in MODELS[model][0] else "The photograph becomes a sequence"
    )


def test_a_false_sentence_is_noticed():
    assert false_of(SWIN, ["Then pin the class token."]) == [(r"\bclass tokens?\b", "Then pin the class token.")]
    assert false_of(ROTARY, ["Keys outside the window are not compared."]) != []
