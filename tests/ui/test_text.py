"""What users read: nothing is spelled out in page code, every text says what it rests on, and it can be read aloud."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from streamlit.delta_generator import DeltaGenerator

from vitviz.glossary import GLOSSARY, marked, terms_in
from vitviz.references import PUBLICATIONS
from vitviz.ui.controls.captions import FACTS
from vitviz.ui.pages.compare.maps import agreement_words
from vitviz.ui.pages.registry import pages
from vitviz.ui.shell import main as frame
from vitviz.ui.text import journey
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import (
    COMPUTED,
    KINDS,
    REFERENCE,
    Text,
    computed,
    definition,
    instruction,
    reference,
    texts_in,
    true_of,
)

UI = Path(frame.__file__).parent.parent
CODE = sorted(path for path in UI.rglob("*.py") if path.stem not in ("text", "__init__") and path.parent.name != "text")


READ_BY_PEOPLE = {"label", "help", "placeholder", "text", "caption", "alt"}
# Streamlit's elements are methods of every place on a page, whatever a page calls the place.
ELEMENTS = {name for name in dir(DeltaGenerator) if not name.startswith("_")}


def spoken(path: Path) -> list[str]:
    """String literals of several words that are handed to an element of Streamlit, beyond keys and styles."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    loggers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("logging.getLogger(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in ELEMENTS:
            continue
        if ast.unparse(call.func.value) in loggers:
            continue
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in READ_BY_PEOPLE)]
        literals = [part.value for value in given for part in ast.walk(value) if isinstance(part, ast.Constant)]
        found += [text for text in literals if isinstance(text, str) and " " in text.strip() and "<" not in text]
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_pages_spell_nothing_out(path):
    assert spoken(path) == []


def test_the_search_finds_what_it_looks_for(tmp_path):
    page = tmp_path / "page.py"
    page.write_text(
        'import streamlit as st\nst.write("Hello dear reader")\nanywhere = st.columns(2)[0]\n'
        'anywhere.button(words.GO, help="Press me now")\nLOG = logging.getLogger("x")\nLOG.warning("for the log")\n'
    )
    assert spoken(page) == ["Hello dear reader", "Press me now"]


def text_modules() -> dict[str, object]:
    """Every module of texts by its path inside the app."""
    files = sorted({*UI.glob("**/text.py"), *UI.glob("**/text/*.py")})
    names = {str(path.relative_to(UI)): path.relative_to(UI.parent.parent).with_suffix("") for path in files}
    return {name: importlib.import_module(".".join(path.parts)) for name, path in names.items()}


def texts_of(name: str, module: object) -> list[tuple[str, str]]:
    """(where, text) of every text of one module that users read."""
    return [
        found
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in ("annotations", "GLOSSARY_TERMS")
        for found in texts_in(value, f"{name} {key}")
        if not re.search(r"\.(references\[\d+\]|step|page)$", found[0])
    ]


def texts() -> list[tuple[str, str]]:
    """The same of every module."""
    own = {"sentences.py"}  # what tags them
    return [
        found
        for name, module in text_modules().items()
        if Path(name).name not in own
        for found in texts_of(name, module)
    ]


PAGES = {
    name: module.PAGE for name, module in text_modules().items() if isinstance(getattr(module, "PAGE", None), PageText)
}
# Of a page that shows one of several things, the texts for each of them.
KINDS_OF_PAGES = {
    name.split("/")[1]: module.PAGES
    for name, module in text_modules().items()
    if name.startswith("pages/") and hasattr(module, "PAGES")
}
EVERY_PAGE = [*PAGES.values(), *(text for kinds in KINDS_OF_PAGES.values() for text in kinds.values())]
CHOICES = {
    "compare": "compared",
    "features": "shows",
    "find": "finder",
    "prediction": "part",
    "vit_or_cnn": "side_by_side",
    "what_if": "switch",
}


def test_the_texts_around_a_figure_change_with_what_is_shown():
    own = {page.name: page.params for page in pages()}
    assert set(KINDS_OF_PAGES) == set(CHOICES)
    for page, kinds in KINDS_OF_PAGES.items():
        assert set(kinds) == set(own[page][CHOICES[page]].options), page
        for part in ("try_this", "catch"):
            assert len({getattr(text, part) for text in kinds.values()}) == len(kinds), (page, part)
        assert len({text.lead for text in kinds.values()}) >= len(kinds) - 1, page


def untagged(found: list[tuple[str, str]]) -> list[str]:
    return [where for where, text in found if not isinstance(text, Text) or not text.bases]


def test_every_text_says_what_it_rests_on():
    assert untagged(texts()) == []
    assert len(texts()) > 500 and len(PAGES) >= 11


def test_an_untagged_text_is_noticed():
    assert [name for name, text in texts_in({"a": instruction("x"), "b": ("y",)}) if not isinstance(text, Text)] == [
        "[b][0]"
    ]


def test_what_texts_rest_on_exists():
    check_bases(texts())


def check_bases(found: list[tuple[str, str]]) -> None:
    """That every function and work exists on which a text says that it rests."""
    for where, text in found:
        for basis in text.bases:
            assert basis.kind in KINDS, where
            assert set(fact.removeprefix("!") for fact in basis.when) <= set(FACTS), where
            assert bool(basis.sources) == (basis.kind in (COMPUTED, REFERENCE)), where
            if basis.kind == REFERENCE:
                assert set(basis.sources) <= set(PUBLICATIONS), where
            for source in basis.sources if basis.kind == COMPUTED else ():
                assert _exists(source), (where, source)


def _exists(dotted: str) -> bool:
    module, _, rest = dotted.rpartition(".")
    while module:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, more = module.rpartition(".")
            rest = f"{more}.{rest}"
            continue
        for name in rest.split("."):
            found = getattr(found, name, None)
        return found is not None
    return False


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.title)
def test_a_page_cites_what_it_refers_to(page):
    check_citations(page)


