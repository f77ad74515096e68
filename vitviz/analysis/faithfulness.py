"""Deletion and insertion curves of several maps for one image, with random orders and a centred map as baselines.

Petsiuk, Das and Saenko 2018, "RISE" (arXiv 1806.07421), section 4, here with patches replaced by the image's mean
colour. Partly hidden images are out of the training distribution: the numbers compare orders of patches on one image and
nothing else. The curves are computed with steps of a quarter, then of an eighth, then of a sixteenth, and each level is
yielded when complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vitviz.analysis.hiding import BATCH, cells, read_hidden
from vitviz.analysis.question import Question
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress, part_of
from vitviz.tokens import TokenLayout

SEEDS = 5
LEVELS = (4, 8, 16)  # steps of the curves; each level is a multiple of the one before
CENTRE = "centre of the picture"
RANDOM = "random order"


@dataclass(frozen=True, eq=False)
class Scores:
    """One map's curves. A faithful map has a small deletion area (an early fall) and a large insertion area (an early rise).

    Attributes:
        name: Name of the map.
        deletion: The likelihood while patches are hidden, the most relevant first.
        insertion: The likelihood while patches are shown, the most relevant first.
    """

    name: str
    deletion: Curve
    insertion: Curve

    @property
    def gap(self) -> float:
        """Insertion area minus deletion area; larger is better, and random orders have an expectation of 0."""
        return self.insertion.area - self.deletion.area


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves of one level of refinement.

    Attributes:
        methods: One entry for each map, in the given order.
        centre: The baseline that hides patches from the centre outwards.
        random: One entry for each seed.
        quantity: Name of the quantity on the curves' axis.
        steps: Number of steps of the curves.
    """

    methods: tuple[Scores, ...]
    centre: Scores
    random: tuple[Scores, ...]
    quantity: str
    steps: int

    def table(self) -> list[dict[str, float | str]]:
        """A row for each method and baseline: name, deletion area, insertion area, gap."""
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
    """Deletion and insertion curves of every map; yields once for each level, the coarsest first.

    Args:
        question: The model, image and target.
        maps: Name -> map (rows, cols); larger values are hidden first.
        levels: Numbers of steps of the curve, each a multiple of the one before.
        seeds: Number of random orders; equal values of a map are also ordered at random, once for each seed, and its curves
            averaged, so that a constant map has the curves of random order.
        batch: Images in one forward pass.
        progress: Called with (images run, images in all) after each batch; an exception that it raises stops the work.

    Yields:
        Deletion and insertion curves of every map and of the baselines for one level.

    Raises:
        ValueError: For a map of another grid than the model's, and for no seed.
        UnsupportedError: For a map with values that are not finite.

    Source: Petsiuk, Das and Saenko 2018, "RISE" (arXiv 1806.07421), section 4.
    """
    orders, centre, randoms = _all_orders(question.layout, maps, seeds)
    known = HiddenLikelihoods(question, batch)
    order_sets = [*orders.values(), centre, *randoms]
    everything = [hidden for steps in levels for hidden in _sets(order_sets, steps)]
    whole, before = known.missing(everything), 0
    for steps in levels:
        sets = _sets(order_sets, steps)
        new = known.missing(sets)
        known.compute(sets, part_of(progress, before, whole))
        before += new
        fractions = np.linspace(0, 1, steps + 1)

        def scores(name: str, order_set: Orders, fractions: np.ndarray = fractions) -> Scores:
            return Scores(
                name, known.deletion(order_set.hiding, fractions), known.insertion(order_set.showing, fractions)
            )

        yield Faithfulness(
            tuple(scores(name, order_set) for name, order_set in orders.items()),
            scores(CENTRE, centre),
            tuple(scores(RANDOM, order_set) for order_set in randoms),
            question.quantity,
            steps,
        )


def passes_needed(
    question: Question,
    maps: Mapping[str, Heatmap | np.ndarray],
    levels: tuple[int, ...] = LEVELS,
    seeds: int = SEEDS,
) -> int:
    """The number of images that `faithfulness` runs through the model, without those already computed for this question.

    Raises:
        ValueError, UnsupportedError: As `faithfulness`.
    """
    orders, centre, randoms = _all_orders(question.layout, maps, seeds)
    order_sets = [*orders.values(), centre, *randoms]
    return HiddenLikelihoods(question).missing([hidden for steps in levels for hidden in _sets(order_sets, steps)])


def rank_agreement(maps: Mapping[str, Heatmap | np.ndarray]) -> np.ndarray:
    """(methods, methods) Spearman correlation over patches between maps; NaN for a constant map."""
    arrays = [_array(values) for values in maps.values()]
    return np.array([[rank_correlation(one, other) for other in arrays] for one in arrays])


def disagreement(maps: Mapping[str, Heatmap | np.ndarray]) -> Heatmap:
    """Heatmap (rows, cols): standard deviation across methods of each patch's rank, ranks scaled to [0, 1]."""
    each = [ranks(_array(values)) for values in maps.values()]
    return Heatmap(np.std(each, axis=0), "disagreement in rank")


def _all_orders(
    layout: TokenLayout, maps: Mapping[str, Heatmap | np.ndarray], seeds: int
) -> tuple[dict[str, Orders], Orders, list[Orders]]:
    """(orders of every map, of the centre prior, of each random seed)."""
    drawn = range(seeds)
    orders = {name: orders_of(_values(name, values, layout.grid), drawn, name) for name, values in maps.items()}
    return orders, centre_orders(layout, drawn), [orders_of(np.zeros(layout.grid), [seed]) for seed in drawn]


