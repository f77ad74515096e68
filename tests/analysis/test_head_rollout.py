"""Rollouts of a trace whose heads were fused beforehand are the rollouts of the trace itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.analysis.traces import random_trace
from vitviz.analysis.head_rollout import METHODS, head_rollouts
from vitviz.analysis.rollout import (
    FUSIONS,
    RolloutOptions,
    head_fused_nbytes,
    head_fused_traces,
    rollout_matrix,
    rollout_row,
)
from vitviz.errors import Cancelled

KNOBS = [(0.5, 0.0, (0, None)), (0.2, 0.5, (0, None)), (0.0, 0.34, (1, 2)), (0.9, 0.0, (0, 1))]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(("alpha", "discard", "span"), KNOBS)
def test_every_query_and_knob(fusion: str, alpha: float, discard: float, span: tuple[int, int | None]) -> None:
    trace = random_trace()
    fused = head_fused_traces(trace)[fusion]
    options = RolloutOptions(alpha, fusion, discard, *span)
    for query in ("cls", "r1c2", "mean"):
        torch.testing.assert_close(rollout_row(fused, query, options), rollout_row(trace, query, options))
    torch.testing.assert_close(rollout_matrix(fused, options), rollout_matrix(trace, options))


@pytest.mark.parametrize("method", METHODS)
def test_heads_are_those_of_the_trace_and_layers_below_are_fused(method: str) -> None:
    trace, options = random_trace(), RolloutOptions(0.3, "max", 0.4, 0, 1)
    fused = head_fused_traces(trace, ["max"])["max"]
    found = head_rollouts(trace, method, "r0c1", options, head_fused=fused)
    np.testing.assert_allclose(found, head_rollouts(trace, method, "r0c1", options), rtol=1e-5)
    # It is looked at where it is given: other matrices give another answer.
    other = head_fused_traces(random_trace(), ["min"])["min"]
    assert np.abs(head_rollouts(trace, method, "r0c1", options, head_fused=other) - found).max() > 1e-3


def test_the_kept_matrices_are_not_written_to_by_discarding() -> None:
    fused = head_fused_traces(random_trace())["mean"]
    before = [layer.weights().clone() for layer in fused.layers]
    rollout_row(fused, "cls", RolloutOptions(discard=0.7))
    for layer, matrix in zip(fused.layers, before, strict=True):
        torch.testing.assert_close(layer.weights(), matrix, rtol=0, atol=0)


def test_size_is_known_beforehand_and_the_work_can_be_stopped() -> None:
    trace, seen = random_trace(layers=4), []
    fused = head_fused_traces(trace, progress=lambda done, of: seen.append((done, of)))
    for fusion in FUSIONS:
        assert sum(layer.nbytes for layer in fused[fusion].layers) == head_fused_nbytes(trace)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        head_fused_traces(trace, progress=stop)
