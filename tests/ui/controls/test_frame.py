"""What stands around every page's figure, in its order."""

from __future__ import annotations

from vitviz.ui.pages.patches import text as words
from vitviz.ui.text import common


def test_places_keep_their_order_whatever_the_order_in_which_they_are_filled(app):
    """The page of patches fills its controls and settings before its figure."""
    shown = app("patches")
    assert not shown.wrong
    kinds = [element.type for element in shown.at.main]
    main = list(shown.at.main)
    said = [getattr(element, "label", None) or getattr(element, "value", None) for element in main]
    places = [said.index(each) for each in (words.PAGE.question, words.CUT, words.DIM, words.ROW, words.SEQUENCE)]
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
    said = [str(each.value) for each in shown.at.main if each.type in ("markdown", "caption")]
    line = next(i for i, each in enumerate(said) if "Alike patches are joined: the framed one with" in each)
    lead = [i for i, each in enumerate(said) if "An object is taken to be a group" in each]
    assert not shown.wrong and lead == [said.index(f"**{common.NOTICE}**") + 1] and line < lead[0]
