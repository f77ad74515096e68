"""The explanation methods, each with its card: formula, reference, cost, and when it misleads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from vitviz.analysis.attention import query_weights
from vitviz.analysis.methods.gradcam import gradcam
from vitviz.analysis.methods.integrated_gradients import MOST_STEPS, STEPS, integrated_gradients
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.methods.occlusion import occlusion
from vitviz.analysis.methods.relevance import generic_relevance, gradient_rollout
from vitviz.analysis.queries import layers_asked
from vitviz.analysis.question import Question
from vitviz.analysis.rollout import rollout
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress


@dataclass(frozen=True)
class Effort:
    """How much the slow methods spend.

    integration_steps  points of the path of integrated gradients at first, doubled until its shares add up
    integration_most   points beyond which they are not doubled
    occlusion_stride   distance between windows in patches, 1 to 3
    """

    integration_steps: int = STEPS
    integration_most: int = MOST_STEPS
    occlusion_stride: int = 2


USUAL = Effort()
Run = Callable[[Question, Effort, Progress | None], Heatmap]


@dataclass(frozen=True)
class Method:
    """A method and its card.

    key            short name for links and tables
    name           for people
    run            (question, effort, progress) -> Heatmap; effort and progress matter to the slow ones only
    per_class      whether the map depends on the target; where not, it says what the model read, not why it chose a
                   class
    signed         whether negative values speak against the target
    antisymmetric  whether "a, not b" and "b, not a" give maps of opposite sign
    formula        plain text, symbols as on the methods page
    reference      authors, year, arXiv number
    cost           in forward passes, about
    misleads       when not to believe it
    """

    key: str
    name: str
    run: Run
    per_class: bool
    signed: bool
    antisymmetric: bool
    formula: str
    reference: str
    cost: str
    misleads: str


def raw_attention(question: Question) -> Heatmap:
    """Heatmap (rows, cols): the last layer's attention of the query that is read, mean over heads."""
    trace = question.trace
    layer = layers_asked(trace, question.query)[-1]
    row = query_weights(layer, question.query).mean(0)  # (heads, keys) -> (keys,)
    return Heatmap(layer.key_layout.patches(row.float().cpu().numpy()), "attention weight")


def _plain(method: Callable[[Question], Heatmap]) -> Run:
    return lambda question, _effort, _progress: method(question)


METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        Method(
            "attention",
            "Raw attention",
            _plain(raw_attention),
            per_class=False,
            signed=False,
            antisymmetric=False,
            formula="mean_h A[L, h][query, patches]",
            reference="Dosovitskiy et al. 2021, arXiv 2010.11929",
            cost="1",
            misleads="One layer only, without what the values carry: a token that draws much attention may add nothing.",
        ),
        Method(
            "rollout",
            "Attention rollout",
            _plain(lambda question: rollout(question.trace, question.query)),
            per_class=False,
            signed=False,
            antisymmetric=False,
            formula="(Â_L ... Â_1)[query, patches], Â_l = 0.5 I + 0.5 mean_h A[l, h]",
            reference="Abnar and Zuidema 2020, arXiv 2005.00928",
            cost="1",
            misleads="It leaves out values and MLPs and takes half of each layer as residual; a few sinks often dominate.",
        ),
        Method(
            "gradient_rollout",
            "Gradient rollout",
            _plain(gradient_rollout),
            per_class=True,
            signed=False,
            antisymmetric=False,
            formula="rollout of mean_h ReLU(G[l, h] * A[l, h]), rows summing to 1; G = d target / d A, same layer",
            reference="Abnar and Zuidema 2020, arXiv 2005.00928; weights as in Chefer et al. 2021, arXiv 2103.15679",
            cost="about 2",
            misleads="Normalised rows let a layer that hardly matters count as much as one that decides.",
        ),
        Method(
            "relevance",
            "Attention relevance",
            _plain(generic_relevance),
            per_class=True,
            signed=False,
            antisymmetric=False,
            formula="R = I; R <- R + mean_h ReLU(G[l, h] * A[l, h]) R; R[query, patches]",
            reference="Chefer, Gur and Wolf 2021, arXiv 2103.15679",
            cost="about 2",
            misleads="A gradient is local: where the model is sure, small changes do nothing and the map turns to noise.",
        ),
        Method(
            "legrad",
            "LeGrad",
            _plain(legrad),
            per_class=True,
            signed=False,
            antisymmetric=False,
            formula="mean_l mean_h mean_q ReLU(d s_l / d A[l, h]), s_l the target read after layer l",
            reference="Bousselham et al. 2024, arXiv 2404.03214",
            cost="about 2",
            misleads="Not multiplied by the attention paid: it shows where more attention would help, not where it is.",
        ),
        Method(
            "gradcam",
            "Grad-CAM",
            _plain(gradcam),
            per_class=True,
            signed=False,
            antisymmetric=False,
            formula="ReLU(sum_c mean_p(d target / d Z[p, c]) Z[:, c]), Z the tokens that the last block's attention reads",
            reference="Selvaraju et al. 2017, arXiv 1610.02391",
            cost="about 1.2",
            misleads="The last layer only, where patches hold what others told them: the place may not be the cause.",
        ),
        Method(
            "integrated_gradients",
            "Integrated gradients",
            lambda question, effort, progress: integrated_gradients(
                question, effort.integration_steps, progress=progress, most_steps=effort.integration_most
            ),
            per_class=True,
            signed=True,
            antisymmetric=True,
            formula="sum over a patch of (x - x0) * integral of d target / d x from x0 to x, x0 the mean colour",
            reference="Sundararajan, Taly and Yan 2017, arXiv 1703.01365",
            cost="about 3 a point of the path: 32 points, doubled up to 256 until the shares add up",
            misleads="It hangs on the baseline: parts that have the mean colour get nothing, however much they matter.",
        ),
        Method(
            "occlusion",
            "Occlusion",
            lambda question, effort, progress: occlusion(question, stride=effort.occlusion_stride, progress=progress),
            per_class=True,
            signed=True,
            antisymmetric=True,
            formula="mean fall of the target over the 3x3 windows that hide a patch",
            reference="Zeiler and Fergus 2014, arXiv 1311.2901",
            cost="about 50 on a grid of 16x16: one a window",
            misleads="What stands twice in the picture seems not to matter, and deletion curves favour it because both hide.",
        ),
    )
}


def explain(question: Question, key: str, progress: Progress | None = None, effort: Effort = USUAL) -> Heatmap:
    """The map of one method. Ask several of the same Question: what they share is computed once.

    Raises UnsupportedError for an unknown key, and where the method has no answer for this model; NotFiniteError where its
    answer is not finite.
    """
    if key not in METHODS:
        raise UnsupportedError(f"No explanation method is called {key!r}; there are {', '.join(METHODS)}.")
    heatmap = METHODS[key].run(question, effort, progress)
    wrong = int(np.count_nonzero(~np.isfinite(heatmap.values)))
    if wrong:
        raise NotFiniteError(
            f"{METHODS[key].name} gives {wrong} of {heatmap.values.size} patches of {question.model.name} a value that is "
            "not finite (not-a-number or infinite), so there is no map. Choose another method or target."
        )
    return heatmap


def explain_all(
    question: Question, keys: Iterable[str] = tuple(METHODS), progress: Progress | None = None, effort: Effort = USUAL
) -> dict[str, Heatmap]:
    """key -> map for the methods that this model supports; the others are left out.

    `progress` is called with (thousandths done, 1000); raise from it to stop.
    """
    keys = list(keys)
    weights = {"occlusion": 40, "integrated_gradients": 200}  # how much longer the slow ones take
    whole = sum(weights.get(key, 2) for key in keys)
    maps: dict[str, Heatmap] = {}
    before = 0

    def within(key: str) -> Progress | None:
        if progress is None:
            return None
        start, size, tell = before, weights.get(key, 2), progress
        return lambda done, total: tell(round(1000 * (start + size * done / total) / whole), 1000)

    for key in keys:
        try:
            maps[key] = explain(question, key, within(key), effort)
        except UnsupportedError:
            continue
        finally:
            before += weights.get(key, 2)
        if progress:
            progress(round(1000 * before / whole), 1000)
    return maps
