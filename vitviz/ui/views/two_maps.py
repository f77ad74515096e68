"""Two maps side by side, with one cursor."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import streamlit as st

from vitviz.analysis.attention import attention_map
from vitviz.analysis.faithfulness import rank_agreement
from vitviz.analysis.positions import position_similarity
from vitviz.analysis.queries import MEAN, POOL, default_query
from vitviz.analysis.rollout import rollout
from vitviz.capture.attention import Attention
from vitviz.draw import Scale
from vitviz.draw.scale import number
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.compare import Side, comparison_figure, difference, shared_scale
from vitviz.figures.positions import LINE
from vitviz.figures.subject import made
from vitviz.heatmap import Heatmap
from vitviz.ui import exhibits, figure, other_side, state
from vitviz.ui.choices import named
from vitviz.ui.places import cell_named, mark, marked_or_middle, marked_patch, moved, patch_name
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import compare as words

GROUP = "compared maps"
SIDE_BY_SIDE = "side-by-side"  # the key that `look` has a rule for
# CSS pixels of a picture: two beside each other, and what fits on a projector below the choices.
WIDEST = 320
POSITION_SCALE = Scale(-1, 1, signed=True)


@dataclass(frozen=True)
class _Side:
    """One side, and what is asked of it.

    query        a token of this side, MEAN or POOL
    layer, head  for attention only
    heatmap      the answer
    """

    letter: str
    stage: Stage
    kind: str
    query: str
    layer: int | None
    head: int | None
    heatmap: Heatmap

    @property
    def knobs(self) -> tuple[tuple[str, Hashable], ...]:
        return ("head", self.head), ("kind", self.kind), ("layer", self.layer), ("query", self.query)

    @property
    def name(self) -> str:
        """Model, picture, layer and head in words."""
        parts = [other_side.model_words(self.stage), other_side.picture_words(self.stage.selection.image)]
        if self.layer is not None:
            parts += [words.LAYER_NAME.format(layer=self.layer), _head_words(self.head)]
        return ", ".join(parts)


def show(stage: Stage) -> None:
    """Choices above, both maps below."""
    if not stage.trace.layers:
        st.info(words.NO_LAYERS)
        return
    kind = str(state.value_of("compared"))
    _choices(stage, kind)
    with st.container(key=SIDE_BY_SIDE, gap="small"):
        left, right = st.columns(2)
        with left:
            one = _first(stage, kind)
        with right:
            two = _second(stage, one)
        _maps(one, two)
    if two is not None:
        _below(one, two)


def _choices(stage: Stage, kind: str) -> None:
    """In what B differs, and who asks."""
    differs, possible = other_side.differs(), other_side.DIFFERS[kind]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if len(possible) > 1:
            st.segmented_control(
                words.DIFFERS, possible, format_func=named(words.DIFFERENCES), required=True,
                **state.bound("differs", differs),
            )  # fmt: skip
        if differs == "model":
            other_side.choose_model(stage)
        elif differs == "picture":
            other_side.choose_picture(stage)
        if kind != "positions":
            _whose(stage)
    if kind in words.KIND_NOTES:
        st.caption(words.KIND_NOTES[kind])


def _whose(stage: Stage) -> None:
    """Who asks: a prefix token, the pooling query, all patches, or the marked patch."""
    queries = [*stage.layout.prefix, *([POOL] if stage.trace.pooling else []), MEAN]
    key, patch = "choice of query to compare", "patch"
    st.session_state[key] = stage.query if stage.query in queries else patch
    marked = marked_or_middle(stage)

    def taken() -> None:
        asks = st.session_state[key]
        if asks == patch:
            state.change(query=patch_name(marked), pin="")
        else:
            state.change(query=asks, pin=patch_name(marked) if marked_patch(stage) else "")

    askers = {name: common.token(name) for name in queries} | {patch: words.MARKED}
    st.selectbox(words.WHOSE, list(askers), format_func=named(askers), help=words.WHOSE_HELP, key=key, on_change=taken)


def _first(stage: Stage, kind: str) -> _Side:
    query = patch_name(marked_or_middle(stage)) if kind == "positions" else stage.query
    _title("A", stage, words.SIDE_A_NOTE)
    layer = head = None
    if kind == "attention":
        layers = _layers(stage, query)
        layer, head = min(stage.layer, len(layers) - 1), stage.selection.head
        _layer_and_head(
            "A", layers, state.bound("layer", layer),
            state.bound("head", _held(head), _unheld),
        )  # fmt: skip
    return _Side("A", stage, kind, query, layer, head, _heatmap(stage, kind, query, layer, head))


def _second(stage: Stage, first: _Side) -> _Side | None:
    other = other_side.open_other(stage)
    if other is None:
        return None
    _title("B", other)
    kind = first.kind
    query = _query_there(stage, other, first.query)
    layer = head = None
    if kind == "attention":
        layers = _layers(other, query)
        layer = min(other_side.layer_of(stage, other), len(layers) - 1)
        head = other_side.head_of(stage, layers[layer].num_heads)
        _layer_and_head(
            "B", layers, state.bound("other_layer", layer, other_side.read_layer(stage, other)),
            state.bound("other_head", _held(head), other_side.read_head(stage)),
        )  # fmt: skip
    if cell_named(query, other.layout) is None and query != first.query:
        st.caption(words.QUERY_INSTEAD.format(wanted=common.token(first.query), given=common.token(query)))
    return _Side("B", other, kind, query, layer, head, _heatmap(other, kind, query, layer, head))


def _title(letter: str, stage: Stage, note: str | None = None) -> None:
    model, picture = other_side.model_words(stage), other_side.picture_words(stage.selection.image)
    st.markdown(words.SIDE.format(side=letter, model=model, picture=picture), help=note)


def _layer_and_head(letter: str, layers: Sequence[Attention], layer: dict[str, Any], head: dict[str, Any]) -> None:
    """The two choices of one side; layer and head are what ties each to the selection."""
    one, two = st.columns(2, gap="small")
    depths = {at: words.LAYER_NAME.format(layer=at) for at in range(len(layers))}
    one.selectbox(
        words.LAYER_OF.format(side=letter),
        list(depths),
        format_func=named(depths),
        label_visibility="collapsed",
        **layer,
    )
    count = layers[st.session_state[layer["key"]]].num_heads
    heads = {held: _head_words(_unheld(held)) for held in range(-1, count)}
    two.selectbox(
        words.HEAD_OF.format(side=letter), list(heads), format_func=named(heads), label_visibility="collapsed", **head
    )


def _held(head: int | None) -> int:
    """A head as a widget holds it: -1 for the mean of heads."""
    return -1 if head is None else head


def _unheld(held: int) -> int | None:
    return None if held < 0 else held


def _head_words(head: int | None) -> str:
    return words.HEAD_MEAN if head is None else words.HEAD_NAME.format(head=head)


def _layers(stage: Stage, query: str) -> tuple[Attention, ...]:
    return stage.trace.pooling if query == POOL and stage.trace.pooling else stage.trace.layers


def _query_there(stage: Stage, other: Stage, query: str) -> str:
    """The same query on the other side: a patch by its place, a token by its name, else what that model reads from."""
    cell = cell_named(query, stage.layout)
    if cell is not None:
        return patch_name(moved(cell, stage.layout.grid, other.layout.grid))
    known = {*other.layout.prefix, MEAN, *([POOL] if other.trace.pooling else [])}
    return query if query in known else default_query(other.trace)


def _heatmap(stage: Stage, kind: str, query: str, layer: int | None, head: int | None) -> Heatmap:
    if kind == "positions":
        row, col = cell_named(query, stage.layout) or (0, 0)
        patch = stage.layout.token_at(row, col) - stage.layout.num_prefix
        similar = stage.ask(
            "one position", lambda _: position_similarity(stage.model, stage.layout, [patch])[0], patch=patch
        )
        return Heatmap(stage.layout.patches(similar), words.POSITION_LABEL.format(row=row, col=col), signed=True)
    if kind == "rollout":
        found: Heatmap = stage.ask(
            "plain rollout",
            lambda progress: rollout(stage.trace, query, progress=lambda done, of: progress.report(done / of)),
            query=query,
        )
        return found
    assert layer is not None
    if query == POOL and not stage.trace.pooling:
        raise UnsupportedError(words.NO_POOLING)
    attention = _layers(stage, query)[layer]
    asks = 0 if query == POOL else _query_in(attention, stage, query)
    shown: Heatmap = stage.ask(
        "attention map", lambda _: attention_map(attention, asks, head), query=query, layer=layer, head=head
    )
    return shown


def _query_in(attention: Attention, stage: Stage, query: str) -> str:
    """The query as this layer knows it: a later stage's grid may be coarser."""
    cell = cell_named(query, stage.layout)
    return query if cell is None else patch_name(moved(cell, stage.layout.grid, attention.query_layout.grid))


