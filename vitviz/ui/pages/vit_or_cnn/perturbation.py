"""How the predictions change as the photograph is perturbed step by step: shuffled, hidden, masked, blurred, drawn as edges."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.perturbation import RANDOM, PerturbationCurve, default_levels, perturbation_curve
from vitviz.figures.networks import perturbation_figure
from vitviz.ui import state
from vitviz.ui.components.networks import Axes, NetworkSide, NetworkStep, pictures_payload, show_networks
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import sentence
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import named
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.pages.vit_or_cnn.networks import ComparedNetwork, followed, output_words, python_crop

ORDERS = {"shuffle": 2, "hide": 3}  # random orders for each level: some thirty passes of either kind


def curves_of(vit: ComparedNetwork, cnn: ComparedNetwork) -> dict[ComparedNetwork, PerturbationCurve]:
    """A curve for each network with a classifier.

    Raises:
        ConsentRequired: Where it would take long.
    """
    targets = zip((vit, cnn), followed(vit, cnn), strict=True)
    return {network: _curve(network, target) for network, target in targets if target is not None}


def _curve(network: ComparedNetwork, target: int) -> PerturbationCurve:
    kind, picture = chosen_perturbation(), np.asarray(network.shown)
    orders = ORDERS.get(kind, 1)
    passes = 1.0 * orders * len(default_levels(kind, picture.shape[:2]))
    return network.ask(
        "perturbation",
        lambda model, progress: perturbation_curve(model, picture, kind, target, orders=orders, progress=progress),
        words.WAIT_PERTURBATION.format(network=network.title),
        passes,
        about=words.PERTURBATIONS[kind],
        kind=kind,
        target=target,
    )


def chosen_perturbation() -> str:
    """The kind of perturbation that the page shows: a key of `words.PERTURBATIONS`."""
    return str(state.value_of("perturbation"))


def show(its: Frame, vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """The perturbed photograph as the input of each network, and a curve for each."""
    its.say("")  # the figure says it, step by step
    curves = curves_of(vit, cnn)
    levels = sorted({float(level) for curve in curves.values() for level in curve.levels})
    steps = []
    for level in levels:
        # A small input has no grid of as many pieces as another's: each shows the nearest.
        frames = tuple(int(np.abs(curve.levels - level).argmin()) for curve in curves.values())
        answers = [
            words.STEP_ANSWER.format(
                network=words.SHORT_VIT if network.is_vit else words.SHORT_CNN,
                label=output_words(network, curve.target, vit),
                value=network.kind.text(float(curve.values[frame])),
            )
            for (network, curve), frame in zip(curves.items(), frames, strict=True)
        ]
        steps.append(
            NetworkStep(level, frames, words.STEP.format(level=_level(level, vit), answers=words.AND.join(answers)))
        )
    sides = [_side(network, curve, output_words(network, curve.target, vit)) for network, curve in curves.items()]
    shares = all(network.kind.is_probability for network in curves)
    top = 1.0 if shares else max(float(curve.high.max()) for curve in curves.values())
    axes = Axes(
        words.LEVELS[chosen_perturbation()],
        words.PROBABILITY if shares else words.NUMBER,
        top,
        [(value, f"{value:.0%}" if shares else f"{value:.1f}") for value in np.linspace(0, top, 5)],
        [(level, _tick(level)) for level in levels[:: max(1, len(levels) // 5)]],
    )
    question = (
        "|".join(f"{network.context.key}|{curve.target}" for network, curve in curves.items()) + chosen_perturbation()
    )
    show_networks(
        "networks",
        question,
        sides,
        steps,
        axes,
        alt=comparison(curves) or words.PERTURBATIONS[chosen_perturbation()],
        smooth=False,
    )


def _side(network: ComparedNetwork, curve: PerturbationCurve, label: str) -> NetworkSide:
    url = network.context.offer("perturbed pictures", lambda: pictures_payload(curve.pictures), kind=curve.kind)
    values = [network.kind.text(float(value)) for value in curve.values]
    return NetworkSide(
        title=network.title,
        name=words.SHORT_VIT if network.is_vit else words.SHORT_CNN,
        url=url,
        frames="pictures",
        captions=[words.UNDER_PICTURE.format(label=label, value=value) for value in values],
        x=curve.levels.tolist(),
        values=curve.values.tolist(),
        band=(curve.low.tolist(), curve.high.tolist()) if curve.kind in RANDOM else None,
        ratio=network.shown.width / network.shown.height,
        alt=words.PERTURBATIONS[curve.kind],
    )


def _level(level: float, vit: ComparedNetwork) -> str:
    """One level of the perturbation in words."""
    kind = chosen_perturbation()
    if level == (1 if kind == "shuffle" else 0):
        return words.UNPERTURBED
    said = words.LEVEL_WORDS[kind].format(count=round(level), share=f"{level:.0%}")
    if kind != "shuffle":
        return said
    whole = all(side % round(level) == 0 for side in vit.context.layout.grid)
    return (words.WHOLE_PATCHES if whole else words.CUT_PATCHES).format(level=said)


def _tick(level: float) -> str:
    return f"{level:g}" if chosen_perturbation() in ("shuffle", "blur") else f"{level:.0%}"


def comparison(curves: dict[ComparedNetwork, PerturbationCurve]) -> str:
    """A sentence on which network keeps more of its probability on this photograph, over the levels that both share.

    Empty where there are none, and for outputs that are no probabilities: whose shares are not defined.
    """
    if len(curves) < 2:
        return words.ONE_CURVE
    first, second = curves.values()
    both = np.intersect1d(first.levels, second.levels)
    if len(both) < 2 or not all(network.kind.is_probability for network in curves):
        return ""
    one, two = (
        float(curve.values[np.isin(curve.levels, both)].mean() / max(curve.values[0], 1e-9))
        for curve in (first, second)
    )
    claim = words.CLAIMED.get(chosen_perturbation())
    kept = words.HERE_VIT if one > two else words.HERE_CNN
    against = claim is not None and one <= two
    return (words.HERE_AGAINST if against else kept).format(vit=f"{one:.0%}", cnn=f"{two:.0%}")


def details(vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """Published findings on this perturbation, those of these two networks, and the curves as a figure with exports."""
    curves, context = curves_of(vit, cnn), vit.context
    claim = words.CLAIMED.get(chosen_perturbation())
    sentence(claim if claim is not None else words.NOT_CLAIMED)
    if said := comparison(curves):
        sentence(said)
    figure.exports(
        context,
        "perturbation",
        lambda: perturbation_figure(
            {network.title: curve for network, curve in curves.items()},
            {network.title: network.name_of(curve.target) for network, curve in curves.items()},
            context.subject.provenance("perturbed photograph"),
            theme=context.theme,
            cut=python_crop(vit, cnn),
            orders=ORDERS.get(chosen_perturbation(), 1),
        ),
        label=words.CURVES,
        cnn=cnn.context.key,
        kind=chosen_perturbation(),
        targets=tuple(curve.target for curve in curves.values()),
    )


def choose() -> None:
    """The choice of the perturbation."""
    st.selectbox(
        words.PERTURBATION,
        list(words.PERTURBATIONS),
        format_func=named(words.PERTURBATIONS),
        help=words.PERTURBATION_HELP,
        width=160,
        **state.bound("perturbation"),
    )
