"""The second of two sides: in what it differs from the first, which is the selection of the sidebar."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import streamlit as st

from vitviz.analysis.attention import attention_map
from vitviz.analysis.positions import position_similarity
from vitviz.analysis.queries import MEAN, POOL, Query, default_query, layers_asked
from vitviz.capture.attention import Attention
from vitviz.errors import Cancelled, UnsupportedError, VitvizError
from vitviz.figures.comparison import Side
from vitviz.figures.embeddings import SIMILARITY_LINE
from vitviz.figures.subject import made
from vitviz.heatmap import Heatmap
from vitviz.models.registry import curated
from vitviz.samples import samples
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.compute import loading
from vitviz.ui.context import Stage, open_stage
from vitviz.ui.controls.pickers import moved, named
from vitviz.ui.controls.questions import rollout_of
from vitviz.ui.escape import escaped
from vitviz.ui.pages.compare import text as words
from vitviz.ui.selection import MODEL_NAME, UPLOAD, Selection
from vitviz.ui.text import common

# In what B can differ: rollout has all layers and heads in it, and positions belong to the model alone.
DIFFERS = {"attention": ("model", "picture", "layer"), "rollout": ("model", "picture"), "positions": ("model",)}


def differs() -> str:
    """In what B differs from A."""
    possible = DIFFERS.get(state.value_of("compared"), ("picture",))
    chosen = str(state.value_of("differs"))
    return chosen if chosen in possible else possible[0]


def choose_model(stage: Stage) -> None:
    """Whose weights B has: the same architecture's other ones, or another model by name."""
    known = {"embedded": words.EMBEDDED} | _families()
    if stage.selection.weights == "trained":
        known.pop(stage.selection.model, None)
    counterpart = words.SAME_TRAINED if stage.selection.weights == "random" else words.SAME_UNTRAINED
    chosen = str(state.value_of("other_model"))
    names = ["", *known] if chosen in known or not chosen else ["", *known, chosen]
    st.selectbox(
        words.MODEL, names, format_func=named({"": counterpart} | known), help=words.MODEL_HELP, accept_new_options=True,
        **state.bound("other_model", chosen, typed_model),
    )  # fmt: skip


def typed_model(name: str) -> str:
    """A name that somebody typed, where it can be one; otherwise everything stays."""
    name = name.strip()
    return name if not name or MODEL_NAME.fullmatch(name) else str(state.value_of("other_model"))


def choose_picture(stage: Stage, label: str = words.PICTURE) -> None:
    """Which photograph B has: another of the gallery, or one's own."""
    titles = _pictures(stage)
    st.selectbox(label, list(titles), format_func=named(titles), **state.bound("other_image", picture_of(stage)))


def _pictures(stage: Stage) -> dict[str, str]:
    """The photographs that B may have, by name: all but A's, beginning with the one that follows A's in the gallery."""
    gallery = list(samples())
    here = stage.selection.image or gallery[0].id
    place = next((index for index, sample in enumerate(gallery) if sample.id == here), -1)
    others = [sample for sample in gallery[place + 1 :] + gallery[: place + 1] if sample.id != here]
    own = {UPLOAD: words.OWN_PICTURE} if loading.has_upload() and here != UPLOAD else {}
    return {sample.id: sample.title for sample in others} | own


def picture_of(stage: Stage) -> str:
    """The name of B's photograph."""
    titles = _pictures(stage)
    chosen = str(state.value_of("other_image"))
    return chosen if chosen in titles else next(iter(titles))


def model_words(stage: Stage) -> str:
    """A side's model, for people."""
    chosen = stage.selection.model  # a checkpoint may have any name, and is known by "file:" and its name
    name = words.EMBEDDED if chosen == "embedded" else _families().get(chosen, stage.model.name)
    return name if stage.model.trained else words.UNTRAINED.format(model=name)


def picture_words(name: str) -> str:
    """A photograph's title by its name; "" is the first of the gallery."""
    titles = {sample.id: sample.title for sample in samples()} | {UPLOAD: words.OWN_PICTURE}
    return titles.get(name or samples()[0].id, name)


def _families() -> dict[str, str]:
    return {entry.name: entry.family for entry in curated()}


def selection_of(stage: Stage) -> Selection:
    """What B shows: the selection of A with one thing changed."""
    plain = replace(stage.selection, layer=-1, head=None, query="")
    if differs() == "picture":
        return replace(plain, image=picture_of(stage))
    if differs() == "model":
        name = str(state.value_of("other_model"))
        if name:
            return replace(plain, model=name, weights="trained", size=0)
        return replace(plain, weights="random" if stage.selection.weights == "trained" else "trained")
    return plain


def open_other(stage: Stage) -> Stage | None:
    """B's stage; where it cannot be opened, says why in B's place and returns None, and A goes on standing."""
    wanted = selection_of(stage)
    try:
        other = open_stage(wanted, loading.model_of(wanted), loading.image_of(wanted))[0]
        if not other.one_grid:
            raise UnsupportedError(common.NOT_ONE_GRID.format(model=other.model.name))
        return other
    except Cancelled:
        raise
    except VitvizError as reason:
        st.error(escaped(reason))
        st.button(words.BACK, key="back to the control", on_click=_back)
        return None


def _back() -> None:
    state.change(other_model="", other_image="")


