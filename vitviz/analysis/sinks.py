"""The sink inspector: tokens with outlying norm or attention mass, layer by layer, and rows with them set aside.

Darcet et al. 2024, "Vision transformers need registers" (arXiv 2309.16588): a few patches are turned into scratch
space, with norms far above the rest, and draw a large share of all attention. How far above differs between models
and layers, so thresholds here are relative to the image's own median patch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitviz.analysis.question import Question
from vitviz.capture.trace import Trace
from vitviz.tokens import TokenLayout

NORM_TIMES = 3.0
MASS_TIMES = 10.0


@dataclass(frozen=True, eq=False)
class TokenOutliers:
    """How far each token stands out, and which do.

    norms     (layers + 1, tokens) float32: length of each token before the first layer and after each
    mass      (layers, tokens) float32: share of each layer's attention, over all heads and queries, that falls on
              the token
    by_norm   (layers + 1, tokens) boolean: norm above `norm_times` the median patch's
    by_mass   (layers, tokens) boolean: mass above `mass_times` the median patch's
    """

    norms: np.ndarray
    mass: np.ndarray
    by_norm: np.ndarray
    by_mass: np.ndarray
    norm_times: float
    mass_times: float

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens that stand out in any layer by either measure, ascending."""
        return tuple(np.flatnonzero(self.by_norm.any(0) | self.by_mass.any(0)).tolist())


def token_norms(question: Question) -> np.ndarray:
    """(layers + 1, tokens) float32: length of each token before the first layer and after each."""
    return torch.stack([state[0].float().norm(dim=-1) for state in question.passage.states]).cpu().numpy()


def attention_mass(trace: Trace) -> np.ndarray:
    """(layers, tokens) float32: the mean over heads and queries of what each token is given; each layer sums to 1."""
    shares = []
    for layer in trace.layers:
        even = torch.full((1, layer.num_queries), 1 / layer.num_queries, device=layer.device)
        shares.append(layer.pull(even)[0].mean(0).float())
    return torch.stack(shares).cpu().numpy()


def token_outliers(question: Question, norm_times: float = NORM_TIMES, mass_times: float = MASS_TIMES) -> TokenOutliers:
    """Outliers by both measures. Raises UnsupportedError where states between layers cannot be seen."""
    norms, mass = token_norms(question), attention_mass(question.trace)
    first = question.layout.num_prefix
    return TokenOutliers(
        norms, mass, outlying(norms, first, norm_times), outlying(mass, first, mass_times), norm_times, mass_times
    )


def outlying(values: np.ndarray, num_prefix: int, times: float) -> np.ndarray:
    """(..., tokens) boolean: above `times` the median of the row's patches."""
    return values > times * np.median(values[..., num_prefix:], axis=-1, keepdims=True)


def times_median(values: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """(..., tokens): values as multiples of the row's median patch; infinite beside a median of zero, and 1 where both are."""
    median = np.median(values[..., layout.num_prefix :], axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = values / median
    return np.where((median == 0) & (values == 0), 1.0, times).astype(np.float32)


def set_aside(rows: Tensor, tokens: Iterable[int], layout: TokenLayout) -> Tensor:
    """(..., tokens) attention rows with the given keys at zero and the rest rescaled to sum to 1: the map without
    its sinks.

    It only redraws the row; to ask what the model would do without them, cut them out of attention (`CutTokens`).
    """
    kept = rows.clone()
    for token in tokens:
        layout.cell_of(token)  # raises IndexError for a token that does not exist
        kept[..., token] = 0
    return kept / kept.sum(-1, keepdim=True).clamp_min(1e-30)
