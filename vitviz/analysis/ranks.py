"""Ranks and their correlation, by scipy, which is imported when somebody asks: it takes long, and most pages never do."""

from __future__ import annotations

import numpy as np


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman correlation of two arrays of one shape, entry by entry; not-a-number where one is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(np.ravel(one), np.ravel(other)).statistic)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks in the shape of `values`, scaled to [0, 1]; equal values share their mean rank."""
    from scipy.stats import rankdata

    return (rankdata(values).reshape(values.shape) - 1) / max(values.size - 1, 1)
