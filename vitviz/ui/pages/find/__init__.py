"""Find: boxes around objects, from patch features alone, and from a trained detector for contrast."""

from __future__ import annotations

from vitviz.ui.pages.find import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Name, Number
from vitviz.ui.selection import MODEL_NAME

PAGE = Page(
    name="find",
    place=97,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "finder": Choice("tokencut", ("tokencut", "lost", "maskcut", "detector")),
        "found_step": Choice("grouped", ("graph", "sorted", "grouped", "object")),
        "objects": Number(3, 1, 6, 1),  # how many are looked for at most
        "which": Number(1, 1, 100, 1),  # whose steps are shown, or whose attention; counted from 1
        "centred": Choice("yes", ("yes", "no")),
        "detector": Name(MODEL_NAME),
        "decoder_layer": Number(-1, -1, 95, 1),  # whose attention is shown; -1: the last
        "likely": Number(0.5, 0.05, 0.95, 0.05),  # from which probability a detector's box is shown
    },
)
