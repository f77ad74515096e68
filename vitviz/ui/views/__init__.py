"""The pages, each of them one question. A page has a module with `render`, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitviz.ui.stage import Stage
from vitviz.ui.text import microscope as microscope_text
from vitviz.ui.text import patches as patches_text
from vitviz.ui.text import positions as positions_text
from vitviz.ui.text import rollout as rollout_text
from vitviz.ui.text import start as start_text
from vitviz.ui.views import microscope, patches, positions, rollout, start


@dataclass(frozen=True)
class View:
    """name: in the address; title: in the navigation; render: draws it, on None where there is no model or no photograph."""

    name: str
    title: str
    render: Callable[[Stage | None], None]


VIEWS = (
    View("start", start_text.TITLE, start.render),
    View("patches", patches_text.PAGE.title, patches.render),
    View("positions", positions_text.PAGE.title, positions.render),
    View("microscope", microscope_text.PAGE.title, microscope.render),
    View("rollout", rollout_text.PAGE.title, rollout.render),
)
