"""The prediction strip: on every page, what the model saw and what it takes it for."""

from __future__ import annotations

from html import escape

import streamlit as st

from vitviz.analysis.prediction import Prediction, is_doubtful, top_predictions
from vitviz.ui.stage import Stage
from vitviz.ui.text import common as words


def show(stage: Stage) -> None:
    """The exact crop and the five likeliest classes, or why there are none."""
    shown, logits, labels = stage.look.shown, stage.sight.trace.logits, stage.model.labels
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(shown, width=56, alt=words.SEEN_ALT.format(width=shown.width, height=shown.height))
        if stage.model.weights == "random":
            st.caption(words.UNTRAINED)
        elif labels is None:
            st.caption(words.NO_CLASSES.format(count=len(logits)))
        else:
            _guesses(top_predictions(logits, labels), labels)


def _guesses(best: list[Prediction], labels: tuple[str, ...]) -> None:
    chips = "".join(map(_chip, best))
    doubt = f"<span>{words.DOUBTFUL}</span>" if is_doubtful(best) else ""
    st.html(f'<div class="vv-strip" role="list" aria-label="{words.PREDICTION}">{chips}{doubt}</div>')
    # Filled only once it is open: a hundred names are not worth sending with every click.
    browser = st.popover(words.CLASS_LIST.format(count=len(labels)), type="tertiary", key="classes", on_change="rerun")
    if browser.open:
        with browser:
            wanted = st.text_input(words.CLASS_FILTER, key="class filter").strip().lower()
            found = [label for label in labels if wanted in label.lower()]
            st.dataframe({words.CLASS: found}, height=300, hide_index=True)


def _chip(one: Prediction) -> str:
    share = f"{one.probability:.1%}" if one.probability < 0.1 else f"{one.probability:.0%}"
    return (
        f'<span class="vv-chip" role="listitem" style="--share: {one.probability:.3f}">'
        f"{escape(one.label)} <b>{share}</b></span>"
    )
