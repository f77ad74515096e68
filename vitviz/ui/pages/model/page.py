"""Model: what the model on the screen is, what it knows and, for the embedded one, how good it is."""

from __future__ import annotations

import re

import streamlit as st

from vitviz.assets import asset_path
from vitviz.models.embedded import VIT, measured
from vitviz.outputs import has_classifier
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.escape import escaped
from vitviz.ui.pages.model import text as words
from vitviz.ui.text import common


def render(context: PageContext) -> None:
    model = context.model
    st.header(words.QUESTION, anchor=False)
    parameters = sum(parameter.numel() for parameter in model.module.parameters()) / 1e6
    with st.container(key="figure"):
        accuracy = tables.numbers(_accuracy()) if model.weights == "embedded" else ""
        tables.show(tables.STYLE + accuracy + tables.facts(_facts(context)))
    with st.container(key="lead"):
        st.markdown(
            words.LEAD.format(
                name=escaped(model.name),
                architecture=escaped(model.architecture),
                parameters=parameters,
                weights=words.WEIGHTS[model.weights],
            )
        )
    with st.container(key="below"):
        _more(context)


def _more(context: PageContext) -> None:
    """The card of the embedded model, or that there is none, and all outputs."""
    model = context.model
    if model.weights == "embedded":
        for title, section in _card():
            with st.expander(title):
                st.markdown(section)
    elif model.trained:
        st.info(words.NOT_MEASURED)
    if has_classifier(model) and model.trained:
        st.subheader(words.CLASSES, anchor=False)
        tables.browse_classes(context, "page")


def _facts(context: PageContext) -> list[tuple[str, str]]:
    model, layout = context.model, context.layout
    preprocessing = model.preprocessing
    values = {
        "input": words.INPUT.format(
            height=model.input_size[0],
            width=model.input_size[1],
            framing=common.FRAMINGS[context.selection.framing].lower(),
        ),
        "tokens": words.TOKENS.format(
            rows=layout.grid[0],
            cols=layout.grid[1],
            height=layout.patch_size[0],
            width=layout.patch_size[1],
            prefix=", ".join(common.token(name) for name in layout.prefix) or words.NO_PREFIX,
        ),
        "preprocessing": words.PREPROCESSING.format(
            interpolation=preprocessing.interpolation, mean=preprocessing.mean, std=preprocessing.std
        ),
        "outputs": words.OUTPUTS.format(count=len(context.traced.trace.logits), nouns=model.output_kind.nouns),
        "hash": model.weights_hash,
    }
    return [(title, values[name]) for name, title in words.FACTS.items()]


@st.cache_data(show_spinner=False)
def _accuracy() -> list[tables.Column]:
    """How often the embedded model is right, at the size and framing that the app begins with."""
    accuracy = measured()[VIT]["accuracy"]
    first = {name: accuracy[name][0] for name in words.SETS}  # each list begins with that size and framing
    images, *shares = ([row[key] for row in first.values()] for key in ("images", "top1", "top5"))
    name, count, *titles = words.ACCURACY
    return [
        tables.Column(name, [*words.SETS.values()]),
        tables.Column(count, images, decimals=0),
        *(
            tables.Column(title, [100 * share for share in of], bars=len(of), longest=100, decimals=1)
            for title, of in zip(titles, shares, strict=True)
        ),
    ]


@st.cache_data(show_spinner=False)
def _card() -> list[tuple[str, str]]:
    """(title, Markdown) of each section of the embedded models' card."""
    text = asset_path("models", "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", re.sub(r"<!--.*?-->", "", text), flags=re.MULTILINE)
    return [(words.CARD, parts[0].partition("\n")[2]), *zip(parts[1::2], parts[2::2], strict=True)]
