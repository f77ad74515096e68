"""The second of two sides: in what it differs from the first, which is the selection of the sidebar."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import streamlit as st

from vitviz.analysis.attention import attention_map
from vitviz.analysis.positions import position_similarity
from vitviz.analysis.queries import MEAN, POOL, Query, corresponding_cell, default_query
from vitviz.capture.attention import Attention
from vitviz.errors import Cancelled, UnsupportedError, VitvizError
from vitviz.figures.attention import map_code
from vitviz.figures.comparison import Side
from vitviz.figures.embeddings import SIMILARITY_LINE
from vitviz.heatmap import Heatmap
from vitviz.models.registry import curated
from vitviz.samples import samples
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.compute import images, loading
from vitviz.ui.context import PageContext, open_context
from vitviz.ui.controls.pickers import head_words, named
from vitviz.ui.controls.rollouts import rollout_of
from vitviz.ui.escape import escaped
from vitviz.ui.pages.compare import text as words
from vitviz.ui.selection import MODEL_NAME, UPLOAD, Selection
from vitviz.ui.text import common

# What can differ on side B: rollout has all layers and heads in it, and positions belong to the model alone.
DIFFERS = {"attention": ("model", "picture", "layer"), "rollout": ("model", "picture"), "positions": ("model",)}


def differs() -> str:
    """What differs between B and A."""
    possible = DIFFERS.get(state.value_of("compared"), ("picture",))
    chosen = str(state.value_of("differs"))
    return chosen if chosen in possible else possible[0]


def choose_model(context: PageContext) -> None:
    """The choice of B's model: the same architecture with other weights, or another model by name."""
    known = {"embedded": words.EMBEDDED} | _families()
    if context.selection.weights == "trained":
        known.pop(context.selection.model, None)
    counterpart = words.SAME_TRAINED if context.selection.weights == "random" else words.SAME_UNTRAINED
    chosen = str(state.value_of("other_model"))
    names = ["", *known] if chosen in known or not chosen else ["", *known, chosen]
    st.selectbox(
        words.MODEL,
        names,
        format_func=named({"": counterpart} | known),
        help=words.MODEL_HELP,
        accept_new_options=True,
        **state.bound("other_model", chosen, typed_model),
    )


def typed_model(name: str) -> str:
    """A name that was typed, where it can be one; otherwise nothing changes."""
    name = name.strip()
    return name if not name or MODEL_NAME.fullmatch(name) else str(state.value_of("other_model"))


def choose_picture(context: PageContext, label: str = words.PICTURE) -> None:
    """The choice of B's photograph: another of the gallery, or the visitor's own."""
    titles = _pictures(context)
    st.selectbox(label, list(titles), format_func=named(titles), **state.bound("other_image", picture_of(context)))


def _pictures(context: PageContext) -> dict[str, str]:
    """The photographs that B may have, by name: all but A's, beginning with the one that follows A's in the gallery."""
    gallery = list(samples())
    here = context.selection.image or gallery[0].id
    place = next((index for index, sample in enumerate(gallery) if sample.id == here), -1)
    others = [sample for sample in gallery[place + 1 :] + gallery[: place + 1] if sample.id != here]
    own = {UPLOAD: words.OWN_PICTURE} if images.has_upload() and here != UPLOAD else {}
    return {sample.id: sample.title for sample in others} | own


def picture_of(context: PageContext) -> str:
    """The name of B's photograph."""
    titles = _pictures(context)
    chosen = str(state.value_of("other_image"))
    return chosen if chosen in titles else next(iter(titles))


def model_words(context: PageContext) -> str:
    """The name of a side's model."""
    chosen = context.selection.model  # a checkpoint may have any name, and is known by "file:" and its name
    name = words.EMBEDDED if chosen == "embedded" else _families().get(chosen, context.model.name)
    return name if context.model.trained else words.UNTRAINED.format(model=name)


def picture_words(name: str) -> str:
    """A photograph's title by its name; "" is the first of the gallery."""
    titles = {sample.id: sample.title for sample in samples()} | {UPLOAD: words.OWN_PICTURE}
    return titles.get(name or samples()[0].id, name)


def _families() -> dict[str, str]:
    return {entry.name: entry.family for entry in curated() if loading.may_load(entry.name)}


def selection_of(context: PageContext) -> Selection:
    """B's selection: that of A with one field changed."""
    plain = replace(context.selection, layer=-1, head=None, query="")
    if differs() == "picture":
        return replace(plain, image=picture_of(context))
    if differs() == "model":
        name = str(state.value_of("other_model"))
        if name:
            return replace(plain, model=name, weights="trained", size=0)
        return replace(plain, weights="random" if context.selection.weights == "trained" else "trained")
    return plain


def open_other(context: PageContext) -> PageContext | None:
    """B's context; where it cannot be opened, shows why in B's place and returns None, and A stays."""
    wanted = selection_of(context)
    try:
        other = open_context(wanted, loading.model_of(wanted), images.image_of(wanted))[0]
        if not other.one_grid:
            raise UnsupportedError(common.NOT_ONE_GRID.format(model=other.model.name))
        return other
    except Cancelled:
        raise
    except VitvizError as reason:
        st.error(escaped(reason))
        if differs() == "model" and not state.value_of("other_model"):  # it is the control that cannot be opened
            st.button(words.EMBEDDED_INSTEAD, on_click=state.change, kwargs={"other_model": "embedded"})
        else:
            st.button(words.BACK, key="back to the control", on_click=_back)
        return None


