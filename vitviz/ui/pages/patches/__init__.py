"""Patches: how a picture is cut into patches and embedded as tokens."""

from __future__ import annotations

from vitviz.ui.pages.patches import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Number

PAGE = Page(
    name="patches",
    place=20,
    title=text.PAGE.title,
    question=text.PAGE.question,
    any_model=True,
    params={
        "cut": Number(2, 0, 8, 1),  # pixels between patches
        "dim": Number(0.0, 0.0, 0.9, 0.1),  # how far all patches but one are dimmed
    },
)
