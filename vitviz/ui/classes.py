"""The names of a model's outputs, to search and, where the model's classes have groups, to browse by group."""

from __future__ import annotations

import streamlit as st

from vitviz.ui.asking import class_name
from vitviz.ui.stage import Stage
from vitviz.ui.text import outputs


def browse(stage: Stage, place: str) -> None:
    """A search field, the groups, and the list. place: keeps the widgets of two lists apart."""
    kind, groups, count = stage.model.output_kind, stage.model.groups, len(stage.sight.trace.logits)
    wanted = st.text_input(outputs.FIND[kind], key=f"class filter {place}").strip().lower()
    chosen = outputs.EVERY_GROUP
    if groups is not None:
        chosen = st.selectbox(outputs.GROUP, [outputs.EVERY_GROUP, *sorted(set(groups))], key=f"class group {place}")
    found = [
        (class_name(stage, index), groups[index] if groups else "")
        for index in range(count)
        if groups is None or chosen in (outputs.EVERY_GROUP, groups[index])
    ]
    found = [(name, group) for name, group in found if wanted in name.lower()]
    columns = {outputs.COLUMN[kind]: [name for name, _ in found]}
    if groups is not None:
        columns[outputs.GROUP] = [group for _, group in found]
    st.dataframe(columns, height=300, hide_index=True)
