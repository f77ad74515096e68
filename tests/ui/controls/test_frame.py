"""What stands around every page's figure, in its order."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException

from tests.ui.integration.test_pages import DRAWN, prediction_of
from vitviz.errors import UnsupportedError
from vitviz.ui.controls import frame
from vitviz.ui.pages.patches import text as words
from vitviz.ui.text import common


def test_places_keep_their_order_whatever_the_order_in_which_they_are_filled(app):
    """The page of patches fills its controls and settings before its figure."""
    shown = app("patches")
    assert not shown.wrong
    kinds = [element.type for element in shown.at.main]
    main = list(shown.at.main)
    said = [getattr(element, "label", None) or getattr(element, "value", None) for element in main]
    places = [said.index(each) for each in (words.PAGE.question, words.CUT, words.DIM, common.ROW, words.SEQUENCE)]
    assert places == sorted(places)
    figure, lead = (
        kinds.index("bidi_component"),
        next(i for i, each in enumerate(said) if "cuts the picture" in str(each)),
    )
    assert places[0] < figure < lead < places[1]
    assert [each.label for each in shown.at.expander] == [common.DETAILS, common.GLOSSARY, common.FORMULA]


def test_what_the_numbers_say_takes_the_leads_place(app):
    """The lead is then the first thing to notice."""
    shown = app("find", found_step="graph")
    texts = [str(each.value) for each in shown.at.main if each.type in ("markdown", "caption")]
    said = [re.sub(r"<[^>]*>", "", each) for each in texts]  # without definitions of terms
    line = next(
        i for i, each in enumerate(said) if "Similar patches are joined. The framed patch is joined with" in each
    )
    lead = [i for i, each in enumerate(said) if "Here an object is a group" in each]
    assert not shown.wrong and lead == [said.index(f"**{common.NOTICE}**") + 1] and line < lead[0]


@pytest.mark.parametrize("ends", [RerunException(RerunData()), UnsupportedError("its own")], ids=["rerun", "error"])
def test_how_a_page_ends_is_what_is_raised(monkeypatch, ends):
    """The lead's facts are asked of the model: not in a run that has ended, and their error does not replace the page's."""
    asked = Mock(side_effect=UnsupportedError("of the lead"))
    monkeypatch.setattr(frame, "true_of", asked)
    with pytest.raises(type(ends)) as raised, frame.page(words.PAGE, Mock()):
        raise ends
    assert raised.value is ends and asked.called == isinstance(ends, UnsupportedError)


@pytest.mark.parametrize("page", ["start", "rollout"])
def test_the_ways_on_are_there_whatever_became_of_the_page(app, monkeypatch, page):
    """They stand below the figure, and nothing below it is seen before it is there."""
    place = "vitviz.ui.pages.start.page.figure_data" if page == "start" else "vitviz.ui.controls.frame.Facts"
    monkeypatch.setattr(place, Mock(side_effect=UnsupportedError("nothing to be seen")))
    shown = app(page)
    assert shown.wrong and DRAWN in prediction_of(shown)