def _maps(one: _Side, two: _Side | None) -> None:
    sides = [one] if two is None else [one, two]
    gap = two is not None and _difference_shown(one, two)
    columns = st.columns(3 if gap else 2)
    for column, side in zip(columns, sides, strict=False):
        with column:
            _picture(one.stage, side, _scale(sides if _shared() else [side]))
    if gap and two is not None:
        with columns[2]:
            _difference(one, two)


def _below(one: _Side, two: _Side) -> None:
    _display(one, two)
    if one.heatmap.grid == two.heatmap.grid:
        agreement = float(rank_agreement({"a": one.heatmap, "b": two.heatmap})[0, 1])
        flat = isnan(agreement)
        st.markdown(words.AGREEMENT_FLAT if flat else words.AGREEMENT.format(value=number(agreement, digits=2)))
    _ways_out(one, two)


def _robust() -> bool:
    return bool(state.value_of("scale") == "robust")


def _shared() -> bool:
    return bool(state.value_of("colours") == "shared")


def _wants_difference() -> bool:
    return bool(state.value_of("difference") == "shown")


def _difference_shown(one: _Side, two: _Side) -> bool:
    return _wants_difference() and one.heatmap.grid == two.heatmap.grid


def _scale(sides: list[_Side]) -> Scale:
    if sides[0].kind == "positions":
        return POSITION_SCALE
    return shared_scale(*(side.heatmap for side in sides), robust=_robust())


