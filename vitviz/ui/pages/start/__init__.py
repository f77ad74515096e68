"""Start page: a model's forward pass on a photograph, in one figure."""

from __future__ import annotations

from vitviz.ui.pages.registry import Page
from vitviz.ui.pages.start import text

PAGE = Page(
    name="start",
    place=10,
    title=text.TITLE,
    question=text.HEADING,
    any_model=True,
)
