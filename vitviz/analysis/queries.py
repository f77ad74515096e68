"""Which query a map is of: a token by index or name, the mean over patches, or the query that pools."""

from __future__ import annotations

from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

MEAN = "mean"  # every patch asks, and the answers are averaged: what a head that averages patches reads
POOL = "pool"  # the query of the attention pooling after the last layer

Query = int | str


def default_query(trace: Trace) -> str:
    """The query whose map explains the output: the class token, else the pooling query, else the mean over patches."""
    if "cls" in trace.layers[-1].query_layout.prefix:
        return "cls"
    return POOL if trace.pooling else MEAN


def query_index(query: Query, layout: TokenLayout) -> int:
    """The token that `query` names in `layout`. Raises UnsupportedError for one that does not exist there."""
    try:
        if isinstance(query, str):
            return layout.token_named(query)
        layout.cell_of(query)
    except (ValueError, IndexError) as error:
        raise UnsupportedError(str(error)[0].upper() + str(error)[1:] + ".") from None
    return query
