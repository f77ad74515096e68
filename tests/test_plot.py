"""`vitviz.plot`: every figure from a trace alone, with the provenance of the image that was traced and Python that makes
it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vitviz
from vitviz import plot
from vitviz.figure import Figure

MODEL = {"weights": "random:0", "input_size": (64, 96)}
PASTE = vitviz.Paste((1, 2), (2, 3))
# (what to draw, of the trace; the array of the figure; what its Python calls it)
CASES: dict[str, tuple[Callable[[Any], Figure], str, str]] = {
    "patches": (plot.patches, "patches", "patches"),
    "sequence": (plot.sequence, "patches", "patches"),
    "filters": (lambda t: plot.filters(t, 5), "components", "found.components"),
    "positions": (plot.positions, "similarity", "similarity"),
    "position": (lambda t: plot.position(t, 1, 2), "similarity", "similarity"),
    "position_distance": (plot.position_distance, "mean", "curve.mean"),
    "heads": (plot.heads, "maps", "maps"),
    "heads of a layer": (lambda t: plot.heads(t, -2, "r1c2"), "maps", "maps"),
    "attention": (lambda t: plot.attention(t, 3, 1, "r1c2"), "values", "heatmap.values"),
    "microscope": (lambda t: plot.microscope(t, 3, "r1c2"), "maps", "figure.arrays['maps']"),
    "microscope by values": (
        lambda t: plot.microscope(t, -1, "cls", 1, direction="by", measure="value", shared=True),
        "values",
        "figure.arrays['values']",
    ),
    "layers": (plot.layers, "layer_4", "maps[4].values"),
    "rollout": (plot.rollout, "values", "heatmap.values"),
    "head_rollout": (lambda t: plot.head_rollout(t, 3, 1), "values", "heatmap.values"),
    "scores": (lambda t: plot.scores(t, 3, 1), "scores", "scores"),
    "weights": (lambda t: plot.weights(t, 3, 1, "r1c2"), "weights", "weights"),
    "attention_distance": (plot.attention_distance, "distances", "[each.numpy() for each in distances]"),
    "rollout_without_sinks": (plot.rollout_without_sinks, "values", "heatmap.values"),
    "similarity": (lambda t: plot.similarity(t, 1, 2), "similarity", "found[0]"),
    "components": (lambda t: plot.components(t, layer=3), "explained", "found.explained"),
    "clusters": (lambda t: plot.clusters(t, 3), "clusters", "found[0]"),
    "objects by lost": (lambda t: plot.objects(t, "lost", "query"), "masks", "[found.mask]"),
    "objects": (lambda t: plot.objects(t, centred=False), "scores", "[found.score]"),
    "objects by mask_cut": (
        lambda t: plot.objects(t, "mask_cut", "token", 2),
        "masks",
        "[each.mask for each in found]",
    ),
    "output": (lambda t: plot.output(t, 3, 1), "output", "output"),
    "classes": (plot.classes, "probability", "[each.value for each in best]"),
    "forming": (plot.forming, "probabilities", "values"),
    "explanation": (lambda t: plot.explanation(t, "relevance", target=3), "values", "heatmap.values"),
    "faithfulness": (lambda t: plot.faithfulness(t, ("attention", "rollout"), 3), "curves", "curves"),
    "compare": (lambda t: plot.compare(t, t, layer=2, head=1), "b", "b.values"),
}
NEED_MORE = {"rotary_kernel", "relative_bias", "scenes", "what_if", "outliers"}  # tested one by one below


@pytest.fixture(scope="module")
def image():
    return vitviz.load_sample("cat")


@pytest.fixture(scope="module")
def trace(image):
    return vitviz.trace(vitviz.load_model("vit_tiny_patch16_224", **MODEL), image, framing="squash")


@pytest.fixture
def loaded(trace, image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snippets load what the trace was made of; here it is loaded already."""

    def load_model(name: str, **arguments: Any) -> Any:
        assert (name, arguments) == ("vit_tiny_patch16_224", MODEL)
        return trace.model

    monkeypatch.setattr(vitviz, "load_model", load_model, raising=False)
    monkeypatch.setattr(vitviz, "load_image", {"photo.jpg": image}.__getitem__, raising=False)


