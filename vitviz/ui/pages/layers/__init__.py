"""Layer by layer: what a patch may look at in each layer, and where it looks."""

from __future__ import annotations

from vitviz.ui.pages.layers import text
from vitviz.ui.pages.registry import Page

PAGE = Page(
    name="layers",
    place=60,
    title=text.PAGE.title,
    question=text.PAGE.question,
    any_model=True,
)
