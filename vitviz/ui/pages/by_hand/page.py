"""One head by hand: one token followed from its pixels through one head, every step with its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from vitviz.analysis.by_hand import (
    EmbeddedToken,
    Norm,
    OpenLayer,
    Rotation,
    at_temperature,
    embedded_token,
    head_by_hand,
    open_layer,
)
from vitviz.draw.scale import number
from vitviz.errors import UnsupportedError
from vitviz.figures.by_hand import LARGEST
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.controls.captions import sentence
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import choose_layer, choose_one_head, choose_patch, named, robust_or_raw
from vitviz.ui.controls.tables import Column, decimals_of, figures
from vitviz.ui.pages.by_hand import stepper, steps
from vitviz.ui.pages.by_hand import text as words
from vitviz.ui.pages.by_hand.steps import SHOWN, Worksheet, every, four, products

PATCHES_SHOWN = 5


def render(context: PageContext) -> None:
    with page(words.PAGE, context) as its:
        if not context.trace.layers:
            st.info(words.NO_LAYERS)
            return
        with its.details():
            tables.show(tables.STYLE)
        with its.figure(), guarded("one head by hand"):
            sheet = _worksheet(context)
            start = _embedded(sheet)
            stepper.show(sheet, start)
            with its.controls():
                _choose(sheet)
            with its.settings():
                _settings(sheet)
            with its.details(), guarded("one step by hand"):
                _write(replace(sheet, drawn=its.details().open is True), start)


def query_of(context: PageContext) -> str:
    """Name of the token to follow: the one chosen, else the selected patch, because the steps begin with pixels."""
    try:
        context.layout.token_named(context.selection.query)
    except ValueError:
        row, col = context.selection.patch_of(context.layout)
        return cell_name(row, col)
    return context.selection.query


def layer_of(context: PageContext) -> int:
    """The layer to open: the first unless one was chosen, because only its tokens depend on their patch and position alone."""
    return 0 if context.selection.layer < 0 else context.layer


def _worksheet(context: PageContext) -> Worksheet:
    layer, query, head = layer_of(context), query_of(context), context.selection.head or 0
    opened: OpenLayer = context.ask(
        "open layer",
        lambda _: open_layer(context.model, context.trace, layer, context.hidden_states),
        words.OPENING.format(layer=layer),
        layer=layer,
    )
    head = head if head < opened.attention.num_heads else 0
    hand = head_by_hand(opened, head, query)
    shown = tuple(hand.strongest(PATCHES_SHOWN))
    pair = shown[min(int(state.value_of("pair")), len(shown) - 1)]
    component = min(int(state.value_of("component")), hand.head_dim - 1)
    return Worksheet(context, opened, head_by_hand(opened, head, query, pair), component, shown)


def _choose(sheet: Worksheet) -> None:
    """The row of controls: layer, head, the key that is written out, and the matrix of the last step."""
    context, hand, shown = sheet.context, sheet.hand, sheet.shown
    choose_layer(context.trace.num_layers, hand.layer, width=130)
    choose_one_head(sheet.opened.attention.num_heads, hand.head, width=130)
    if str(state.value_of("step")) == "matrices" and hand.layout.num_tokens <= LARGEST:
        st.segmented_control(
            words.MATRIX,
            list(words.MATRIX_OF),
            format_func=named(words.MATRIX_OF),
            required=True,
            **state.bound("matrix"),
        )
        return
    names = [sheet.short(token) for token in shown]
    st.selectbox(
        words.PAIR,
        list(range(len(shown))),
        format_func=lambda index: names[index],
        help=words.PAIR_HELP,
        width=190,
        **state.bound("pair", min(int(state.value_of("pair")), len(shown) - 1)),
    )


def _settings(sheet: Worksheet) -> None:
    """The settings: row and column of the patch, and the component that is written out."""
    context, hand = sheet.context, sheet.hand
    cell = hand.layout.cell_of(hand.query) or context.selection.patch_of(context.layout)
    choose_patch(context.layout.grid, cell)
    st.number_input(
        words.COMPONENT,
        0,
        hand.head_dim - 1,
        step=1,
        help=words.COMPONENT_HELP,
        **state.bound("component", sheet.component),
    )
    robust_or_raw()


def _embedded(sheet: Worksheet) -> EmbeddedToken | None:
    """The steps before the first layer; None where the model does more there than the page writes out."""
    context, query = sheet.context, sheet.hand.query
    try:
        start: EmbeddedToken = context.ask(
            "entrance by hand", lambda _: embedded_token(context.model, context.trace, sheet.opened, query), query=query
        )
    except UnsupportedError:
        return None
    return start


def _write(sheet: Worksheet, start: EmbeddedToken | None) -> None:
    """The numbers of the step that is shown, as tables."""
    step = str(state.value_of("step"))
    st.caption(words.ROUNDED)
    if step in BEFORE:
        if start is None:
            sentence(words.NOT_WRITTEN)
        else:
            BEFORE[step](sheet, start)
    elif step == "norm":
        if start is not None:
            steps.show_entering(sheet, start)
        _norm(sheet)
    else:
        AFTER[step](sheet)


# The later steps by hand: norm, query, key and value, scores, softmax, and the weighted sum of values.


def _norm(sheet: Worksheet) -> None:
    norm = sheet.hand.norm
    if norm is None:
        sentence(words.NO_NORM)
        return
    rms = norm.kind == "rms"
    st.markdown(f"**{words.NORM_RMS if rms else words.NORM}**")
    text = words.NORM_RMS_TEXT if rms else words.NORM_TEXT
    st.markdown(text.format(width=norm.given.size, mean=four(norm.mean), deviation=four(norm.deviation)))
    columns = _written(norm, words.NORM_RMS_COLUMNS if rms else words.NORM_COLUMNS)
    every("norm", columns, norm.given.size)


def _written(norm: Norm, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The first components, each line as it is typed into a calculator. Returns all of them, by column."""
    mean, deviation = np.full_like(norm.given, norm.mean), np.full_like(norm.given, norm.deviation)
    steps: tuple[np.ndarray, ...] = (norm.given, mean, deviation, norm.gain, norm.shift, norm.result)
    if norm.kind == "rms":
        steps = (norm.given, deviation, norm.gain, norm.result)
    named = dict(zip(names[1:], steps, strict=True))
    columns = [Column(name, step[:SHOWN].tolist()) for name, step in named.items()]
    tables.show(tables.numbers([Column(names[0], [str(i) for i in range(SHOWN)]), *columns]))
    return named


