"""Model: what the model is, what it knows and, for the embedded one, how good it is."""

from __future__ import annotations

from vitviz.ui.pages.model import text
from vitviz.ui.pages.registry import Page

PAGE = Page(
    name="model",
    place=110,
    title=text.TITLE,
    question=text.QUESTION,
    any_model=True,
)
