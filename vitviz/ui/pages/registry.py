"""The pages, each of them one question. A page has a module with `render`, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitviz.ui.context import Stage
from vitviz.ui.pages.by_hand import page as by_hand
from vitviz.ui.pages.by_hand import text as by_hand_text
from vitviz.ui.pages.compare import page as compare
from vitviz.ui.pages.compare import text as compare_text
from vitviz.ui.pages.layers import page as layers
from vitviz.ui.pages.layers import text as layers_text
from vitviz.ui.pages.microscope import page as microscope
from vitviz.ui.pages.microscope import text as microscope_text
from vitviz.ui.pages.model import page as model
from vitviz.ui.pages.model import text as model_text
from vitviz.ui.pages.patches import page as patches
from vitviz.ui.pages.patches import text as patches_text
from vitviz.ui.pages.positions import page as positions
from vitviz.ui.pages.positions import text as positions_text
from vitviz.ui.pages.prediction import page as prediction
from vitviz.ui.pages.prediction import text as prediction_text
from vitviz.ui.pages.rollout import page as rollout
from vitviz.ui.pages.rollout import text as rollout_text
from vitviz.ui.pages.start import page as start
from vitviz.ui.pages.start import text as start_text
from vitviz.ui.pages.what_if import page as what_if
from vitviz.ui.pages.what_if import text as what_if_text
from vitviz.ui.text.common import PageText


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