def _projections(sheet: Worksheet) -> None:
    hand, c = sheet.hand, sheet.component
    d, width = hand.q.slice.weight.shape
    sentence(words.PROJECT_TEXT, d=d, width=width, component=c)
    row = hand.q.slice.weight[c]  # (width,)
    bias = None if hand.q.slice.bias is None else float(hand.q.slice.bias[c])
    products(words.PROJECT_COLUMNS, [str(i) for i in range(width)], hand.given, row, bias)
    columns = dict(zip(words.PROJECT_COLUMNS[1:], (hand.given, row, hand.given * row), strict=True))
    every("projection", columns, width)
    if hand.q.norm is not None:
        _qk_norm(hand.q.norm)
    if hand.rotates:
        _rotation(sheet, hand.q.rotation)
    _vector(sheet, words.VECTOR_Q, "q", hand.query, hand.q.result)
    _vector(sheet, words.VECTOR_K, "k", hand.key, hand.k.result)
    _vector(sheet, words.VECTOR_V, "v", hand.key, hand.v.result)
    every("vectors", {"q": hand.q.result, "k": hand.k.result, "v": _padded(hand.v.result, d)}, d)


def _qk_norm(norm: Norm) -> None:
    st.markdown(f"**{words.QK_NORM}**")
    text = words.NORM_RMS_TEXT if norm.kind == "rms" else words.QK_NORM_TEXT
    size = norm.given.size
    st.markdown(text.format(d=size, width=size, mean=four(norm.mean), deviation=four(norm.deviation)))
    _written(norm, words.NORM_RMS_COLUMNS if norm.kind == "rms" else words.QK_NORM_COLUMNS)


def _rotation(sheet: Worksheet, turn: Rotation | None) -> None:
    hand = sheet.hand
    st.markdown(f"**{words.ROTATE}**")
    if turn is None:
        sentence(words.ROTATE_NOT, query=sheet.name(hand.query))
    else:
        sentence(words.ROTATE_TEXT)
        steps = (turn.given, turn.cos, turn.partner, turn.sin, turn.result)
        columns = [
            Column(name, step[:SHOWN].tolist()) for name, step in zip(words.ROTATE_COLUMNS[1:], steps, strict=True)
        ]
        tables.show(tables.numbers([Column(words.ROTATE_COLUMNS[0], [str(i) for i in range(SHOWN)]), *columns]))
    turned = words.ROTATE_KEY if hand.k.rotation is not None else words.ROTATE_KEY_NOT
    st.markdown(turned.format(key=sheet.name(hand.key)))


