"""The numbers of "one head by hand" that the steps share, and the first and last steps as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from vitviz.analysis.by_hand import EmbeddedToken, HeadByHand, OpenLayer
from vitviz.draw import draw_patch, draw_sum
from vitviz.figure import Figure
from vitviz.figures.by_hand import LARGEST, output_figure, scores_figure, weights_figure
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure, tables
from vitviz.ui.controls.captions import sentence
from vitviz.ui.controls.tables import Column, decimals_of, figures
from vitviz.ui.pages.by_hand import text as words
from vitviz.ui.text import common

SHOWN = 6  # components and products in a table; the others are shown on request


@dataclass(frozen=True)
class Worksheet:
    """The head, query and key whose numbers the steps show.

    Attributes:
        context: The page's context.
        opened: The layer with its inputs.
        hand: The computation of the head.
        component: Number of the head's component that is written out.
        shown: Tokens whose keys are in the tables.
        drawn: Whether the figures beside the tables are drawn, which takes long.
    """

    context: PageContext
    opened: OpenLayer
    hand: HeadByHand
    component: int
    shown: tuple[int, ...]
    drawn: bool = False

    def name(self, token: int) -> str:
        return common.token(self.hand.layout.name_of(token))

    def short(self, token: int) -> str:
        return words.short(self.hand.layout.name_of(token))


def four(value: float) -> str:
    """A number in a sentence, with four digits."""
    return figures(value, 0 if value == round(value) else decimals_of([value]))


def every(name: str, columns: Mapping[str, np.ndarray | list[str]], size: int) -> None:
    """All numbers of a step, sent once they are opened; the table there can be searched, copied and downloaded."""
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
            st.dataframe({words.INDEX: index, **columns}, hide_index=True, height=360, placeholder=common.NOTHING)


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


# The first steps by hand: pixels, patch embedding, position, and the token that enters the layer.


def show_pixels(sheet: Worksheet, start: EmbeddedToken) -> None:
    context, hand, pixels = sheet.context, sheet.hand, start.pixels
    if pixels is None:
        st.markdown(words.NO_PIXELS.format(query=sheet.name(hand.query), width=start.embedding.size))
        return
    cell = hand.layout.cell_of(hand.query)
    assert cell is not None
    (row, col), (height, width) = cell, hand.layout.patch_size

    def draw() -> Figure:
        return Figure(
            arrays={"pixels": pixels},
            drawing=draw_patch(context.shown, hand.layout, hand.query, theme=context.theme, width=figure.HALF),
            alt=words.PATCH_ALT.format(row=row, col=col),
            provenance=context.subject.provenance("patch", query=hand.layout.name_of(hand.query)),
            snippet=context.subject.snippet(),
        )

    if sheet.drawn:
        figure.show(context, "patch by hand", draw, width=figure.HALF, token=hand.query)
    st.markdown(
        words.PIXELS_TEXT.format(height=height, width=width, count=pixels.size, channels=words.COUNTED[len(pixels)])
    )
    corner = corner_of(sheet, pixels)
    mean, spread = (np.asarray(each) for each in (context.model.preprocessing.mean, context.model.preprocessing.std))
    steps = (corner, corner / 255, mean, spread, pixels[:, 0, 0])
    name, *headings = words.PIXEL_COLUMNS
    columns = [Column(heading, step.tolist()) for heading, step in zip(headings, steps, strict=True)]
    columns[0] = replace(columns[0], decimals=0)
    tables.show(tables.numbers([Column(name, channels_of(pixels)), *columns]))


def corner_of(sheet: Worksheet, pixels: np.ndarray) -> np.ndarray:
    """(channels,): the upper left of the patch's `pixels` as the photograph has it, 0 to 255."""
    layout = sheet.hand.layout
    row, col = layout.cell_of(sheet.hand.query) or (0, 0)
    height, width = layout.patch_size
    whole = np.asarray(sheet.context.shown.convert("RGB"))
    return whole[row * height, col * width].astype(float)[: len(pixels)]


def channels_of(pixels: np.ndarray) -> list[str]:
    """What the channels of pixels (channels, height, width) are called."""
    return list(words.CHANNELS) if len(pixels) == len(words.CHANNELS) else [words.GREY]


