"""Captions, provenance and snippets name the query that was asked, and snippets make the same numbers again."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from vitviz.figures.attention import attention_figure, head_rollout_figure, heads_figure, rollout_figure
from vitviz.figures.layers import layer_figure, layer_heads_figure, overview_figure
from vitviz.figures.prediction import explanation_figure
from vitviz.figures.traced_image import literal, made, query_words, traced_image
from vitviz.samples import load_sample, samples
from vitviz.tokens import Query

SAMPLE = samples()[0]


def seen(name: str, size=(64, 64)):
    model = vitviz.load_model(name, weights="random", input_size=size)
    return traced_image(vitviz.prepare(model, load_sample(SAMPLE.id)), image_name=str(SAMPLE.path))


@pytest.fixture(scope="module")
def distilled():
    return seen("deit_tiny_distilled_patch16_224", (np.int64(64), np.int64(96)))


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        (None, "cls+dist", "the class token (50%) and the distillation token (50%)"),
        pytest.param(np.int64(1), "dist", "the distillation token", marks=pytest.mark.long),
        (np.uint8(3), "r0c1", "the patch in row 0, column 1"),
        ("1*cls+3*mean", "cls+3*mean", "the class token (25%) and the mean over all patches (75%)"),
    ],
)
def test_every_figure_of_a_query(distilled, query, name, words):
    layer, head = np.int64(3), np.int64(2)
    for figure in (
        rollout_figure(distilled, query),
        rollout_figure(distilled, query, vitviz.RolloutOptions(alpha=np.float32(0.25), first_layer=np.int64(1))),
        head_rollout_figure(distilled, layer, head, query=query),
        attention_figure(distilled, layer, head, query),
        heads_figure(distilled, query),
    ):
        assert words in figure.alt and figure.provenance.query == name
        assert "np." not in figure.snippet
        names: dict[str, object] = {}
        exec(figure.snippet, names)
        again = names["heatmap"].values if "heatmap" in names else names["maps"]
        np.testing.assert_allclose(again, next(iter(figure.arrays.values())), atol=1e-6)


def test_explanations_of_a_query_name_it(distilled):
    heatmap = vitviz.rollout(distilled.trace)
    for key, query in {"rollout": "cls+dist", "relevance": "cls+dist", "legrad": "", "occlusion": ""}.items():
        figure = explanation_figure(distilled, heatmap, key, key, vitviz.ClassLogit(np.int64(3)), "class 3")
        assert figure.provenance.query == query and ("from the class token" in figure.alt) == bool(query)
        assert "np." not in figure.snippet
    figure = explanation_figure(distilled, heatmap, "rollout", "rollout", vitviz.SelfDot(2), "a patch")
    assert figure.provenance.query == "r0c0"


@pytest.mark.long
def test_in_class_attention_only_the_class_token_asks():
    """All layers of XCiT that can be shown collect, so no patch looks anywhere, whichever is chosen."""
    subject = seen("xcit_nano_12_p16_224", None)
    assert subject.trace.not_sequential
    for query in (None, "r7c7", "mean"):
        for figure in (overview_figure(subject, query), layer_figure(subject, 0, None, query)):
            assert "class token" in figure.alt and "patch in row" not in figure.alt
    assert layer_heads_figure(subject, 0, "r7c7").provenance.query == "cls"


@pytest.mark.long
def test_layers_that_collect_beside_layers_of_patches():
    subject = seen("cait_xxs24_224", None)
    staged = subject
    alt = overview_figure(staged, "r1c2").alt
    layers = ", ".join(map(str, range(24)))
    assert f"the patch in row 1, column 2 looks in layers {layers}, the class token in layers 24, 25" in alt
    assert "the mean over all patches looks" in overview_figure(staged).alt  # no class token asks among the patches


def test_words():
    assert query_words(Query.parse("reg1")) == "the register token reg1"
    assert query_words(Query.parse("token3")) == "the further token token3"
    assert query_words(Query.parse("pool0")) == query_words(Query.parse("pool")) == "the pooling query"
    assert literal((np.int64(2), 3)) == "(2, 3)" and literal((np.int64(2),)) == "(2,)"
    assert made("f", "x", a=np.float64(0.5), b=None, c="r1c2") == "f(x, a=0.5, c='r1c2')"