def public() -> set[str]:
    functions = inspect.getmembers(plot, inspect.isfunction)
    assert {name for name, _ in functions} == set(plot.__all__)
    return set(plot.__all__)


def test_every_figure_is_tested() -> None:
    assert public() == {name.split()[0] for name in CASES} | NEED_MORE


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("loaded")
def test_a_figure_of_a_trace_can_be_made_again(name: str, trace, image) -> None:
    draw, array, called = CASES[name]
    figure = draw(trace)
    assert figure.provenance.image_hash == vitviz.image_hash(image)
    assert figure.provenance.framing == "squashed to fit" and figure.provenance.input_size == (64, 96)
    names: dict[str, Any] = {}
    exec(figure.snippet, names)
    np.testing.assert_allclose(np.asarray(eval(called, names)), figure.arrays[array], atol=1e-4)


def test_what_is_shown_is_what_the_model_was_given(trace, image) -> None:
    prepared = vitviz.prepare(trace.model, image, framing="squash")
    np.testing.assert_array_equal(trace.shown, np.asarray(prepared.shown))
    cut = np.asarray(prepared.shown)[16:32, 32:48]
    np.testing.assert_array_equal(plot.patches(trace).arrays["patches"][1 * 6 + 2], cut)


@pytest.mark.long
def test_positions_inside_the_attention() -> None:
    image = vitviz.load_sample("cat")
    rope = vitviz.trace(vitviz.load_model("vit_small_patch16_rope_224", weights="random", input_size=64), image)
    table = vitviz.rotary_table(rope.model, rope.layout)
    np.testing.assert_array_equal(plot.rotary_kernel(rope, 2, 1).arrays["kernel"], table.kernel(2, 1))
    swin = vitviz.trace(vitviz.load_model("swin_tiny_patch4_window7_224", weights="random"), image)
    biases = vitviz.offset_biases(swin.model, swin.model.input_size)
    np.testing.assert_array_equal(plot.relative_bias(swin, 3).arrays["bias"], biases[3].values)
    np.testing.assert_array_equal(plot.relative_bias(swin, 3, head=2).arrays["bias"], biases[3].values[2])
    assert plot.heads(swin, 0).arrays["maps"].shape == (3, 56, 56)  # windows are drawn on the layer's own grid


def test_two_pictures_and_a_changed_model(trace, image) -> None:
    other = vitviz.trace(trace.model, vitviz.load_sample("motorcycle"), framing="squash")
    found = vitviz.two_scenes(trace.model, trace.input, other.input, PASTE)
    np.testing.assert_allclose(plot.scenes(trace, other, PASTE).arrays["itself"], found.itself, atol=1e-6)
    changes = vitviz.Interventions((vitviz.SwitchOffLayers((3, 4)),))
    with vitviz.intervene(trace.model, *changes) as changed:
        after = vitviz.trace(changed, image, framing="squash")
    figure = plot.what_if(trace, after, changes)
    np.testing.assert_array_equal(figure.arrays["after"], vitviz.rollout(after).values)
    np.testing.assert_array_equal(figure.arrays["logits_after"], after.logits)
    assert figure.provenance.parameters["interventions"] == changes.encode()


def test_tokens_that_stand_out(trace) -> None:
    with pytest.raises(ValueError, match="no token stands out"):
        plot.outliers(trace)  # of random weights
    model = vitviz.load_model("embedded", input_size=112)
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    found = vitviz.token_outliers(vitviz.Question(model, trace.input, vitviz.SelfDot()))
    assert found.tokens
    assert plot.outliers(trace).arrays["names"][0] in {trace.layout.name_of(token) for token in found.tokens}
    with pytest.raises(ValueError, match="norm"):
        plot.outliers(trace, "weight")


def test_a_trace_of_an_input_alone_has_no_figure(trace) -> None:
    from vitviz.tracing import trace_input

    with pytest.raises(ValueError, match=r"vitviz\.trace\(model, image\)"):
        plot.heads(trace_input(trace.model, trace.input))
