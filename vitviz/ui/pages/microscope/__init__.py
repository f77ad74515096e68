"""Microscope: the attention of every head of a layer for the patch under the pointer."""

from __future__ import annotations

from vitviz.ui.pages.microscope import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice

PAGE = Page(
    name="microscope",
    place=50,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "heads": Choice("all", ("all", "chosen")),
        "direction": Choice("at", ("at", "by")),  # a row of the weights, or a column
        "measure": Choice("weight", ("weight", "value")),
        "links": Choice("shown", ("hidden", "shown")),
    },
)
