"""The pages, each of them one question. A page has a module with `render`, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitviz.ui.stage import Stage
from vitviz.ui.text import by_hand as by_hand_text
from vitviz.ui.text import compare as compare_text
from vitviz.ui.text import layers as layers_text
from vitviz.ui.text import microscope as microscope_text
from vitviz.ui.text import model as model_text
from vitviz.ui.text import patches as patches_text
from vitviz.ui.text import positions as positions_text
from vitviz.ui.text import prediction as prediction_text
from vitviz.ui.text import rollout as rollout_text
from vitviz.ui.text import start as start_text
from vitviz.ui.text import what_if as what_if_text
from vitviz.ui.text.page import PageText
from vitviz.ui.views import (
    by_hand,
    compare,
    layers,
    microscope,
    model,
    patches,
    positions,
    prediction,
    rollout,
    start,
    what_if,
)


@dataclass(frozen=True)
class View:
    """name: in the address; title: in the navigation; question: its heading; render: draws it, heading included;
    any_model: whether it has something to show of a model whose layers do not share one grid.
    """

    name: str
    title: str
    question: str
    render: Callable[[Stage], None]
    any_model: bool = False


def _view(name: str, text: PageText, render: Callable[[Stage], None], any_model: bool = False) -> View:
    return View(name, text.title, text.question, render, any_model)


VIEWS = (
    View("start", start_text.TITLE, start_text.HEADING, start.render, any_model=True),
    _view("patches", patches_text.PAGE, patches.render, any_model=True),
    _view("positions", positions_text.PAGE, positions.render, any_model=True),
    _view("by_hand", by_hand_text.PAGE, by_hand.render),
    _view("microscope", microscope_text.PAGE, microscope.render),
    _view("layers", layers_text.PAGE, layers.render, any_model=True),
    _view("rollout", rollout_text.PAGE, rollout.render),
    _view("prediction", prediction_text.PAGE, prediction.render),
    _view("what_if", what_if_text.PAGE, what_if.render),
    _view("compare", compare_text.PAGE, compare.render),
    View("model", model_text.TITLE, model_text.QUESTION, model.render, any_model=True),
)
