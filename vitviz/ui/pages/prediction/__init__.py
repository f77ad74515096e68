"""Prediction: the input, the prediction layer by layer, and which explanation to trust."""

from __future__ import annotations

from vitviz.ui.pages.prediction import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Number, Patches

PAGE = Page(
    name="prediction",
    place=80,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "part": Choice("forming", ("forming", "methods", "trust", "mark")),
        "after": Number(95, 0, 95, 1),  # the layer whose patches are read alone; 95 is as far as the model goes
        # What takes long is computed on request: slow methods, the test of maps, the sanity check.
        "slow": Choice("later", ("later", "now")),
        "tested": Choice("later", ("later", "now")),
        "forget": Choice("later", ("later", "now")),
        "object": Patches(),
        "click": Choice("alike", ("alike", "patch")),  # what a click on the object marks
    },
)
