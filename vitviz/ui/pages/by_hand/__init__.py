"""One head by hand: one token through one head, every step with its numbers."""

from __future__ import annotations

from vitviz.ui.pages.by_hand import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Number

PAGE = Page(
    name="by_hand",
    place=40,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "step": Choice("pixels", tuple(text.STEP_NAMES)),
        "component": Number(0, 0, 255, 1),  # of the head's vectors: the one that is written out
        "pair": Number(0, 0, 20, 1),  # which of the strongest keys is written out
        "temperature": Number(1.0, 0.1, 5.0, 0.1),
        "matrix": Choice("scores", ("scores", "weights", "output")),
    },
)
