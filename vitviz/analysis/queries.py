"""The query that a map is about, in the layers of a trace: a token, the mean over patches, the pooling query, or a mixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from vitviz.capture.attention import Attention
from vitviz.capture.readout import by_names
from vitviz.capture.trace import StagedTrace, Trace
from vitviz.errors import UnsupportedError
from vitviz.tokens import MEAN as MEAN
from vitviz.tokens import POOL as POOL
from vitviz.tokens import Query as Query
from vitviz.tokens import QueryLike as QueryLike
from vitviz.tokens import TokenLayout

T = TypeVar("T")


def default_query(trace: Trace | StagedTrace) -> Query:
    """The query that the model's output is computed from, as found when the trace was made.

    For a trace that does not say: the class token, else the pooling query, else the mean over patches.
    """
    if trace.reads is not None:
        return trace.reads
    return by_names(trace.layers[-1].query_layout if trace.layers else None, bool(trace.pooling))


def query_of(trace: Trace, query: QueryLike | None = None) -> Query:
    """`query` as a `Query`, by default `default_query`.

    query  a token's index, a text form ("cls", "r3c5", "mean", "pool", "cls+dist"), or a `Query`

    Raises UnsupportedError for a query that the trace does not have.
    """
    if query is None:
        return default_query(trace)
    layout = trace.layers[-1].query_layout if trace.layers else trace.layout
    found = as_query(query, layout)
    if not found.pools:
        row_weights(found, layout)
    elif not trace.pooling:
        raise UnsupportedError(f"{trace.model_name} has no attention pooling; choose a token or the mean over patches.")
    return found


def as_query(query: QueryLike, layout: TokenLayout) -> Query:
    """`Query.of`. Raises UnsupportedError for what is no query, or no token of `layout`."""
    return _in_words(lambda: Query.of(query, layout))


def row_weights(
    query: Query, layout: TokenLayout, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(1, tokens): the weight of each token's row. Raises UnsupportedError for a name that `layout` does not have."""
    weights = _in_words(lambda: query.weights(layout))
    return torch.from_numpy(weights).to(device, dtype)[None]


def query_index(query: QueryLike, layout: TokenLayout) -> int:
    """The token of a query that is one token of `layout`. Raises UnsupportedError for any other."""
    asked = as_query(query, layout)
    if len(asked.parts) > 1 or asked.names[0] in (MEAN, POOL):
        raise UnsupportedError(f"This is answered for one token, such as r0c0, and {asked} is none.")
    return _in_words(lambda: layout.token_named(asked.names[0]))


def layers_asked(trace: Trace, query: Query) -> tuple[Attention, ...]:
    """The layers whose queries `query` is among: those that only collect for the pooling query, else those over the grid."""
    return trace.pooling if query.pools else trace.layers


def _in_words(compute: Callable[[], T]) -> T:
    """The same answer, with what does not exist as a sentence."""
    try:
        return compute()
    except (ValueError, IndexError) as error:
        raise UnsupportedError(str(error)[0].upper() + str(error)[1:] + ".") from None
