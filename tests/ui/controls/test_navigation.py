"""From one page to another."""

from __future__ import annotations

from vitviz.ui.controls import navigation
from vitviz.ui.pages.patches import text as patches
from vitviz.ui.pages.rollout import text as rollout


def test_only_the_page_whose_control_asked_for_another_leads_to_it(app):
    """What a page asked for that could not be drawn then is not opened on a later visit."""
    shown = app("patches")
    for asked_by, heading in (("find", patches.PAGE.question), ("patches", rollout.PAGE.question)):
        shown.at.session_state[navigation._NEXT] = ("rollout", asked_by)
        shown.at.run()
        assert not shown.wrong and [header.value for header in shown.at.header] == [heading]
        assert navigation._NEXT not in shown.at.session_state
