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


def order_of(values: np.ndarray) -> np.ndarray:
    """(rows, cols) -> (patches,): patches by falling value; equal values in reading order."""
    return np.argsort(-np.asarray(values, np.float64).ravel(), kind="stable")


def centre_order(layout: TokenLayout) -> np.ndarray:
    """(patches,): from the centre of the picture outwards, where photographers put what they photograph."""
    middle = np.asarray(layout.input_size) / 2
    return np.argsort(((layout.centres - middle) ** 2).sum(-1), kind="stable")


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

    def deletion(self, order: np.ndarray, fractions: np.ndarray) -> Curve:
        """(points,) of hiding in `order`, all of them asked before."""
        return Curve(fractions, np.array([self.value(hidden_by_deletion(order, f)) for f in fractions]))

    def insertion(self, order: np.ndarray, fractions: np.ndarray) -> Curve:
        """(points,) of showing in `order`, all of them asked before."""
        return Curve(fractions, np.array([self.value(hidden_by_insertion(order, f)) for f in fractions]))
