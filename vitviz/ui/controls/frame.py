"""What every page has around its figure: the question above, help and references below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from vitviz.capture.coordinates.layouts import placements_of
from vitviz.glossary import GLOSSARY, terms_in
from vitviz.references import WORKS
from vitviz.support import Support, judge
from vitviz.ui.context import PageContext
from vitviz.ui.controls.facts import Facts
from vitviz.ui.controls.say import sentence
from vitviz.ui.escape import escaped
from vitviz.ui.shell import navigation
from vitviz.ui.text import common as words
from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import true_of


@contextmanager
def page(text: PageText, context: PageContext, **blanks: object) -> Iterator[None]:
    """Draws the question and lead, lets the page draw its figures, then helps to look at them.

    Of each text only the pieces are shown that are true of the model and picture. A term of the glossary carries its
    definition where it first appears, and all of them stand in a list at the end.

    Args:
        text: of the page.
        context: model and picture.
        blanks: fill {names} in the page's sentences.
    """
    facts, known = Facts(context), list[str]()

    def say(sentences: str) -> None:
        given = true_of(sentences, facts)
        sentence(given, known=tuple(known), **blanks)
        known.extend(terms_in(given))

    st.header(text.question)
    say(text.lead)
    yield
    st.space("small")
    columns = st.columns(3)
    parts = ((words.TRY_THIS, text.try_this), (words.NOTICE, text.notice), (words.CATCH, text.catch))
    for column, (name, sentences) in zip(columns, parts, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name}**")
            say(sentences)
    with st.expander(words.GLOSSARY):
        terms = dict.fromkeys([*known, *terms_in(text.formula)])
        st.markdown("\n".join(words.GLOSSARY_LINE.format(term=term, meaning=GLOSSARY[term]) for term in terms))
    with st.expander(words.FORMULA):
        st.markdown(text.formula)
        for reference in text.references:
            st.markdown(f"- {WORKS[reference].markdown}")


# What a page shows that needs one grid, for a model that has several: why not, and where to look instead.


def not_supported(context: PageContext, question: str) -> None:
    """The page's question, one sentence of why, and the way to the page that every model has."""
    st.header(question)
    support = verdict_on(context)
    sentence = words.NO_FORM_OF_ATTENTION if support.rollout else words.NO_SEQUENCE
    st.info(sentence.format(reason=escaped(support.reason), instead=escaped(support.instead)))
    navigation.link("layers", words.LAYERS_LINK)


# What can be shown of the chosen model, as pages say it.


def verdict_on(context: PageContext) -> Support:
    """The verdict over the loaded model at its size; one pass without numbers, remembered."""
    model = context.model

    def work(_: object) -> Support:
        with model.lock:
            return judge(model.name, placements_of(model.module, model.input_size), model.layout)

    found: Support = context.ask("support", work)
    return found