def _vector(sheet: Worksheet, sentence: str, name: str, token: int, values: np.ndarray) -> None:
    shown = values[:SHOWN]
    places = decimals_of(shown.tolist())
    text = ", ".join(figures(value, places) for value in shown.tolist())
    st.markdown(sentence.format(token=sheet.name(token), d=values.size, shown=len(shown), numbers=text))
    alt = words.VECTOR_ALT.format(d=values.size, name=name)
    tables.show(tables.vector(values, alt, sheet.component if sheet.component < values.size else None))


def _scores(sheet: Worksheet) -> None:
    hand = sheet.hand
    st.markdown(words.DOT_TEXT.format(d=hand.head_dim, key=sheet.name(hand.key)))
    index = [str(i) for i in range(hand.head_dim)]
    products(words.DOT_COLUMNS, index, hand.q.result, hand.k.result)
    terms = (hand.q.result, hand.k.result, hand.q.result * hand.k.result)
    every("dot", dict(zip(words.DOT_COLUMNS[1:], terms, strict=True)), hand.head_dim)

    tokens, shown = hand.weights.size, list(sheet.shown)
    root = float(np.sqrt(hand.head_dim))
    plain = bool(np.isclose(hand.factor * root, 1))
    text = words.SCORES_TEXT if plain else words.SCORES_TEXT_FACTOR
    st.markdown(text.format(tokens=tokens, d=hand.head_dim, root=four(root), factor=four(hand.factor)))
    if hand.bias is not None:
        sentence(words.SCORES_BIAS)
    key, dot, scaled, bias, score = words.SCORES_COLUMNS
    scaled = scaled.format(d=hand.head_dim) if plain else words.SCORES_FACTOR.format(factor=four(hand.factor))
    steps: dict[str, np.ndarray] = {dot: hand.dots, scaled: hand.dots * hand.factor}
    if hand.bias is not None:
        steps[bias] = hand.bias
        steps[score] = hand.scores
    columns = [Column(name, step[shown].tolist()) for name, step in steps.items()]
    names = [sheet.short(token) for token in shown]
    strong = [shown.index(hand.key)]
    tables.show(tables.numbers([Column(key, names), *columns], strong=strong))
    every("scores", {key: _all_names(sheet), **steps}, tokens)


def _softmax(sheet: Worksheet) -> None:
    _weights(sheet)
    _what_if(sheet)


def _weights(sheet: Worksheet) -> None:
    hand, shown = sheet.hand, list(sheet.shown)
    tokens = hand.weights.size
    st.markdown(words.SOFTMAX_TEXT.format(tokens=tokens, maximum=four(hand.maximum), total=four(hand.total)))
    key, score, less, power, weight = words.SOFTMAX_COLUMNS
    others = np.setdiff1d(np.arange(tokens), shown)
    names = [sheet.short(token) for token in shown]
    columns = [
        Column(key, [*names, *([words.REST.format(count=others.size)] if others.size else []), words.SUM]),
        Column(score, [*hand.scores[shown].tolist(), *([None] if others.size else []), None]),
        Column(less, [*(hand.scores - hand.maximum)[shown].tolist(), *([None] if others.size else []), None]),
        Column(power, _with_sum(hand.exps, shown, others)),
        Column(weight, _with_sum(hand.weights, shown, others), bars=len(shown), decimals=4),
    ]
    tables.show(tables.numbers(columns, strong=[shown.index(hand.key)], total=len(columns[0].values) - 1))
    steps = (hand.scores, hand.scores - hand.maximum, hand.exps, hand.weights)
    every("softmax", {key: _all_names(sheet), **dict(zip(words.SOFTMAX_COLUMNS[1:], steps, strict=True))}, tokens)
    st.caption(words.OWN.format(tokens=tokens, off=number(hand.weights_off, digits=1)))


def _with_sum(values: np.ndarray, shown: list[int], others: np.ndarray) -> list[str | float | None]:
    rest = [float(values[others].sum())] if others.size else []
    return [*values[shown].tolist(), *rest, float(values.sum())]