def check_citations(page: PageText) -> None:
    cited = {
        source for text in page.reading for basis in text.bases if basis.kind == REFERENCE for source in basis.sources
    }
    assert cited <= set(page.references) <= set(PUBLICATIONS)
    assert page.references


def test_the_sign_of_a_rank_correlation_is_said_in_words():
    assert "tends to be high" in agreement_words(0.9) and "almost unrelated" in agreement_words(-0.1)
    assert "tends to be low" in agreement_words(-0.6) and "\N{MINUS SIGN}0.60" in agreement_words(-0.6)


EMPTY_CELLS = re.compile(r"\.dataframe\((?:[^()]|\([^()]*(?:\([^()]*\)[^()]*)*\))*\)")


def test_a_table_says_where_it_has_no_number():
    """Streamlit writes "None" there."""
    calls = [call for path in CODE for call in EMPTY_CELLS.findall(path.read_text(encoding="utf-8"))]
    assert len(calls) >= 6 and [call for call in calls if "placeholder" not in call] == []


SENTENCE = re.compile(r"(?<=[.?!:;])\s+")


LATEX = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)


def too_long(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(where, sentence) of every sentence of more than 25 words; a formula in it is one."""
    read = [(where, said) for where, text in found for said in SENTENCE.split(LATEX.sub("X", text))]
    return [(where, said) for where, said in read if len(said.split()) > 25]


def test_every_sentence_can_be_read_aloud():
    """At most 25 words, on the first screen and below it."""
    assert too_long(texts()) == []
    assert all(page.question.endswith("?") for page in PAGES.values())


# Figures of speech, and words of which the glossary has another one.
NOT_SAID = re.compile(
    r"scratch space|swallow|hoard|likelihood|likeliest|likeness|bag of patches|count on textures|hardly ever|on its way|"
    r"let the rest sink|nobody told|forget|prediction strip",
    re.IGNORECASE,
)


def test_one_word_a_thing_and_no_figure_of_speech():
    assert [(where, text) for where, text in texts() if NOT_SAID.search(text)] == []


def test_the_glossary_has_every_term_and_marks_it_once():
    wanted = "token, head, class token, prefix token, register, MLP, residual stream, logit, cosine similarity, softmax, patch"
    assert set(wanted.split(", ")) | {"embedding", "probability", "sink"} <= set(GLOSSARY)
    text = "A class token and a Patch; patches, $token$ and {token}, and multi-head. Each token has logits."
    assert terms_in(text) == ["class token", "patch", "token", "logit"]
    shown = marked(text, known=["logit"])
    assert shown.count("<abbr") == 3 and shown.count("<abbr title=") == shown.count("</abbr>")
    assert "$token$" in shown and "{token}" in shown and "multi-head" in shown and ">Patch</abbr>; patches" in shown
    assert re.sub(r"<[^>]*>", "", shown) == text
    for term, meaning in GLOSSARY.items():
        assert "{" not in meaning and all(len(said.split()) <= 25 for said in SENTENCE.split(meaning)), term


def test_pieces_are_chosen_by_what_is_true():
    text = (
        definition("Always.")
        + reference("Turned.", "roformer", when="rotary")
        + computed("Not.", "x", when="!rotary,added")
    )
    assert true_of(text, {"rotary", "added"}) == "Always. Turned."
    assert true_of(text, {"added"}) == "Always. Not." and true_of(text, ()) == "Always."
    assert true_of("plain", ()) == "plain"


def test_every_work_is_cited_by_paper_and_link():
    for key, work in PUBLICATIONS.items():
        assert work.link.startswith("https://") and work.title in work.markdown and str(work.year) in work.short, key


def test_the_story_and_the_questions_lead_to_pages_that_there_are():
    names = {page.name for page in pages()}
    captions = " ".join(caption.text for caption in journey.CAPTIONS)
    for part in ("translation", "depends on", "imposed", "pixel_pairs", "wheel", "convolution", "cost", "outline"):
        assert part in captions
    assert len(journey.QUESTIONS) == 5
    for each in (*journey.CAPTIONS, *journey.QUESTIONS):
        assert each.page in names and set(each.references) <= set(PUBLICATIONS)
        said = each.text if isinstance(each, journey.Caption) else f"{each.question} {each.answer}"
        assert [part for part in SENTENCE.split(said) if len(part.split()) > 25] == []
    assert all(each.question.endswith("?") for each in journey.QUESTIONS)


HANDS = re.compile(
    r"\b(click|hover|point(ed)? at|point to|arrow keys?|esc(ape)?\b|second click|press [a-z\[\]])", re.IGNORECASE
)


def test_only_where_there_is_a_mouse_and_a_keyboard_do_texts_speak_of_them():
    """A browser's sentence has a sibling for fingers, a piece of a page's text says that it is for a mouse or about keys."""
    every = dict(texts())
    wrong = []
    for where, text in every.items():
        sibling = re.sub(r"\]$", "_touch]", where) if where.endswith("]") else f"{where}_TOUCH"
        pieces = [piece.text for piece in text.bases if not {"mouse", "keyboard"} & {*piece.when}]
        if any(HANDS.search(piece) for piece in pieces) and sibling not in every:
            wrong.append((where, pieces))
    assert wrong == []


def test_a_piece_for_a_mouse_is_shown_where_there_is_one():
    text = instruction("Point at it.", when="mouse") + instruction("Tap it.", when="touch") + instruction("Then read.")
    assert true_of(text, {"mouse", "touch"}) == (
        '<span class="vv-mouse">Point at it.</span> <span class="vv-touch">Tap it.</span> Then read.'
    )
