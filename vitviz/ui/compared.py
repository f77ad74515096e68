"""One side of two maps: what is asked of which model about which picture, and the answer."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from vitviz.analysis.attention import attention_map
from vitviz.analysis.positions import position_similarity
from vitviz.analysis.queries import MEAN, POOL, Query, default_query, layers_asked
from vitviz.capture.attention import Attention
from vitviz.errors import UnsupportedError
from vitviz.figures.comparison import Side
from vitviz.figures.embeddings import SIMILARITY_LINE
from vitviz.figures.subject import made
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name
from vitviz.ui import other_side
from vitviz.ui.places import moved
from vitviz.ui.rolled import rollout_of
from vitviz.ui.stage import Stage
from vitviz.ui.text import compare as words


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
        parts = [other_side.model_words(self.stage), other_side.picture_words(self.stage.selection.image)]
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
