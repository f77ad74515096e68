"""Features: patches that are alike, here and in a second photograph; principal components and groups."""

from __future__ import annotations

import re

from vitviz.tokens import CELL
from vitviz.ui.pages.features import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Name, Number
from vitviz.ui.selection import IMAGE_NAME

PAGE = Page(
    name="features",
    place=94,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "shows": Choice("alike", ("alike", "components", "groups")),
        # Photographs beside the selected one, the second side first; "alone": none, "": one that goes well with it.
        "others": Name(re.compile(rf"{IMAGE_NAME.pattern}(,{IMAGE_NAME.pattern}){{0,4}}")),
        "there": Name(CELL),  # the patch of the second photograph that is asked about
        "pairs": Choice("hidden", ("hidden", "shown")),
        "foreground": Choice("object", ("all", "object")),
        "groups": Number(6, 2, 12, 1),
    },
)
