"""Compare: two maps with one cursor, and one patch in two scenes."""

from __future__ import annotations

from vitviz.tokens import CELL
from vitviz.ui.pages.compare import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Name, Number
from vitviz.ui.selection import IMAGE_NAME, MODEL_NAME

PAGE = Page(
    name="compare",
    place=100,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "compared": Choice("attention", ("attention", "rollout", "positions", "scenes")),
        "differs": Choice("model", ("model", "picture", "layer")),
        "other_model": Name(MODEL_NAME),  # "": the same architecture, untrained where this one is trained
        "other_image": Name(IMAGE_NAME),  # "": the next photograph of the gallery
        "other_layer": Number(-1, -1, 95, 1),  # -1: the same as on the first side
        "other_head": Number(-2, -2, 95, 1),  # -2: the same; -1: the mean of heads
        "difference": Choice("hidden", ("hidden", "shown")),
        "into": Name(CELL),  # "": the patch goes to the same place
        "block": Number(1, 1, 7, 2),
    },
)
