"""How sure a mean is: bootstrap intervals of paired differences. numpy and scipy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean with the interval that holds it: low and high are the 2.5th and 97.5th percentile of resampled means."""

    mean: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        return self.low > 0


def mean_interval(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The 95% percentile bootstrap interval of the mean of values (images,), images drawn with replacement.

    For paired comparisons give the differences, one an image: an image that is hard for both then counts for
    neither. Raises ValueError for fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"an interval needs at least two images, not {values.size}")
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]), float(values[0]))
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        confidence_level=0.95,
        method="percentile",
        batch=500,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(values.mean()), float(found.low), float(found.high))
