"""Definitions of terms reach the page, where Streamlit might take their HTML away."""

from __future__ import annotations

from vitviz.glossary import GLOSSARY


def test_a_term_has_its_definition_on_hover_and_takes_the_focus(tab):
    shown = tab("rollout")
    shown.page.locator("abbr").first.wait_for()
    terms = shown.page.locator("abbr")
    assert terms.count() >= 5
    for term in terms.all():
        assert term.get_attribute("title") in GLOSSARY.values() and term.get_attribute("tabindex") == "0"
    terms.first.focus()
    assert terms.first.evaluate("node => node === document.activeElement")
    assert shown.errors() == []
