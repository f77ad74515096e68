"""Rollouts as several pages ask for them.

Heads are fused once for all queries and options, where the matrices of all layers are not too large to keep.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from vitviz.analysis.head_rollout import head_rollouts
from vitviz.analysis.rollout import (
    FUSIONS,
    PAPER,
    RolloutOptions,
    check_defined,
    head_fused_nbytes,
    head_fused_traces,
    rollout,
)
from vitviz.analysis.sinks import MapSinks, attention_mass, rollout_sinks
from vitviz.capture.trace import Trace
from vitviz.heatmap import Heatmap
from vitviz.ui.compute import services
from vitviz.ui.context import PageContext

# A matrix of tokens x tokens for every layer and fusion: 90 MB each for the embedded model at 1,370 tokens. Where all fusions
# would take more than this, only the one asked for is kept; where that one would, every rollout reads all heads again.
ALL_FUSED_BYTES = 288 * 2**20
FUSED_BYTES = 128 * 2**20


def rollout_of(context: PageContext, query: str, options: RolloutOptions = PAPER) -> Heatmap:
    """Rollout of one query.

    Raises:
        UnsupportedError: As `rollout`.
    """
    params: dict[str, Hashable] = {"query": query, "options": options}
    through = _fused_trace(context, options, "rollout", params)
    found: Heatmap = context.ask(
        "rollout", lambda progress: rollout(through or context.trace, query, options, progress), **params
    )
    return found


def rollout_sinks_of(context: PageContext, query: str, options: RolloutOptions = PAPER) -> MapSinks:
    """The sinks of the rollout of one query, and the same map without them."""
    heatmap = rollout_of(context, query, options)
    mass: np.ndarray = context.ask("attention mass", lambda _: attention_mass(context.trace))
    return rollout_sinks(context.trace, heatmap, options, mass)


def head_rollouts_of(context: PageContext, method: str, query: str, options: RolloutOptions) -> np.ndarray:
    """(layers, heads, rows, cols): rollout of every head.

    Raises:
        UnsupportedError: As `head_rollouts`.
    """
    params: dict[str, Hashable] = {"query": query, "method": method, "options": options}
    through = _fused_trace(context, options, "head rollouts", params)
    found: np.ndarray = context.ask(
        "head rollouts",
        lambda progress: head_rollouts(context.trace, method, query, options, progress, through),
        **params,
    )
    return found


def _fused_trace(context: PageContext, options: RolloutOptions, what: str, params: dict[str, Hashable]) -> Trace | None:
    """The trace with fused heads, where the answer to `what` is not known yet and the matrices are not too large to keep."""
    check_defined(options.layers(context.trace), context.model.name)
    nbytes = head_fused_nbytes(context.trace)
    if context.key.derive(what, **params) in services.queue().results or nbytes > FUSED_BYTES:
        return None
    fusions = FUSIONS if len(FUSIONS) * nbytes <= ALL_FUSED_BYTES else (options.fusion,)
    fused: dict[str, Trace] = context.ask(
        "fused heads", lambda progress: head_fused_traces(context.trace, fusions, progress), fusions=fusions
    )
    return fused[options.fusion]
