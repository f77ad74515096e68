"""Model: what the model on the screen is, what it knows and, for the embedded one, how good it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitviz.assets import asset_path
from vitviz.models.embedded import VIT, measured
from vitviz.outputs import has_classifier
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.escape import escaped
from vitviz.ui.pages.model import text as words
from vitviz.ui.text import common

ROW = 35  # CSS pixels


def render(context: PageContext) -> None:
    model = context.model
    st.header(words.QUESTION, anchor=False)
    parameters = sum(parameter.numel() for parameter in model.module.parameters()) / 1e6
    with st.container(key="figure"):
        if model.weights == "embedded":
            digits = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
            config = dict.fromkeys(words.ACCURACY[2:], digits)
            _table(_accuracy(), column_config=config)
        _table(_facts(context))
    st.markdown(
        words.LEAD.format(
            name=escaped(model.name),
            architecture=escaped(model.architecture),
            parameters=parameters,
            weights=words.WEIGHTS[model.weights],
        )
    )
    if model.weights == "embedded":
        for title, section in _card():
            with st.expander(title):
                st.markdown(section)
    elif model.trained:
        st.info(words.NOT_MEASURED)
    if has_classifier(model) and model.trained:
        st.subheader(words.CLASSES, anchor=False)
        tables.browse_classes(context, "page")


def _table(columns: Mapping[str, Sequence[object]], **look: Any) -> None:
    """A table whose height is known before the browser has drawn it, so that nothing moves."""
    rows = len(next(iter(columns.values())))
    height = ROW * (rows + 1) + 2
    empty = common.NOTHING
    st.dataframe(columns, hide_index=True, width="stretch", row_height=ROW, height=height, placeholder=empty, **look)


def _facts(context: PageContext) -> dict[str, list[str]]:
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
            prefix=", ".join(layout.prefix) or words.NO_PREFIX,
        ),
        "preprocessing": words.PREPROCESSING.format(
            interpolation=preprocessing.interpolation, mean=preprocessing.mean, std=preprocessing.std
        ),
        "outputs": words.OUTPUTS.format(count=len(context.traced.trace.logits), nouns=model.output_kind.nouns),
        "hash": model.weights_hash,
    }
    return {"": list(words.FACTS.values()), " ": [values[name] for name in words.FACTS]}


@st.cache_data(show_spinner=False)
def _accuracy() -> dict[str, list[object]]:
    """How often the embedded model is right, at the size and framing that the app begins with."""
    accuracy = measured()[VIT]["accuracy"]
    first = {name: accuracy[name][0] for name in words.SETS}  # each list begins with that size and framing
    columns = (
        [*words.SETS.values()],
        *([row[key] for row in first.values()] for key in ("images", "top1", "top5")),
    )
    return dict(zip(words.ACCURACY, columns, strict=True))


@st.cache_data(show_spinner=False)
def _card() -> list[tuple[str, str]]:
    """(title, Markdown) of each section of the embedded models' card."""
    text = asset_path("models", "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", re.sub(r"<!--.*?-->", "", text), flags=re.MULTILINE)
    return [(words.CARD, parts[0].partition("\n")[2]), *zip(parts[1::2], parts[2::2], strict=True)]
