"""Deletion and insertion: does the target fall when a map's strongest patches are hidden first, and rise when they
are shown first?

Petsiuk, Das and Saenko 2018, "RISE" (arXiv 1806.07421), here on patches and with the image's mean colour as
the hiding place. Half hidden images are out of the training distribution: the numbers compare orders with each other
and are no truth about the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vitviz.analysis.hiding import BATCH, cells, read_hidden
from vitviz.analysis.question import Question
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class Curve:
    """fractions (points,) of patches hidden or shown, ascending from 0 to 1; values (points,) of the target's
    likelihood there.
    """

    fractions: np.ndarray
    values: np.ndarray

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule; the fractions span 1, so it is the curve's mean."""
        return float(np.trapezoid(self.values, self.fractions))


@dataclass(frozen=True, eq=False)
class Orders:
    """The orders in which a map's patches are hidden and shown, each (patches,), over which its curves are averaged.

    Where the map has equal values there is one for each seed, with the equal values in an order drawn at random.
    """

    hiding: tuple[np.ndarray, ...]
    showing: tuple[np.ndarray, ...]


def orders_of(values: np.ndarray, seeds: Sequence[int], name: str = "") -> Orders:
    """Patches by falling value of a map (rows, cols); equal values in an order drawn by each of `seeds`.

    A fixed order of equal values, such as reading order, would be a walk over the picture that the map did not ask for.
    Showing draws them in the reverse of the order for hiding, so that a constant map has exactly the curves of random order.

    name  of the map, for the error

    Raises UnsupportedError for values that are not finite numbers, which have no order, ValueError without a seed.
    """
    flat = np.asarray(values, np.float64).ravel()  # (rows, cols) -> (patches,)
    wrong = flat.size - int(np.count_nonzero(np.isfinite(flat)))
    if wrong:
        raise UnsupportedError(
            f"{wrong:,} of {flat.size:,} values of the map {name!r} are not finite numbers, so its patches have no order. "
            "Leave this map out, or compute it in float32."
        )
    if not seeds:
        raise ValueError("at least one seed is needed to draw the order of equal values")
    drawn = [np.random.default_rng(seed).permutation(flat.size) for seed in seeds]
    if len(np.unique(flat)) == flat.size:
        drawn = drawn[:1]  # no equal values: every seed gives the same order
    return Orders(
        tuple(_falling(flat, order) for order in drawn), tuple(_falling(flat, order[::-1]) for order in drawn)
    )


def _falling(values: np.ndarray, among_equals: np.ndarray) -> np.ndarray:
    """(patches,): by falling value, equal values in the order in which `among_equals` (patches,) has them."""
    return among_equals[np.argsort(-values[among_equals], kind="stable")]


def centre_orders(layout: TokenLayout, seeds: Sequence[int]) -> Orders:
    """From the centre of the picture outwards, where photographers put what they photograph; equal distances at random."""
    middle = np.asarray(layout.input_size) / 2
    return orders_of(-((layout.centres - middle) ** 2).sum(-1), seeds, "centre of the picture")


def hidden_by_deletion(order: np.ndarray, fraction: float) -> np.ndarray:
    """(patches,) boolean: the first `fraction` of `order`."""
    hidden = np.zeros(order.size, bool)
    hidden[order[: round(fraction * order.size)]] = True
    return hidden


def hidden_by_insertion(order: np.ndarray, fraction: float) -> np.ndarray:
    """(patches,) boolean: everything but the first `fraction` of `order`."""
    return ~hidden_by_deletion(order, fraction)


class Asked:
    """The target's likelihood for sets of hidden patches; a set that was asked before is not run again."""

    def __init__(self, question: Question, batch: int = BATCH) -> None:
        self.question = question
        self.batch = batch
        self._known: dict[bytes, float] = {}

    def ask(self, sets: Sequence[np.ndarray], tell: Callable[[int], None] | None = None) -> None:
        """Runs what is not known yet of `sets`, each (patches,) boolean. `tell` gets the number of images run after
        each batch.
        """
        new = {key: hidden for hidden in sets if (key := np.packbits(hidden).tobytes()) not in self._known}
        if not new:
            return
        masks = cells(np.stack(list(new.values())), self.question.layout)

        def progress(done: int, _total: int) -> None:
            if tell:
                tell(done)

        values = read_hidden(self.question, masks, self.question.target.likelihood, self.batch, progress)
        self._known.update(zip(new, values.tolist(), strict=True))

    def missing(self, sets: Sequence[np.ndarray]) -> int:
        """How many of `sets` would have to be run."""
        return len({key for hidden in sets if (key := np.packbits(hidden).tobytes()) not in self._known})

    def value(self, hidden: np.ndarray) -> float:
        """The likelihood with these patches hidden, which `ask` was given before."""
        return self._known[np.packbits(hidden).tobytes()]

    def deletion(self, orders: Sequence[np.ndarray], fractions: np.ndarray) -> Curve:
        """The mean over `orders` of hiding in that order, every set of patches asked before."""
        return Curve(fractions, self._mean([[hidden_by_deletion(order, f) for f in fractions] for order in orders]))

    def insertion(self, orders: Sequence[np.ndarray], fractions: np.ndarray) -> Curve:
        """The mean over `orders` of showing in that order, every set of patches asked before."""
        return Curve(fractions, self._mean([[hidden_by_insertion(order, f) for f in fractions] for order in orders]))

    def _mean(self, walks: list[list[np.ndarray]]) -> np.ndarray:
        """(points,): likelihoods of each point, averaged over walks of (points,) sets."""
        return np.mean([[self.value(hidden) for hidden in walk] for walk in walks], axis=0)