def show_embedding(sheet: Worksheet, start: EmbeddedToken) -> None:
    pixels = start.pixels
    if pixels is None:
        st.markdown(words.CAPTION_NO_EMBEDDING.format(query=sheet.name(sheet.hand.query)))
        return
    if start.filters is None or start.filter_bias is None:
        sentence(words.EMBED_OTHER)
        return
    c = sheet.component
    st.markdown(words.EMBED_TEXT.format(width=start.embedding.size, count=pixels.size, component=c))
    places = np.ndindex(*pixels.shape)
    names = [words.EMBED_PIXEL.format(colour=channels_of(pixels)[channel], row=y, col=x) for channel, y, x in places]
    flat, filters = pixels.ravel(), start.filters[c].ravel()  # (channels * height * width,) each
    products(words.EMBED_COLUMNS, names, flat, filters, float(start.filter_bias[c]))
    _, one, two, three = words.EMBED_COLUMNS
    every("embedding", {words.EMBED_COLUMNS[0]: names, one: flat, two: filters, three: flat * filters}, flat.size)


def show_position(sheet: Worksheet, start: EmbeddedToken) -> None:
    width = start.embedding.size
    index = [str(i) for i in range(SHOWN)]
    if start.position is None:
        st.markdown(no_position(sheet))
        return
    prefix = start.pixels is None
    names = words.POSITION_COLUMNS_PREFIX if prefix else words.POSITION_COLUMNS
    total = start.embedding + start.position
    columns = dict(zip(names[1:], (start.embedding, start.position, total), strict=True))
    if start.norm is not None:
        columns[words.POSITION_NORM] = start.token
    st.markdown(words.POSITION_TEXT.format(width=width))
    tables.show(
        tables.numbers([Column(names[0], index), *(Column(name, v[:SHOWN].tolist()) for name, v in columns.items())])
    )
    every("position", columns, width)
    context, hand = sheet.context, sheet.hand
    one, two = start.embedding, start.position

    def draw() -> Figure:
        terms = dict(zip(words.SUM_NAMES_PREFIX if prefix else words.SUM_NAMES, (one, two), strict=True))
        return Figure(
            arrays={"embedding": one, "position": two, "total": total},
            drawing=draw_sum(terms, result=words.SUM_RESULT, theme=context.theme, width=figure.whole(context)),
            alt=words.SUM_ALT,
            provenance=context.subject.provenance("embedding sum", query=hand.layout.name_of(hand.query)),
            snippet=context.subject.snippet("sums = vitviz.embedding_sum(model, trace.input, trace.layout)"),
        )

    if sheet.drawn:
        figure.show(context, "sum by hand", draw, token=hand.query)


def no_position(sheet: Worksheet) -> str:
    """Why no position is added."""
    if sheet.hand.rotates:
        reason = words.NO_POSITION_ROTARY
    else:
        reason = words.NO_POSITION_NONE if sheet.opened.attention.bias is None else words.NO_POSITION_BIAS
    return words.NO_POSITION.format(reason=reason)


def show_entering(sheet: Worksheet, start: EmbeddedToken) -> None:
    hand = sheet.hand
    width = hand.residual.size
    if hand.layer == 0:
        sentence(words.ENTERS_FIRST, width=width)
        return
    before, length = float(np.linalg.norm(start.token)), float(np.linalg.norm(hand.residual))
    cosine = float(start.token @ hand.residual / max(before * length, 1e-30))
    sentence(words.ENTERS_LATER, layers=hand.layer, width=width, length=length, before=before, cosine=cosine)
    index = [str(i) for i in range(SHOWN)]
    names = [name.format(layer=hand.layer) for name in words.ENTERS_COLUMNS]
    values = (start.token[:SHOWN].tolist(), hand.residual[:SHOWN].tolist())
    tables.show(tables.numbers([Column(names[0], index), Column(names[1], values[0]), Column(names[2], values[1])]))


# The last step by hand: the same arithmetic for all tokens at once, as matrices.

FIGURES = {"scores": scores_figure, "weights": weights_figure, "output": output_figure}


def show_matrices(sheet: Worksheet) -> None:
    context, hand, opened = sheet.context, sheet.hand, sheet.opened
    tokens = hand.layout.num_tokens
    if tokens > LARGEST:
        sentence(words.MATRIX_TOO_LARGE, tokens=tokens)
        return
    kind = str(state.value_of("matrix"))
    st.markdown(words.MATRICES_TEXT[kind].format(query=hand.query))
    if not sheet.drawn:
        return
    make = FIGURES[kind]
    figure.show(
        context,
        "matrix by hand",
        lambda: make(context.subject, opened, hand, theme=context.theme, width=figure.whole(context)),
        kind=kind,
        layer=hand.layer,
        head=hand.head,
        query=hand.query,
        key=hand.key,
    )
