"""The parts of every page around its figure: heading above, lead and controls below, then details, help and references."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer

from vitviz.capture.coordinates.layouts import placements_of
from vitviz.glossary import GLOSSARY, terms_in
from vitviz.references import PUBLICATIONS
from vitviz.support import Support, judge
from vitviz.ui.context import PageContext
from vitviz.ui.controls import navigation
from vitviz.ui.controls.captions import Facts, sentence
from vitviz.ui.escape import escaped
from vitviz.ui.text import common as words
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import true_of

# The key of a container whose columns stay beside each other on a phone: `shell.styles` has its rule.
SIDE_BY_SIDE = "side-by-side"


class Frame:
    """The places of a page, which keep their order: a figure may be drawn after the controls under it were read.

    What is drawn inside `with page(...)` and in none of them stands between the controls and the details.
    """

    def __init__(self) -> None:
        self._figure = st.container(key="figure")
        self._lead = st.container(key="lead")
        self.line: tuple[str, dict[str, object]] | None = None
        row = st.container(key="controls", horizontal=True, vertical_alignment="bottom", gap="small")
        self._controls, self._beside = (
            row.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"),
            row.container(width="content"),
        )
        self.body, self._below = st.container(), st.container(key="below")

        self._settings: DeltaGenerator | None = None
        self._details: ExpanderContainer | None = None

    def figure(self) -> DeltaGenerator:
        """The container of the page's main figure, which is whole above the fold from 1024 x 768 CSS pixels on."""
        return self._figure

    def say(self, text: str, **blanks: object) -> None:
        """Puts a computed sentence in the line under the figure; the page's lead becomes the first item of "notice".

        Args:
            text: The sentence, with blanks; "" for a figure that has a line of its own.
            **blanks: Values of the blanks.
        """
        self.line = text, blanks

    def controls(self) -> DeltaGenerator:
        """The container of the row under the figure and its lead, for choices that are changed often."""
        return self._controls

    def settings(self) -> DeltaGenerator:
        """The popover at the end of that row, for choices that are rarely changed."""
        if self._settings is None:
            self._settings = self._beside.popover(words.SETTINGS, key="settings", icon=":material/tune:")
        return self._settings

    def details(self) -> ExpanderContainer:
        """The expander of second figures, tables, numbers and exports, closed at first; slow work may wait for `.open`."""
        if self._details is None:
            self._details = self._below.expander(words.DETAILS, key="details", on_change="rerun")
        return self._details

    def complete(self) -> None:
        """Marks open details as drawn: what stands below them is shown from then on (`shell.styles`)."""
        if self._details is not None and self._details.open:
            with self._details:
                st.html('<i class="vv-detailed"></i>')


def drawn() -> None:
    """Marks the figure as drawn: the elements below it are shown from then on (`shell.styles`)."""
    st.html('<i class="vv-drawn"></i>')


@contextmanager
def page(text: PageText, context: PageContext, **blanks: object) -> Iterator[Frame]:
    """Draws the heading, lets the page fill its places, then draws help and references.

        with frame.page(words.PAGE, context) as its:
            with its.controls(): ...
            with its.figure(): ...

    Of each text only the pieces are shown that are true of the model and picture. A term of the glossary carries its
    definition where it first appears, and all of them stand in a list at the end.

    Args:
        text: Of the page.
        context: Model and picture.
        blanks: Fill {names} in the page's sentences.
    """
    facts, known = Facts(context), list[str]()

    def show_sentences(sentences: str, filled: dict[str, object] = blanks) -> None:
        given = true_of(sentences, facts)
        if given:
            sentence(given, known=tuple(known), **filled)
        known.extend(terms_in(given))

    st.header(text.question)
    places, notice = Frame(), text.notice

    def show_lead() -> None:
        with places._lead:
            show_sentences(*(places.line or (text.lead, blanks)))

    try:
        with places.body:
            yield places
    except Exception:  # not a rerun, which ends this run at once
        with suppress(Exception):  # the page's own error is the one to be shown
            show_lead()
            places.complete()
        raise
    show_lead()
    places.complete()
    if places.line:
        notice = text.lead + text.notice
    drawn()
    with st.container(key="around"):
        columns = st.columns(3)
        parts = ((words.TRY_THIS, text.try_this), (words.NOTICE, notice), (words.CATCH, text.catch))
        for column, (name, sentences) in zip(columns, parts, strict=True):
            with column:
                st.markdown(f"**{name}**")
                show_sentences(sentences)
        formula = true_of(text.formula, facts)
        with st.expander(words.GLOSSARY):
            terms = dict.fromkeys([*known, *terms_in(formula)])
            st.markdown("\n".join(words.GLOSSARY_LINE.format(term=term, meaning=GLOSSARY[term]) for term in terms))
        with st.expander(words.FORMULA):
            st.markdown(formula)
            for reference in text.references:
                st.markdown(f"- {PUBLICATIONS[reference].markdown}")


# Pages that need one grid, for a model of several: why they show nothing, and a link to the page that does.


def not_supported(context: PageContext, question: str) -> None:
    """The page's heading, one sentence on why it shows nothing, and a link to the page that every model has."""
    st.header(question)
    support = verdict_on(context)
    sentence = words.NO_FORM_OF_ATTENTION if support.rollout else words.NO_SEQUENCE
    st.info(sentence.format(reason=escaped(support.reason), instead=escaped(support.instead)))
    navigation.link("layers", words.LAYERS_LINK)


# What can be shown of the chosen model, in the words of pages.


def verdict_on(context: PageContext) -> Support:
    """The verdict over the loaded model at its size; one pass without numbers, remembered."""
    model = context.model

    def work(_: object) -> Support:
        with model.lock:
            return judge(model.name, placements_of(model.module, model.input_size), model.layout)

    found: Support = context.of_model.ask("support", work)
    return found
