"""Nothing that a user reads is spelled out in page code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from vitviz.ui.pages.by_hand import text as by_hand
from vitviz.ui.pages.compare import text as compare
from vitviz.ui.pages.layers import text as layers
from vitviz.ui.pages.microscope import text as microscope
from vitviz.ui.pages.patches import text as patches
from vitviz.ui.pages.positions import text as positions
from vitviz.ui.pages.prediction import text as prediction
from vitviz.ui.pages.rollout import text as rollout
from vitviz.ui.pages.what_if import text as what_if
from vitviz.ui.shell import main as frame

UI = Path(frame.__file__).parent.parent
CODE = sorted(path for path in UI.rglob("*.py") if path.stem not in ("text", "__init__") and path.parent.name != "text")


READ_BY_PEOPLE = {"label", "help", "placeholder", "text", "caption", "alt"}
# What pages call the places they draw on.
PLACES = {"st", "left", "right", "one", "two", "three", "column", "place", "bar", "picture", "browser", "code"}
NOT_DRAWN = ("st.session_state", "st.get_option", "st.components")


def spoken(path: Path) -> list[str]:
    """String literals of several words that are handed to Streamlit, beyond keys and styles."""
    found = []
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        name = ast.unparse(call.func)
        if name.split(".")[0] not in PLACES or name.startswith(NOT_DRAWN):
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
    page.write_text('import streamlit as st\nst.write("Hello dear reader")\nst.button(words.GO, help="Press me now")\n')
    assert spoken(page) == ["Hello dear reader", "Press me now"]


@pytest.mark.parametrize(
    "text",
    [
        by_hand.PAGE,
        compare.PAGE,
        layers.PAGE,
        microscope.PAGE,
        patches.PAGE,
        positions.PAGE,
        prediction.PAGE,
        rollout.PAGE,
        what_if.PAGE,
    ],
    ids=lambda text: text.title,
)
def test_a_page_opens_with_a_question_and_at_most_three_sentences(text):
    assert text.question.endswith("?")
    assert 1 <= text.lead.count(". ") + 1 <= 3
    assert text.try_this and text.notice and text.catch and "$" in text.formula and text.references
