"""The Python under every figure, executed: it makes the arrays that were drawn, with every argument that they depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vitviz
from vitviz.analysis.faithfulness import faithfulness
from vitviz.analysis.methods import METHODS, explain
from vitviz.analysis.prediction import logit_lens
from vitviz.analysis.sinks import token_outliers
from vitviz.figure import Provenance
from vitviz.figures.attention import (
    attention_figure,
    head_rollout_figure,
    heads_figure,
    map_code,
    rollout_figure,
    rollout_without_sinks_figure,
)
from vitviz.figures.comparison import Scene, Side, comparison_figure, scenes_figure
from vitviz.figures.embeddings import (
    atlas_figure,
    distance_figure,
    filters_figure,
    grid_figure,
    position_figure,
    sequence_figure,
)
from vitviz.figures.interventions import ChangedMap, outliers_figure, what_if_figure
from vitviz.figures.prediction import classes_figure, curves_figure, explanation_figure, forming_figure
from vitviz.figures.traced_image import TracedImage, traced_image
from vitviz.samples import load_sample, samples
from vitviz.tokens import Query

NAME = "vit_tiny_patch16_224"
Names = dict[str, Any]


def traced(number: int = 0, framing: str = "crop", seed: int = 0) -> TracedImage:
    model = vitviz.load_model(NAME, weights=f"random:{seed}", input_size=(64, 96))
    sample = samples()[number]
    image = load_sample(sample.id)
    made = traced_image(vitviz.prepare(model, image, framing), vitviz.image_hash(image), str(sample.path))
    assert isinstance(made, TracedImage)
    return made


@pytest.fixture(scope="module")
def subject() -> TracedImage:
    return traced()


@pytest.fixture(scope="module")
def fitted() -> TracedImage:
    return traced(1, "fit")


def run(snippet: str) -> Names:
    names: Names = {}
    exec(snippet, names)
    return names


def question(subject: TracedImage, target=None) -> vitviz.Question:
    return vitviz.Question(subject.model, subject.trace.input, target or vitviz.ClassLogit(3))


OPTIONS = vitviz.RolloutOptions(alpha=0.3, fusion="max", discard=0.29, first_layer=1, last_layer=9)
PLAIN: dict[str, tuple[Callable[[TracedImage], Any], dict[str, Callable[[Names], Any]]]] = {
    "rollout": (lambda s: rollout_figure(s), {"values": lambda n: n["heatmap"].values}),
    "rollout with knobs": (lambda s: rollout_figure(s, "r1c2", OPTIONS), {"values": lambda n: n["heatmap"].values}),
    "rollout without sinks": (
        lambda s: rollout_without_sinks_figure(s, "r1c2", OPTIONS),
        {"values": lambda n: n["heatmap"].values},
    ),
    "head rollout": (
        lambda s: head_rollout_figure(s, 5, 2, "leave_one_in", "r1c2", OPTIONS),
        {"values": lambda n: n["heatmap"].values},
    ),
    "heads": (lambda s: heads_figure(s, "r2c1"), {"maps": lambda n: n["maps"]}),
    "attention": (lambda s: attention_figure(s, 4, 1, "mean"), {"values": lambda n: n["heatmap"].values}),
    "grid": (lambda s: grid_figure(s), {"patches": lambda n: n["patches"]}),
    "sequence": (lambda s: sequence_figure(s), {"patches": lambda n: n["patches"]}),
    "filters": (
        lambda s: filters_figure(s, 7),
        {"components": lambda n: n["found"].components, "explained": lambda n: n["found"].explained},
    ),
    "atlas": (lambda s: atlas_figure(s), {"similarity": lambda n: n["similarity"]}),
    "position": (lambda s: position_figure(s, 1, 2), {"similarity": lambda n: n["similarity"]}),
    "distance": (
        lambda s: distance_figure(s),
        {name: lambda n, name=name: getattr(n["curve"], name) for name in ("distance", "mean", "low", "high")},
    ),
    "classes": (
        lambda s: classes_figure(s, 3),
        {"probability": lambda n: [b.value for b in n["best"]], "index": lambda n: [b.index for b in n["best"]]},
    ),
}


def check(figure, arrays: dict[str, Callable[[Names], Any]]) -> None:
    names = run(figure.snippet)
    assert set(arrays) == set(figure.arrays), "every array of the figure is compared"
    for name, get in arrays.items():
        np.testing.assert_allclose(np.asarray(get(names)), figure.arrays[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("what", PLAIN)
def test_a_snippet_makes_the_figures_arrays(subject, what, capsys):
    make, arrays = PLAIN[what]
    check(make(subject), arrays)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (("rollout", "cls"), "vitviz.rollout(trace, query='cls')"),
        (("rollout", Query.parse("cls+dist"), 3, 1), "vitviz.rollout(trace, query='cls+dist')"),
        (("attention", "r1c2", 4), "vitviz.attention_map(trace.layers[4], query='r1c2')"),
        (("attention", "mean", 0, 0, "after"), "vitviz.attention_map(after.layers[0], query='mean', head=0)"),
        (("attention", "pool", 0, 2), "vitviz.attention_map(trace.pooling[0], query='pool', head=2)"),
    ],
)
def test_the_call_of_one_map(asked, code):
    assert map_code(*asked) == code


@pytest.mark.parametrize("what", ["rollout", "grid", "heads"])
def test_a_whole_image_that_kept_its_shape_is_made_again(fitted, what, capsys):
    make, arrays = PLAIN[what]
    check(make(fitted), arrays)


def test_the_forming_answer(subject):
    figure = forming_figure(subject, logit_lens(question(subject)).values.numpy())
    names = run(figure.snippet)
    (array,) = figure.arrays.values()
    found = next(each for each in names.values() if getattr(each, "shape", None) == array.shape)
    np.testing.assert_allclose(found, array, atol=1e-6)


@pytest.mark.parametrize("key", ["attention", "relevance", "gradcam", "occlusion"])
@pytest.mark.parametrize("target", [vitviz.ClassLogit(5), vitviz.LogitDifference(5, 2)], ids=["class", "difference"])
def test_an_explanation(subject, key, target, capsys):
    heatmap = explain(question(subject, target), key)
    figure = explanation_figure(subject, heatmap, key, METHODS[key].name, target, "five")
    check(figure, {"values": lambda n: n["heatmap"].values})
    assert "gap" not in figure.provenance.parameters


def test_shares_say_how_far_they_are_from_adding_up(subject):
    from vitviz.analysis.methods.integrated_gradients import PathAttribution

    shares = PathAttribution(np.ones((4, 6)), "integrated gradients", signed=True, steps=64, total=7.0, difference=9.0)
    figure = explanation_figure(
        subject, shares, "integrated_gradients", "Integrated gradients", vitviz.ClassLogit(5), "five"
    )
    assert figure.provenance.parameters == {"target": "five", "points": 64, "score difference": 9.0, "gap": -2.0}
    assert "add up to 7, the score difference to a picture of the mean colour is 9" in figure.alt
    assert "more than the 0.45 aimed at" in figure.alt


@pytest.mark.parametrize("kind", ["deletion", pytest.param("insertion", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "named",
    [lambda key: METHODS[key].name, pytest.param(lambda key: key, marks=pytest.mark.long)],
    ids=["names", "keys"],
)
def test_curves_run_only_the_methods_drawn(subject, kind, named, monkeypatch, capsys):
    asked = question(subject)
    maps = {named(key): explain(asked, key) for key in ("rollout", "gradcam")}
    (scores,) = faithfulness(asked, maps, levels=(4,), seeds=2)
    figure = curves_figure(subject, scores, kind, asked.target, "three")
    ran = []
    monkeypatch.setattr("vitviz.analysis.methods.explain", lambda q, key: ran.append(key) or explain(q, key))
    _check_curves(figure)
    assert ran == ["rollout", "gradcam"]
    assert figure.provenance.parameters["methods"] == list(maps)
    assert (figure.provenance.parameters["steps"], figure.provenance.parameters["seeds"]) == (4, 2)


def _check_curves(figure) -> None:
    names = run(figure.snippet)
    np.testing.assert_allclose(names["curves"], figure.arrays["curves"], atol=1e-6)
    np.testing.assert_allclose(names["random"], figure.arrays["random"], atol=1e-6)
    np.testing.assert_allclose(names["scores"].centre.deletion.fractions, figure.arrays["fractions"])
    assert [*(each.name for each in names["scores"].methods), names["scores"].centre.name] == list(
        figure.arrays["names"]
    )


@pytest.mark.parametrize("measure", ["norm", "mass"])
def test_outliers_have_their_thresholds(subject, measure, capsys):
    found = token_outliers(question(subject), 1.02, 1.05)
    assert 4 < len(found.tokens) < 24
    figure = outliers_figure(subject, found, measure, "length", "after layer")
    names = run(figure.snippet)
    assert names["outliers"].tokens == found.tokens
    np.testing.assert_allclose(names["times"], figure.arrays["times"], rtol=1e-4)
    values = {"norm": found.norms, "mass": found.mass}[measure]
    first = subject.trace.layout.num_prefix
    for name, row in zip(figure.arrays["names"], figure.arrays["times"], strict=True):
        token = subject.trace.layout.token_named(str(name))
        np.testing.assert_allclose(row, values[:, token] / np.median(values[:, first:], axis=1), rtol=1e-5)
    assert figure.provenance.parameters == {"measure": measure, "norm times": 1.02, "mass times": 1.05}


@pytest.mark.parametrize("framing", ["crop", "squash"])
def test_two_scenes(subject, framing, capsys):
    sample = samples()[2]
    image = load_sample(sample.id)
    scene = Scene(vitviz.prepare(subject.model, image, framing), vitviz.image_hash(image), str(sample.path))
    figure = scenes_figure(subject, scene, vitviz.Paste((np.int64(1), 2), (2, np.int64(3)), block=np.int64(3)))
    assert "np." not in figure.snippet
    check(figure, {name: lambda n, name=name: getattr(n["found"], name) for name in figure.arrays})
    assert figure.provenance.parameters["other image"] == vitviz.image_hash(image)


def test_a_scene_that_kept_its_shape(fitted, capsys):
    """Prepared to "fit" again, the other picture would get another size."""
    sample = samples()[1]
    prepared = replace(fitted.prepared)
    figure = scenes_figure(fitted, Scene(prepared, fitted.image_hash, str(sample.path)), vitviz.Paste((0, 1), (1, 1)))
    check(figure, {name: lambda n, name=name: getattr(n["found"], name) for name in figure.arrays})


def test_a_comparison_says_everything_of_both_sides():
    one, two = traced(0), traced(1, "squash", seed=7)
    asked = ((one, 3, "r1c2", 1), (two, 5, "cls", 2))
    maps = [vitviz.attention_map(side.trace.layers[layer], query, head) for side, layer, query, head in asked]
    lines = [
        f"heatmap = vitviz.attention_map(trace.layers[{layer}], {query!r}, {head}).values"
        for layer, query, head in ((3, "r1c2", 1), (5, "cls", 2))
    ]
    sides = [
        Side(side, heatmap, name, Query.parse(query), line, {"layer": layer, "head": head})
        for (side, layer, query, head), heatmap, name, line in zip(asked, maps, ("A", "B"), lines, strict=True)
    ]
    figure = comparison_figure(*sides, "attention weights", with_difference=True)
    check(figure, {"a": lambda n: n["a"], "b": lambda n: n["b"], "difference": lambda n: n["difference"]})
    other = figure.provenance.compared_with
    assert other is not None
    for made, side in ((figure.provenance, one), (other, two)):
        assert (made.model, made.weights_hash, made.image_hash) == (NAME, side.model.weights_hash, side.image_hash)
        assert made.input_size == (64, 96)
    assert (other.query, other.layer, other.head, other.framing) == ("cls", 5, 2, "squashed to fit")
    assert other.weights_hash == "random:7" != figure.provenance.weights_hash
    assert Provenance.from_dict(figure.provenance.as_dict()) == figure.provenance
    assert "random:7" in figure.provenance.line and other.image_hash[:12] in figure.provenance.line


def test_what_if_says_which_map_of_which_change(subject, capsys):
    changes = vitviz.Interventions((vitviz.HidePatches((1, 2)), vitviz.SwitchOffHeads(((3, 1),), "mean")))
    gallery = (vitviz.prepare(subject.model, load_sample(sample.id)).input for sample in samples())
    means = vitviz.head_means(subject.model, gallery)
    with vitviz.intervene(subject.model, changes, head_means=means) as changed:
        after = vitviz.trace(changed, load_sample(samples()[0].id))
    figure = what_if_figure(
        subject,
        changes,
        after.logits,
        ChangedMap(
            vitviz.attention_map(subject.trace.layers[4], "r1c2", 2),
            vitviz.attention_map(after.layers[4], "r1c2", 2),
            "heatmap = vitviz.attention_map(trace.layers[4], 'r1c2', 2)",
            details={"map": "attention weights", "query": "r1c2", "layer": 4, "head": 2},
        ),
        means=means,
    )
    check(
        figure,
        {
            "before": lambda n: n["heatmap"].values,
            "after": lambda n: n["heatmap_after"].values,
            "logits_before": lambda n: n["trace"].logits,
            "logits_after": lambda n: n["after"].logits,
        },
    )
    made = figure.provenance
    assert (made.query, made.layer, made.head) == ("r1c2", 4, 2)
    assert made.parameters["map"] == "attention weights"
    assert made.parameters["interventions"] == changes.encode()
    assert made.parameters["head means"] == f"{means.digest} of {len(samples())} photographs"