def _what_if(sheet: Worksheet) -> None:
    hand, shown = sheet.hand, list(sheet.shown)
    with st.container(border=True):
        st.markdown(f"**{words.WHAT_IF}**")
        sentence(words.WHAT_IF_TEXT)
        st.slider(words.TEMPERATURE, 0.1, 5.0, step=0.1, **state.bound("temperature"))
        temperature = float(state.value_of("temperature"))
        softened = at_temperature(hand.scores, temperature)
        key, score, weight, own = (name.format(temperature=f"{temperature:.1f}") for name in words.WHAT_IF_COLUMNS)
        longest = float(max(softened[shown].max(), hand.weights[shown].max()))  # bars of both columns are compared
        columns = [
            Column(key, [sheet.short(token) for token in shown]),
            Column(score, (hand.scores / temperature)[shown].tolist()),
            Column(weight, softened[shown].tolist(), bars=len(shown), longest=longest, decimals=4),
            Column(own, hand.weights[shown].tolist(), bars=len(shown), longest=longest, decimals=4),
        ]
        tables.show(tables.numbers(columns))
        counts = {"half": keys_for_half(softened), "own": keys_for_half(hand.weights), "tokens": hand.weights.size}
        st.markdown(words.WHAT_IF_FACTS.format(temperature=f"{temperature:.1f}", **counts))


def keys_for_half(weights: np.ndarray) -> int:
    """How many keys, strongest first, it takes to hold half of the weight."""
    return int(np.searchsorted(np.cumsum(np.sort(weights)[::-1]), 0.5) + 1)


def _output(sheet: Worksheet) -> None:
    hand, shown = sheet.hand, list(sheet.shown)
    tokens, d = hand.values.shape
    c = min(sheet.component, d - 1)
    st.markdown(words.OUTPUT_TEXT.format(d=d, component=c))
    shares = hand.weights * hand.values[:, c]  # (tokens,)
    others = np.setdiff1d(np.arange(tokens), shown)
    key, weight, value, share = (name.format(component=c) for name in words.OUTPUT_COLUMNS)
    gap: list[None] = [None] if others.size else []
    names = [sheet.short(token) for token in shown]
    columns = [
        Column(key, [*names, *([words.REST.format(count=others.size)] if others.size else []), words.SUM]),
        Column(weight, _with_sum(hand.weights, shown, others), decimals=4),
        Column(value, [*hand.values[shown, c].tolist(), *gap, None]),
        Column(share, _with_sum(shares, shown, others), bars=len(shown)),
    ]
    tables.show(tables.numbers(columns, strong=[shown.index(hand.key)], total=len(columns[0].values) - 1))
    every("output", {key: _all_names(sheet), weight: hand.weights, value: hand.values[:, c], share: shares}, tokens)
    _vector(sheet, words.VECTOR_O, "o", hand.query, hand.output)
    heads = sheet.opened.attention.num_heads
    st.markdown(" ".join([words.OUTPUT_NEXT.format(heads=heads, d=d, together=heads * d), *_added(sheet)]))
    st.caption(words.OUTPUT_OWN.format(off=number(hand.output_off, digits=1)))


def _added(sheet: Worksheet) -> list[str]:
    """What is done with the head's output: LayerScale where the model has it, and how much the head adds to the token."""
    hand, said = sheet.hand, []
    if hand.scale is not None:
        median = four(float(np.median(np.abs(hand.scale))))
        said.append(words.OUTPUT_SCALE.format(width=hand.scale.size, median=median))
    if hand.added is None:
        return [*said, words.OUTPUT_OTHERWISE]
    lengths = (four(float(np.linalg.norm(vector))) for vector in (hand.added, hand.residual))
    return [*said, words.OUTPUT_ADDED.format(**dict(zip(("added", "length"), lengths, strict=True)))]


def _all_names(sheet: Worksheet) -> list[str]:
    return [sheet.short(token) for token in range(sheet.hand.layout.num_tokens)]


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    """(size,): values narrower than queries end in not-a-number; wider ones are cut."""
    padded = np.full(max(size, values.size), np.nan)
    padded[: values.size] = values
    return padded[:size]


BEFORE = {"pixels": steps.show_pixels, "embedding": steps.show_embedding, "position": steps.show_position}
AFTER = {
    "qkv": _projections,
    "scores": _scores,
    "softmax": _softmax,
    "output": _output,
    "matrices": steps.show_matrices,
}
