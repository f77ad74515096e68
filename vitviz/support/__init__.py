"""Decides what can be shown of a model, by a pass on the meta device before weights are downloaded."""

from vitviz.support.registry import support_of, sweep
from vitviz.support.verdict import LayerSummary, Support, judge

__all__ = ["LayerSummary", "Support", "judge", "support_of", "sweep"]