def sharing(stage: Stage, scope: str | None) -> Stage:
    """A's stage for questions about both sides: their answers are private where either picture is."""
    return replace(stage, key=replace(stage.key, scope=stage.key.scope or scope))


def layer_of(stage: Stage, other: Stage) -> int:
    """B's layer: the one chosen, else A's, or the last where B has fewer; another one where the layer is what differs."""
    chosen, end = int(state.value_of("other_layer")), other.trace.num_layers - 1
    return min(chosen if chosen >= 0 else plain_layer(stage, other), end)


def plain_layer(stage: Stage, other: Stage) -> int:
    """The layer that B has until another is chosen."""
    end = other.trace.num_layers - 1
    if differs() == "layer":
        return 0 if stage.layer else end
    return end if stage.layer == stage.trace.num_layers - 1 else min(stage.layer, end)


def head_of(stage: Stage, heads: int) -> int | None:
    """B's head: the one chosen, else A's where B has it."""
    chosen = int(state.value_of("other_head"))
    head = stage.selection.head if chosen == -2 else None if chosen == -1 else chosen
    return head if head is None or head < heads else None


def read_layer(stage: Stage, other: Stage) -> Callable[[int], int]:
    """From what the widget holds to the knob: B's plain layer is no choice, so that B goes on following A."""
    plain = plain_layer(stage, other)
    return lambda layer: -1 if layer == plain else layer


def read_head(stage: Stage) -> Callable[[int], int]:
    """The same for the head; -1 is the mean of heads."""
    plain = -1 if stage.selection.head is None else stage.selection.head
    return lambda head: -2 if head == plain else head


# One side of two maps: what is asked of which model about which picture, and the answer.


@dataclass(frozen=True)
class ComparedSide:
    """One side, and what is asked of it.

    query        text form of a `Query` of this side
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
        parts = [model_words(self.stage), picture_words(self.stage.selection.image)]
        if self.layer is not None:
            parts += [words.LAYER_NAME.format(layer=self.layer), head_words(self.head)]
        return ", ".join(parts)


def heatmap_of(stage: Stage, kind: str, query: str, layer: int | None, head: int | None) -> Heatmap:
    """The answer of one side. Raises UnsupportedError where its model has none."""
    if kind == "positions":
        row, col = stage.layout.cell_named(query) or (0, 0)
        patch = stage.layout.token_at(row, col) - stage.layout.num_prefix
        similar = stage.ask(
            "one position", lambda _: position_similarity(stage.model, stage.layout, [patch])[0], patch=patch
        )
        return Heatmap(stage.layout.patches(similar), words.POSITION_LABEL.format(row=row, col=col), signed=True)
    if kind == "rollout":
        return rollout_of(stage, query)
    assert layer is not None
    if query == POOL and not stage.trace.pooling:
        raise UnsupportedError(words.NO_POOLING)
    attention = asked_in(stage, query)[layer]
    asks = _query_in(attention, stage, query)
    shown: Heatmap = stage.ask(
        "attention map", lambda _: attention_map(attention, asks, head), query=query, layer=layer, head=head
    )
    return shown


def _query_in(attention: Attention, stage: Stage, query: str) -> str:
    """The query as this layer knows it: a later stage's grid may be coarser."""
    cell = stage.layout.cell_named(query)
    return query if cell is None else cell_name(*moved(cell, stage.layout.grid, attention.query_layout.grid))


def asked_in(stage: Stage, query: str) -> tuple[Attention, ...]:
    """The layers in which this query asks."""
    return layers_asked(stage.trace, Query.parse(query)) or stage.trace.layers


def query_there(stage: Stage, other: Stage, query: str) -> str:
    """The same query on the other side: a patch by its place, a token by its name, else what that model reads from."""
    cell = stage.layout.cell_named(query)
    if cell is not None:
        return cell_name(*moved(cell, stage.layout.grid, other.layout.grid))
    known = {*other.layout.prefix, MEAN, *([POOL] if other.trace.pooling else [])}
    return query if known.issuperset(Query.parse(query).names) else str(default_query(other.trace))


def head_words(head: int | None) -> str:
    """One head, or the mean of all, for people."""
    return words.HEAD_MEAN if head is None else words.HEAD_NAME.format(head=head)


def exported(side: ComparedSide) -> Side:
    """The side as a figure takes it, with the Python that makes its map."""
    if side.kind == "positions":
        row, col = side.stage.layout.cell_named(side.query) or (0, 0)
        patch = side.stage.layout.token_at(row, col) - side.stage.layout.num_prefix
        line = f"{SIMILARITY_LINE}\nheatmap = similarity[{patch}].reshape{side.stage.layout.grid}"
    elif side.kind == "rollout":
        line = "heatmap = " + made("vitviz.rollout", "trace", query=side.query) + ".values"
    else:
        assert side.layer is not None
        asks = _query_in(asked_in(side.stage, side.query)[side.layer], side.stage, side.query)
        place = f"trace.{'pooling' if side.query == POOL else 'layers'}[{side.layer}]"
        line = "heatmap = " + made("vitviz.attention_map", place, query=asks, head=side.head) + ".values"
    details = {} if side.layer is None else {"layer": side.layer, "head": side.head}
    return Side(side.stage.subject, side.heatmap, f"{side.letter}: {side.name}", Query.parse(side.query), line, details)
