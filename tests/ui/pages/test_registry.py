"""Adding a page is adding a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.ui import pages as folders
from vitviz.ui import params
from vitviz.ui.pages import registry
from vitviz.ui.params import Choice

ENTRY = """
from vitviz.ui.pages.registry import Page
from vitviz.ui.pages.{name} import text
from vitviz.ui.params import Number

PAGE = Page(name="{called}", place={place}, title=text.TITLE, question=text.QUESTION, params={{"{param}": Number(3, 0, 9, 1)}})
"""
TEXT = 'TITLE, QUESTION, COUNT, ANSWER = "Counting", "How many patches?", "Times", "There are {count}."'
CODE = """
import streamlit as st

from vitviz.ui import state
from vitviz.ui.pages.{name} import text


def render(context):
    st.header(text.QUESTION)
    st.slider(text.COUNT, 0, 9, **state.bound("{param}"))
    st.markdown(text.ANSWER.format(count=context.layout.num_patches * state.value_of("{param}")))
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """add(name, ...): a page of that name, for the time of one test."""
    added = []

    def write(name: str, called: str = "", place: int = 75, param: str = "times") -> None:
        added.append((name, param))
        folder = tmp_path / name
        folder.mkdir()
        given = {"name": name, "called": called or name, "place": place, "param": param}
        for file, text in (
            ("__init__.py", ENTRY.format(**given)),
            ("text.py", TEXT),
            ("page.py", CODE.format(**given)),
        ):
            (folder / file).write_text(text)
        registry.pages.cache_clear()

    with monkeypatch.context() as patch:
        patch.setattr(folders, "__path__", [*folders.__path__, str(tmp_path)])
        patch.setattr(params, "OWNERS", dict(params.OWNERS))
        yield write
    for name, param in added:
        if param not in params.OWNERS:
            params.PARAMS.pop(param, None)
        for module in [module for module in sys.modules if f"{module}.".startswith(f"{folders.__name__}.{name}.")]:
            del sys.modules[module]
        vars(folders).pop(name, None)
    registry.pages.cache_clear()


def test_a_page_is_a_folder(app, add):
    before = [page.name for page in registry.pages()]
    add("counting")
    assert [page.name for page in registry.pages()] == [*before[:7], "counting", *before[7:]]
    assert "vitviz.ui.pages.counting.page" not in sys.modules, "imported before it is opened"
    shown = app("counting", times="5")
    assert shown.wrong == [] and "How many patches?" in shown.text and "There are 1280." in shown.text
    shown.at.slider(key="choice of times").set_value(2).run()
    assert "There are 512." in shown.text and shown.parameters == {"times": "2"}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"called": "rollout"}, "calls itself 'rollout'"),
        ({"place": 70}, "place in the menu that is taken"),
        ({"param": "alpha"}, "'counting' declares the parameter 'alpha', which 'rollout' has"),
        ({"param": "colours"}, "which 'every page' has"),
        ({"param": "layer"}, "which 'every page' has"),
    ],
)
def test_nothing_is_there_twice(add, changed, sentence):
    registry.pages()
    add("counting", **changed)
    with pytest.raises(ValueError, match=sentence):
        registry.pages()


def test_a_page_may_declare_its_parameters_again():
    before = dict(params.PARAMS)
    params.declare("rollout", {"fusion": params.PARAMS["fusion"]})
    assert before == params.PARAMS
    with pytest.raises(ValueError, match="'other' declares the parameter 'fusion'"):
        params.declare("other", {"fusion": Choice("a", ("a",))})
