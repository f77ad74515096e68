"""One head as matrices: the arrays are the model's own, and the snippet under each figure makes them again."""

from __future__ import annotations

import numpy as np
import pytest

from vitviz import load_model, prepare
from vitviz.analysis.by_hand import head_by_hand, open_layer
from vitviz.figures.by_hand import output_figure, scores_figure, weights_figure
from vitviz.figures.traced_image import TracedImage
from vitviz.samples import load_sample, samples
from vitviz.tracing import trace_input

LAYER, HEAD = 7, 2


@pytest.fixture(scope="module")
def made():
    model, sample = load_model("embedded"), next(each for each in samples() if each.id == "cat")
    prepared = prepare(model, load_sample("cat"))
    trace = trace_input(prepared.model, prepared.input)
    opened = open_layer(prepared.model, trace, LAYER)
    subject = TracedImage(prepared.model, prepared, trace, image_name=str(sample.path))
    return subject, opened, head_by_hand(opened, HEAD, "r4c5")


def again(snippet: str, array: str) -> np.ndarray:
    """What a snippet calls `array`."""
    names: dict[str, object] = {}
    exec(snippet, names)
    return np.asarray(names[array])


def test_scores_become_weights_become_output(made):
    subject, opened, hand = made
    scores, weights, output = (f(subject, opened, hand) for f in (scores_figure, weights_figure, output_figure))
    own = subject.trace.layers[LAYER].weights(HEAD).numpy()
    powers = np.exp(scores.arrays["scores"] - scores.arrays["scores"].max(1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), own, atol=1e-5)
    np.testing.assert_allclose(scores.arrays["scores"][hand.query], hand.scores, atol=1e-9)
    np.testing.assert_allclose(weights.arrays["weights"], own, atol=1e-6)
    np.testing.assert_allclose(output.arrays["output"][hand.query], hand.output, atol=1e-5)


@pytest.mark.parametrize(
    ("figure", "array"),
    [
        (output_figure, "output"),
        pytest.param(scores_figure, "scores", marks=pytest.mark.long),
        pytest.param(weights_figure, "weights", marks=pytest.mark.long),
    ],
)
def test_the_snippet_makes_the_numbers_again(made, figure, array):
    shown = figure(*made)
    np.testing.assert_allclose(again(shown.snippet, array), shown.arrays[array], atol=1e-4)
    assert shown.provenance.layer == LAYER and shown.provenance.head == HEAD and shown.provenance.query == "r4c5"
    assert "token r4c5" in shown.alt or "Row 70" in shown.alt