def _back() -> None:
    state.change(other_model="", other_image="")


def shared_context(context: PageContext, scope: str | None) -> PageContext:
    """A's context for questions about both sides: their answers are private where either picture is."""
    return replace(context, key=replace(context.key, scope=context.key.scope or scope))


def layer_of(context: PageContext, other: PageContext) -> int:
    """B's layer: the one chosen, else A's, or the last where B has fewer; another one where the layer is what differs."""
    chosen, end = int(state.value_of("other_layer")), other.trace.num_layers - 1
    return min(chosen if chosen >= 0 else default_layer(context, other), end)


def default_layer(context: PageContext, other: PageContext) -> int:
    """The layer that B has until another is chosen."""
    end = other.trace.num_layers - 1
    if differs() == "layer":
        return 0 if context.layer else end
    return end if context.layer == context.trace.num_layers - 1 else min(context.layer, end)


def head_of(context: PageContext, heads: int) -> int | None:
    """B's head: the one chosen, else A's where B has it."""
    chosen = int(state.value_of("other_head"))
    head = context.selection.head if chosen == -2 else None if chosen == -1 else chosen
    return head if head is None or head < heads else None


def read_layer(context: PageContext, other: PageContext) -> Callable[[int], int]:
    """The parameter for a value of the widget: B's default layer counts as no choice, so that B then follows A's layer."""
    plain = default_layer(context, other)
    return lambda layer: -1 if layer == plain else layer


def read_head(context: PageContext) -> Callable[[int], int]:
    """The same for the head; -1 is the mean of heads."""
    plain = -1 if context.selection.head is None else context.selection.head
    return lambda head: -2 if head == plain else head


# One side of two maps: model, picture, query and map.


@dataclass(frozen=True)
class ComparedSide:
    """One side of the comparison.

    Attributes:
        query: Text form of a `Query` of this side.
        layer, head: For attention only.
        heatmap: The map.
    """

    letter: str
    context: PageContext
    kind: str
    query: str
    layer: int | None
    head: int | None
    heatmap: Heatmap

    @property
    def params(self) -> tuple[tuple[str, Hashable], ...]:
        return ("head", self.head), ("kind", self.kind), ("layer", self.layer), ("query", self.query)

    @property
    def name(self) -> str:
        """Model, picture, layer and head in words."""
        parts = [model_words(self.context), picture_words(self.context.selection.image)]
        if self.layer is not None:
            parts += [words.LAYER_NAME.format(layer=self.layer), head_words(self.head)]
        return ", ".join(parts)


def heatmap_of(context: PageContext, kind: str, query: str, layer: int | None, head: int | None) -> Heatmap:
    """The map of one side.

    Raises:
        UnsupportedError: Where its model has none.
    """
    if kind == "positions":
        row, col = context.layout.cell_named(query) or (0, 0)
        patch = context.layout.token_at(row, col) - context.layout.num_prefix
        similar = context.ask(
            "one position", lambda _: position_similarity(context.model, context.layout, [patch])[0], patch=patch
        )
        return Heatmap(context.layout.patches(similar), words.POSITION_LABEL.format(row=row, col=col), signed=True)
    if kind == "rollout":
        return rollout_of(context, query)
    assert layer is not None
    if query == POOL and not context.trace.pooling:
        raise UnsupportedError(words.NO_POOLING)
    attention = layers_of_query(context, query)[layer]
    asks = _query_in(attention, context, query)
    shown: Heatmap = context.ask(
        "attention map", lambda _: attention_map(attention, asks, head), query=query, layer=layer, head=head
    )
    return shown


def _query_in(attention: Attention, context: PageContext, query: str) -> str:
    """The query in this layer's grid: a later stage's may be coarser."""
    cell = context.layout.cell_named(query)
    return (
        query
        if cell is None
        else cell_name(*corresponding_cell(cell, context.layout.grid, attention.query_layout.grid))
    )


def layers_of_query(context: PageContext, query: str) -> tuple[Attention, ...]:
    """The layers that have this query."""
    return (context.trace.pooling if Query.parse(query).pools else ()) or context.layers


def corresponding_query(context: PageContext, other: PageContext, query: str) -> str:
    """The query on the other side: the patch at the same place, the token of the same name, else that model's output query."""
    cell = context.layout.cell_named(query)
    if cell is not None:
        return cell_name(*corresponding_cell(cell, context.layout.grid, other.layout.grid))
    known = {*other.layout.prefix, MEAN, *([POOL] if other.trace.pooling else [])}
    return query if known.issuperset(Query.parse(query).names) else str(default_query(other.trace))


def exported(side: ComparedSide) -> Side:
    """The side as a figure takes it, with the Python that makes its map."""
    if side.kind == "positions":
        row, col = side.context.layout.cell_named(side.query) or (0, 0)
        patch = side.context.layout.token_at(row, col) - side.context.layout.num_prefix
        line = f"{SIMILARITY_LINE}\nheatmap = similarity[{patch}].reshape{side.context.layout.grid}"
    elif side.kind == "rollout":
        line = "heatmap = " + map_code("rollout", side.query) + ".values"
    else:
        assert side.layer is not None
        asks = _query_in(layers_of_query(side.context, side.query)[side.layer], side.context, side.query)
        line = "heatmap = " + map_code("attention", asks, side.layer, side.head) + ".values"
    details = {} if side.layer is None else {"layer": side.layer, "head": side.head}
    return Side(
        side.context.subject, side.heatmap, f"{side.letter}: {side.name}", Query.parse(side.query), line, details
    )
