"""What the steps of "one head by hand" are written on, and the two ways in which they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import streamlit as st

from vitviz.analysis.by_hand import HeadByHand, OpenLayer
from vitviz.ui import tables
from vitviz.ui.stage import Stage
from vitviz.ui.tables import Column
from vitviz.ui.text import by_hand as words
from vitviz.ui.text import common

SHOWN = 6  # components and products that stand on the page; the others are one click away


@dataclass(frozen=True)
class Board:
    """One head of one photograph. component: the one written out; shown: tokens whose keys stand in the tables."""

    stage: Stage
    opened: OpenLayer
    hand: HeadByHand
    component: int
    shown: tuple[int, ...]
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def step(self, name: str) -> None:
        st.subheader(words.STEP.format(number=next(self._numbers), name=name), anchor=False)

    def name(self, token: int) -> str:
        return common.token(self.hand.layout.name_of(token))

    def short(self, token: int) -> str:
        return words.short(self.hand.layout.name_of(token))


def every(name: str, columns: Mapping[str, np.ndarray | list[str]], size: int) -> None:
    """All numbers of a step, sent once somebody opens them; the table there can be searched, copied and downloaded."""
    opened = st.popover(
        words.EVERY.format(count=size),
        type="tertiary",
        icon=":material/table_rows:",
        key=f"every {name}",
        on_change="rerun",
    )
    if opened.open:
        with opened:
            index = list(range(size))
            st.dataframe({words.INDEX: index, **columns}, hide_index=True, height=360)


def products(
    names: Sequence[str], labels: Sequence[str], one: np.ndarray, two: np.ndarray, bias: float | None = None
) -> None:
    """A sum of products written out: the first terms, the rest together, a bias where there is one, and the sum."""
    terms = one * two
    first, rest = slice(0, SHOWN), len(terms) - SHOWN
    text: list[str | float | None] = [*labels[first]]
    a: list[str | float | None] = [*one[first].tolist()]
    b: list[str | float | None] = [*two[first].tolist()]
    c: list[str | float | None] = [*terms[first].tolist()]
    extra = [(words.REST.format(count=rest), float(terms[SHOWN:].sum()))] if rest > 0 else []
    extra += [(words.BIAS, bias)] if bias is not None else []
    for name, value in (*extra, (words.SUM, float(terms.sum()) + (bias or 0.0))):
        text, a, b, c = [*text, name], [*a, None], [*b, None], [*c, value]
    columns = (
        Column(names[0], text),
        Column(names[1], a),
        Column(names[2], b),
        Column(names[3], c, bars=len(labels[first])),
    )
    tables.show(tables.numbers(columns, total=len(text) - 1))
