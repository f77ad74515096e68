"""Rollouts of a stage. Heads are fused once and kept, so that another query or knob costs a few products."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from vitviz.analysis.head_rollout import head_rollouts
from vitviz.analysis.rollout import FUSIONS, PAPER, RolloutOptions, check_defined, fused_nbytes, fused_traces, rollout
from vitviz.capture.trace import Trace
from vitviz.heatmap import Heatmap
from vitviz.ui import services
from vitviz.ui.asking import fraction
from vitviz.ui.stage import Stage

# A matrix of tokens x tokens for every layer and fusion: 90 MB each for the embedded model at 1,370 tokens. Where all fusions
# would take more than this, only the one asked for is kept; where that one would, every rollout goes through all heads again.
ALL_FUSED_BYTES = 288 * 2**20
FUSED_BYTES = 128 * 2**20


def rollout_of(stage: Stage, query: str, options: RolloutOptions = PAPER) -> Heatmap:
    """Rollout of one query. Raises UnsupportedError as `rollout`."""
    knobs: dict[str, Hashable] = {"query": query, "options": options}
    through = _through(stage, options, "rollout", knobs)
    found: Heatmap = stage.ask(
        "rollout", lambda progress: rollout(through or stage.trace, query, options, fraction(progress)), **knobs
    )
    return found


def head_rollouts_of(stage: Stage, method: str, query: str, options: RolloutOptions) -> np.ndarray:
    """(layers, heads, rows, cols): rollout of every head. Raises UnsupportedError as `head_rollouts`."""
    knobs: dict[str, Hashable] = {"query": query, "method": method, "options": options}
    through = _through(stage, options, "head rollouts", knobs)
    found: np.ndarray = stage.ask(
        "head rollouts",
        lambda progress: head_rollouts(stage.trace, method, query, options, fraction(progress), through),
        **knobs,
    )
    return found


def _through(stage: Stage, options: RolloutOptions, what: str, knobs: dict[str, Hashable]) -> Trace | None:
    """The trace with fused heads, where the answer to `what` is not known yet and the matrices are not too large to keep."""
    check_defined(options.layers(stage.trace), stage.model.name)
    nbytes = fused_nbytes(stage.trace)
    if stage.key.asking(what, **knobs) in services.queue().results or nbytes > FUSED_BYTES:
        return None
    fusions = FUSIONS if len(FUSIONS) * nbytes <= ALL_FUSED_BYTES else (options.fusion,)
    fused: dict[str, Trace] = stage.ask(
        "fused heads", lambda progress: fused_traces(stage.trace, fusions, fraction(progress)), fusions=fusions
    )
    return fused[options.fusion]