def _sets(order_sets: list[Orders], steps: int) -> list[np.ndarray]:
    """Every set of hidden patches, each (patches,) boolean, on the curves of `order_sets`."""
    fractions = np.linspace(0, 1, steps + 1)
    hidden = [hidden_by_deletion(order, f) for order_set in order_sets for order in order_set.hiding for f in fractions]
    return hidden + [
        hidden_by_insertion(order, f) for order_set in order_sets for order in order_set.showing for f in fractions
    ]


def _row(name: str, deletion: float, insertion: float) -> dict[str, float | str]:
    return {"name": name, "deletion": deletion, "insertion": insertion, "gap": insertion - deletion}


def _array(values: Heatmap | np.ndarray) -> np.ndarray:
    return np.asarray(values.values if isinstance(values, Heatmap) else values)


def _values(name: str, values: Heatmap | np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    array = _array(values)
    if array.shape != grid:
        raise ValueError(f"the map {name!r} has the shape {array.shape}, and the model's grid is {grid}")
    return array


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve.

    Attributes:
        fractions: (points,) share of patches hidden or shown, ascending from 0 to 1.
        values: (points,) likelihood of the target.
    """

    fractions: np.ndarray
    values: np.ndarray

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule. Fractions span 1, so it is also the curve's mean."""
        return float(np.trapezoid(self.values, self.fractions))


@dataclass(frozen=True, eq=False)
class Orders:
    """The orders in which a map's patches are hidden and shown, each (patches,); its curves are averaged over them.

    A map with equal values has one order for each seed, with the equal values shuffled; any other map has one.
    """

    hiding: tuple[np.ndarray, ...]
    showing: tuple[np.ndarray, ...]


def orders_of(values: np.ndarray, seeds: Sequence[int], name: str = "") -> Orders:
    """Patches by decreasing value of a map, with equal values in a random order for each seed.

    A fixed order of equal values, such as from left to right, would not come from the map. Insertion uses the reverse of
    deletion's order of equal values, so that a constant map has exactly the curves of random order.

    Args:
        values: (rows, cols), a map.
        seeds: Of the random orders.
        name: Name of the map, for the message of the error.

    Raises:
        UnsupportedError: For values that are not finite.
        ValueError: Without a seed.
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
    """(patches,): indices by decreasing value; equal values in the order of `among_equals` (patches,)."""
    return among_equals[np.argsort(-values[among_equals], kind="stable")]


def centre_orders(layout: TokenLayout, seeds: Sequence[int]) -> Orders:
    """Patches from the centre of the picture outwards, since photographs often have their object there; ties at random."""
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


class HiddenLikelihoods:
    """The target's likelihood for sets of hidden patches, cached with the question.

    A further map or a finer curve runs only sets that are not in the cache.
    """

    def __init__(self, question: Question, batch: int = BATCH) -> None:
        self.question = question
        self.batch = batch
        self._known = question.hidden_likelihoods

    def compute(self, sets: Sequence[np.ndarray], progress: Progress | None = None) -> None:
        """Runs those of `sets`, each (patches,) boolean, that are not in the cache.

        `progress` is called after each batch with (images run so far, all images to run).
        """
        new = {key: hidden for hidden in sets if (key := np.packbits(hidden).tobytes()) not in self._known}
        if not new:
            return
        masks = cells(np.stack(list(new.values())), self.question.layout)
        values = read_hidden(self.question, masks, self.question.target.likelihood, self.batch, progress)
        self._known.update(zip(new, values.tolist(), strict=True))

    def missing(self, sets: Sequence[np.ndarray]) -> int:
        """How many of `sets` are not in the cache."""
        return len({key for hidden in sets if (key := np.packbits(hidden).tobytes()) not in self._known})

    def value(self, hidden: np.ndarray) -> float:
        """The likelihood with these patches hidden; call `compute` with the set before."""
        return self._known[np.packbits(hidden).tobytes()]

    def deletion(self, orders: Sequence[np.ndarray], fractions: np.ndarray) -> Curve:
        """The deletion curve, averaged over `orders`; call `compute` with its sets before."""
        return Curve(fractions, self._mean([[hidden_by_deletion(order, f) for f in fractions] for order in orders]))

    def insertion(self, orders: Sequence[np.ndarray], fractions: np.ndarray) -> Curve:
        """The insertion curve, averaged over `orders`; call `compute` with its sets before."""
        return Curve(fractions, self._mean([[hidden_by_insertion(order, f) for f in fractions] for order in orders]))

    def _mean(self, order_sets: list[list[np.ndarray]]) -> np.ndarray:
        """(points,): likelihoods of each point, averaged over order_sets of (points,) sets."""
        return np.mean([[self.value(hidden) for hidden in order_set] for order_set in order_sets], axis=0)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman correlation of two arrays of the same shape; NaN if one is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(np.ravel(one), np.ravel(other)).statistic)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks in the shape of `values`, scaled to [0, 1]; equal values have their mean rank."""
    from scipy.stats import rankdata

    # flattened ranks -> the shape of `values`
    return (rankdata(values).reshape(values.shape) - 1) / max(values.size - 1, 1)
