"""The line above every page: the model's input and, once asked for, its likeliest outputs."""

from __future__ import annotations

import io
from html import escape

import streamlit as st
from PIL import Image

from vitviz.analysis.prediction import Prediction, top_predictions
from vitviz.outputs import OutputKind, has_classifier
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.text import common as words
from vitviz.ui.text import outputs

THUMBNAIL = 28  # CSS pixels: the line is as high as a button


def show(context: PageContext) -> None:
    """Shows the model's input and a button for its five likeliest classes or labels, or says why there are none."""
    shown, logits = context.shown, context.traced.trace.logits
    small: bytes = context.ask("thumbnail", lambda _: _thumbnail(shown))  # Streamlit would make it again in every run
    alt = words.SEEN_ALT.format(width=shown.width, height=shown.height)
    st.image(small, width=THUMBNAIL, output_format="PNG", alt=alt)
    if not has_classifier(context.model):
        st.caption(words.NO_CLASSES.format(count=len(logits)))
    elif context.model.weights == "random":
        st.caption(words.UNTRAINED)
    elif context.answer_hidden:
        _switch("shown", words.SHOW_ANSWER, ":material/visibility:")
    else:
        _guesses(context, top_predictions(logits, context.model))
        _switch("hidden", words.HIDE_ANSWER, ":material/visibility_off:")


def _thumbnail(shown: Image.Image) -> bytes:
    file = io.BytesIO()
    size = THUMBNAIL, max(1, round(shown.height * THUMBNAIL / shown.width))
    shown.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def _switch(answer: str, label: str, icon: str) -> None:
    def chosen() -> None:
        state.change(answer=answer)

    st.button(label, key=f"answer {answer}", on_click=chosen, type="tertiary", icon=icon, wrap=False)


def _guesses(context: PageContext, best: list[Prediction]) -> None:
    kind, count = context.model.output_kind, len(context.traced.trace.logits)
    note = _note(context, best)
    chips = "".join(map(_chip, best)) + (f"<span>{note}</span>" if note else "")
    st.html(f'<div class="vv-prediction" role="list" aria-label="{words.PREDICTION}">{chips}</div>')
    # Filled only once it is open: a hundred names need not be sent with every click.
    name = outputs.ONE[kind] if count == 1 else outputs.LIST[kind].format(count=count)
    browser = st.popover(name, type="tertiary", key="classes", on_change="rerun", wrap=False)
    if browser.open:
        with browser:
            tables.browse_classes(context, "bar")


def _note(context: PageContext, best: list[Prediction]) -> str:
    """A caution about the prediction; empty where there is none, or nothing was measured."""
    kind, detector, likeliest = context.model.output_kind, context.model.ood_detector, best[0].probability
    if kind is OutputKind.NUMBERS:
        return outputs.UNIT
    if kind is OutputKind.LABELS:
        return outputs.UNCERTAIN[kind] if len(best) > 1 and likeliest is not None and likeliest < 0.5 else ""
    return outputs.UNCERTAIN[kind] if detector is not None and detector.is_ood(context.traced.trace.logits) else ""


def _chip(one: Prediction) -> str:
    share = one.probability if one.probability is not None else 0.0
    text = one.text if one.probability is None or share < 0.1 else f"{share:.0%}"
    content = f"{escape(one.label)} <b>{escape(text)}</b>"
    return f'<span class="vv-chip" role="listitem" style="--share: {share:.3f}">{content}</span>'
