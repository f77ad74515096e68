"""Layer by layer: which patches a patch can attend to in each layer, and which it does."""

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
