"""Which models can be shown, how exactly, and why not: decided by a pass without numbers, before any weights are
downloaded.
"""

from vitviz.support.registry import support_of, sweep
from vitviz.support.verdict import LayerSummary, Support, judge

__all__ = ["LayerSummary", "Support", "judge", "support_of", "sweep"]
