"""Which map to trust on this image: deletion and insertion curves of several maps beside random order and the centre
of the picture.

Coarse first: the curves are walked at quarters, then at eighths, then at sixteenths, and each level is handed out as
it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vitviz.analysis.curves import (
    Asked,
    Curve,
    Orders,
    centre_orders,
    hidden_by_deletion,
    hidden_by_insertion,
    orders_of,
)
from vitviz.analysis.hiding import BATCH
from vitviz.analysis.question import Question
from vitviz.analysis.ranks import rank_correlation, ranks
from vitviz.analysis.rollout import Progress
from vitviz.heatmap import Heatmap

SEEDS = 5
LEVELS = (4, 8, 16)  # steps of the curves, each level refining the one before
CENTRE = "centre of the picture"
RANDOM = "random order"


@dataclass(frozen=True, eq=False)
class Scores:
    """One order's curves. Good: the deletion curve falls early (small area), the insertion curve rises early (large
    area).
    """

    name: str
    deletion: Curve
    insertion: Curve

    @property
    def gap(self) -> float:
        """Insertion area less deletion area: one number, larger is better, 0 expected for a random order."""
        return self.insertion.area - self.deletion.area


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves of one level of refinement.

    methods   one entry a map, in the order given
    centre    the centre prior
    random    one entry a seed: a band, not a line
    quantity  what the curves show
    """

    methods: tuple[Scores, ...]
    centre: Scores
    random: tuple[Scores, ...]
    quantity: str
    steps: int

    @property
    def random_band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(fractions, lowest, highest) of the deletion curves in random order, each (points,)."""
        values = np.stack([scores.deletion.values for scores in self.random])
        return self.random[0].deletion.fractions, values.min(0), values.max(0)

    def table(self) -> list[dict[str, float | str]]:
        """A row a method and one for each baseline: name, deletion area, insertion area, gap."""
        rows = [
            _row(scores.name, scores.deletion.area, scores.insertion.area) for scores in (*self.methods, self.centre)
        ]
        deletion = float(np.mean([scores.deletion.area for scores in self.random]))
        insertion = float(np.mean([scores.insertion.area for scores in self.random]))
        return [*rows, _row(RANDOM, deletion, insertion)]


def faithfulness(
    question: Question,
    maps: Mapping[str, Heatmap | np.ndarray],
    *,
    levels: tuple[int, ...] = LEVELS,
    seeds: int = SEEDS,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Iterator[Faithfulness]:
    """Curves for every map, coarse first: yields once for each of `levels` (steps of the curve, each a multiple of
    the one before).

    maps      name -> map (rows, cols); larger values are hidden first
    seeds     random orders, and orders of equal values over which a map's curves are averaged; a constant map has the
              curves of random order
    progress  called with (images run, images in all) after each batch; raise from it to stop

    Raises ValueError for a map that is not of the model's grid and for no seed, UnsupportedError for a map with values that
    are not finite numbers.
    """
    layout, drawn = question.layout, range(seeds)
    orders = {name: orders_of(_values(name, values, layout.grid), drawn, name) for name, values in maps.items()}
    centre = centre_orders(layout, drawn)
    randoms = [orders_of(np.zeros(layout.grid), [seed]) for seed in drawn]
    asked = Asked(question, batch)
    walks = [*orders.values(), centre, *randoms]
    everything = [hidden for steps in levels for hidden in _sets(walks, steps)]
    whole, before = asked.missing(everything), 0
    for steps in levels:
        sets = _sets(walks, steps)
        new = asked.missing(sets)
        asked.ask(sets, _teller(progress, before, whole))
        before += new
        fractions = np.linspace(0, 1, steps + 1)

        def scores(name: str, walk: Orders, fractions: np.ndarray = fractions) -> Scores:
            return Scores(name, asked.deletion(walk.hiding, fractions), asked.insertion(walk.showing, fractions))

        yield Faithfulness(
            tuple(scores(name, walk) for name, walk in orders.items()),
            scores(CENTRE, centre),
            tuple(scores(RANDOM, walk) for walk in randoms),
            question.quantity,
            steps,
        )


def rank_agreement(maps: Mapping[str, Heatmap | np.ndarray]) -> np.ndarray:
    """(methods, methods) Spearman correlation between maps, patch by patch; not-a-number for a constant map."""
    arrays = [_array(values) for values in maps.values()]
    return np.array([[rank_correlation(one, other) for other in arrays] for one in arrays])


def disagreement(maps: Mapping[str, Heatmap | np.ndarray]) -> Heatmap:
    """Heatmap (rows, cols): standard deviation across methods of each patch's rank, ranks scaled to [0, 1]."""
    each = [ranks(_array(values)) for values in maps.values()]
    return Heatmap(np.std(each, axis=0), "disagreement in rank")


def _sets(walks: list[Orders], steps: int) -> list[np.ndarray]:
    """Every set of hidden patches, each (patches,), that the curves of `walks` ask for."""
    fractions = np.linspace(0, 1, steps + 1)
    hidden = [hidden_by_deletion(order, f) for walk in walks for order in walk.hiding for f in fractions]
    return hidden + [hidden_by_insertion(order, f) for walk in walks for order in walk.showing for f in fractions]


def _teller(progress: Progress | None, before: int, whole: int):  # type: ignore[no-untyped-def]
    return (lambda done: progress(before + done, whole)) if progress else None


def _row(name: str, deletion: float, insertion: float) -> dict[str, float | str]:
    return {"name": name, "deletion": deletion, "insertion": insertion, "gap": insertion - deletion}


def _array(values: Heatmap | np.ndarray) -> np.ndarray:
    return np.asarray(values.values if isinstance(values, Heatmap) else values)


def _values(name: str, values: Heatmap | np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    array = _array(values)
    if array.shape != grid:
        raise ValueError(f"the map {name!r} has the shape {array.shape}, and the model's grid is {grid}")
    return array