def _picture(stage: Stage, side: _Side, scale: Scale) -> None:
    grid = side.heatmap.grid
    marked = marked_patch(stage) or (marked_or_middle(stage) if side.kind == "positions" else None)
    alt = (words.ALT_POSITIONS if side.kind == "positions" else words.ALT).format(
        side=side.letter, label=side.heatmap.label, query=common.token(side.query), name=side.name
    )
    exhibits.picture(
        side.stage,
        f"map {side.letter}",
        alt=alt,
        on_pick=lambda name: _picked(stage, name, grid),
        heatmap=side.heatmap,
        scale=scale,
        knobs=side.knobs,
        chosen=patch_name(moved(marked, stage.layout.grid, grid)) if marked else "",
        link=GROUP,
        widest=WIDEST,
        one_of_many=side.letter != "A",
    )


def _picked(stage: Stage, name: str, grid: tuple[int, int]) -> None:
    row, _, col = name.removeprefix("r").partition("c")
    if row.isdecimal() and col.isdecimal() and int(row) < grid[0] and int(col) < grid[1]:
        mark(stage, moved((int(row), int(col)), grid, stage.layout.grid))


def _difference(one: _Side, two: _Side) -> None:
    gap = difference(one.heatmap, two.heatmap)
    label = one.heatmap.label.partition(",")[0]
    marked = marked_patch(one.stage)
    exhibits.picture(
        other_side.sharing(one.stage, two.stage.key.scope),
        "difference",
        alt=words.ALT_DIFFERENCE.format(label=label),
        on_pick=lambda name: _picked(one.stage, name, gap.grid),
        heatmap=Heatmap(gap.values, words.DIFFERENCE_LABEL.format(label=label), signed=True),
        scale=Scale.of(gap.values, robust=_robust(), signed=True),
        knobs=(("a", one.knobs), ("b", (two.stage.key, *two.knobs))),
        chosen=patch_name(moved(marked, one.stage.layout.grid, gap.grid)) if marked else "",
        link=GROUP,
        widest=WIDEST,
        one_of_many=True,
    )


def _display(one: _Side, two: _Side) -> None:
    """How the maps are shown: scales and the difference."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if one.kind != "positions":
            st.segmented_control(
                words.SCALES, list(words.SCALES_OF), format_func=named(words.SCALES_OF), help=words.SCALES_HELP, required=True,
                **state.bound("colours"),
            )  # fmt: skip
            ends = {"robust": common.SCALE_ROBUST, "raw": common.SCALE_RAW}
            st.segmented_control(
                words.ENDS,
                list(ends),
                format_func=named(ends),
                help=common.SCALE_HELP,
                required=True,
                **state.bound("scale"),
            )
        if one.heatmap.grid == two.heatmap.grid:
            st.toggle(
                words.DIFFERENCE, help=words.DIFFERENCE_HELP,
                **state.bound("difference", _wants_difference(), lambda on: "shown" if on else "hidden"),
            )  # fmt: skip
    if one.heatmap.grid != two.heatmap.grid:
        (a_rows, a_cols), (b_rows, b_cols) = one.heatmap.grid, two.heatmap.grid
        st.caption(words.NO_DIFFERENCE.format(a_rows=a_rows, a_cols=a_cols, b_rows=b_rows, b_cols=b_cols))


def _ways_out(one: _Side, two: _Side) -> None:
    both, asked = (
        other_side.sharing(one.stage, two.stage.key.scope),
        (_shared(), _robust(), _difference_shown(one, two)),
    )

    def make() -> Figure:
        shared, robust, gap = asked
        return comparison_figure(
            _exported(one), _exported(two), words.METHODS[one.kind], shared=shared, robust=robust, with_difference=gap,
            theme=both.theme,
        )  # fmt: skip

    figure.ways_out(both, "comparison", make, a=one.knobs, b=(two.stage.key, *two.knobs), asked=asked)


def _exported(side: _Side) -> Side:
    """The side as a figure takes it, with the Python that makes its map."""
    if side.kind == "positions":
        row, col = cell_named(side.query, side.stage.layout) or (0, 0)
        patch = side.stage.layout.token_at(row, col) - side.stage.layout.num_prefix
        line = f"{LINE}\nheatmap = similarity[{patch}].reshape{side.stage.layout.grid}"
    elif side.kind == "rollout":
        line = "heatmap = " + made("vitviz.rollout", "trace", query=side.query) + ".values"
    else:
        pooled = side.query == POOL
        assert side.layer is not None
        asks = 0 if pooled else _query_in(_layers(side.stage, side.query)[side.layer], side.stage, side.query)
        place = f"trace.{'pooling' if pooled else 'layers'}[{side.layer}]"
        line = "heatmap = " + made("vitviz.attention_map", place, query=asks, head=side.head) + ".values"
    details = {} if side.layer is None else {"layer": side.layer, "head": side.head}
    return Side(side.stage.subject, side.heatmap, f"{side.letter}: {side.name}", side.query, line, details)
