"""The prediction strip: on every page, what the model saw and what it takes it for."""

from __future__ import annotations

from html import escape

import streamlit as st

from vitviz.analysis.prediction import Prediction, is_doubtful, top_predictions
from vitviz.outputs import OutputKind, has_classifier
from vitviz.ui.asking import class_name
from vitviz.ui.stage import Stage
from vitviz.ui.text import common as words
from vitviz.ui.text import outputs


def show(stage: Stage) -> None:
    """The exact crop and the five likeliest classes or labels, or why there are none."""
    shown, logits = stage.shown, stage.sight.trace.logits
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(shown, width=56, alt=words.SEEN_ALT.format(width=shown.width, height=shown.height))
        if not has_classifier(stage.model):
            st.caption(words.NO_CLASSES.format(count=len(logits)))
        elif stage.model.weights == "random":
            st.caption(words.UNTRAINED)
        else:
            _guesses(stage, top_predictions(logits, stage.model))


def _guesses(stage: Stage, best: list[Prediction]) -> None:
    kind, count = stage.model.output_kind, len(stage.sight.trace.logits)
    note = outputs.UNIT if kind is OutputKind.NUMBERS else outputs.DOUBTFUL[kind] if is_doubtful(best) else ""
    chips = "".join(map(_chip, best)) + (f"<span>{note}</span>" if note else "")
    st.html(f'<div class="vv-strip" role="list" aria-label="{words.PREDICTION}">{chips}</div>')
    # Filled only once it is open: a hundred names are not worth sending with every click.
    name = outputs.ONE[kind] if count == 1 else outputs.LIST[kind].format(count=count)
    browser = st.popover(name, type="tertiary", key="classes", on_change="rerun")
    if browser.open:
        with browser:
            wanted = st.text_input(outputs.FIND[kind], key="class filter").strip().lower()
            names = (class_name(stage, index) for index in range(count))
            st.dataframe({outputs.COLUMN[kind]: [n for n in names if wanted in n.lower()]}, height=300, hide_index=True)


def _chip(one: Prediction) -> str:
    share = one.probability if one.probability is not None else 0.0
    text = one.text if one.probability is None or share < 0.1 else f"{share:.0%}"
    content = f"{escape(one.label)} <b>{escape(text)}</b>"
    return f'<span class="vv-chip" role="listitem" style="--share: {share:.3f}">{content}</span>'
