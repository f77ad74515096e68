"""Nothing that a user reads is spelled out in page code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from vitviz.ui import main as frame
from vitviz.ui.text import patches, positions, rollout

UI = Path(frame.__file__).parent
CODE = sorted([*UI.glob("*.py"), *(UI / "views").glob("*.py")])


def spoken(path: Path) -> list[str]:
    """String literals with a space between letters that are handed to Streamlit, beyond keys and styles."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        given = [*node.args, *(value for name, value in named.items() if name in ("label", "help", "placeholder", "text", "caption", "alt"))]
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        if not (isinstance(root, ast.Name) and root.id in {"st", "left", "right", "one", "two", "three", "column", "place", "bar", "picture"}):
            continue
        if ast.unparse(node.func).startswith(("st.session_state", "st.get_option", "st.components")):
            continue
        for value in given:
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value.strip() and "<" not in part.value:
                    found.append(part.value)
    return found


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_pages_spell_nothing_out(path):
    assert spoken(path) == []


def test_the_search_finds_what_it_looks_for(tmp_path):
    page = tmp_path / "page.py"
    page.write_text('import streamlit as st\nst.markdown("Hello dear reader")\nst.button(words.GO, help="Press me now")\n')
    assert spoken(page) == ["Hello dear reader", "Press me now"]


@pytest.mark.parametrize("text", [patches.PAGE, positions.PAGE, rollout.PAGE], ids=lambda text: text.title)
def test_a_page_opens_with_a_question_and_at_most_three_sentences(text):
    assert text.question.endswith("?")
    assert 1 <= text.lead.count(". ") + 1 <= 3
    assert text.try_this and text.notice and text.catch and "$" in text.formula and text.references
