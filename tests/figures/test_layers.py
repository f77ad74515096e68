"""Figures of windows, stages and positions: every snippet makes the same numbers again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz import load_model, prepare
from vitviz.figures.embeddings import bias_figure, bias_heads_figure, biases_of, kernel_figure
from vitviz.figures.layers import layer_figure, layer_heads_figure, overview_figure
from vitviz.figures.traced_image import TracedImage, traced_image
from vitviz.samples import load_sample, samples

SWIN = "swin_tiny_patch4_window7_224"


def seen(name: str, size: int | None = None):
    model = load_model(name, weights="random", input_size=size)
    sample = samples()[0]
    return traced_image(prepare(model, load_sample(sample.id)), image_name=str(sample.path))


@pytest.fixture(scope="module")
def swin() -> TracedImage:
    subject = seen(SWIN)
    assert subject.trace.not_sequential
    return subject


def run(snippet: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(snippet, names)
    return names


def test_one_layer(swin, capsys):
    figure = layer_figure(swin, 1, 2, "r30c40")
    assert figure.arrays["reach"].sum() == 49 and figure.arrays["reach"][30, 40]
    np.testing.assert_allclose(run(figure.snippet)["heatmap"].values, figure.arrays["values"], atol=1e-6)
    assert figure.provenance.layer == 1 and figure.provenance.query == "r30c40"
    assert "shifted windows" in figure.alt and "49 patches of its window" in figure.alt
    with Image.open(io.BytesIO(figure.png())) as picture:
        assert picture.width > 800


def test_all_heads_of_a_layer(swin):
    figure = layer_heads_figure(swin, 4, "r30c40")
    assert figure.arrays["maps"].shape == (12, 14, 14)
    np.testing.assert_allclose(run(figure.snippet)["maps"], figure.arrays["maps"], atol=1e-6)


def test_every_layer_at_a_glance(swin):
    figure = overview_figure(swin, "r30c40")
    maps = run(figure.snippet)["maps"]
    assert len(maps) == len(figure.arrays) == 12
    for index, heatmap in enumerate(maps):
        np.testing.assert_allclose(heatmap.values, figure.arrays[f"layer_{index}"], atol=1e-6)


def test_a_model_of_one_grid_can_be_looked_at_layer_by_layer_too():
    subject = seen("vit_tiny_patch16_224", 64)
    assert not subject.trace.not_sequential
    staged = subject
    figure = layer_figure(staged, 3, 1, "r1c2")
    expected = vitviz.attention_map(subject.trace.layers[3], "r1c2", 1).values
    np.testing.assert_array_equal(figure.arrays["values"], expected)
    assert figure.arrays["reach"].all() and "global" in figure.alt


@pytest.mark.long
def test_class_attention_is_a_layer_of_its_own():
    subject = seen("xcit_nano_12_p16_224")
    assert subject.trace.not_sequential and not subject.trace.layers
    figure = layer_figure(subject)
    assert figure.arrays["values"].shape == (14, 14) and "class token" in figure.alt


@pytest.mark.long
def test_relative_bias(swin):
    biases = biases_of(swin)
    for figure, expected in (
        (bias_figure(swin, 5, 3, biases[5]), biases[5].values[3]),
        (bias_heads_figure(swin, 5, biases[5]), biases[5].values),
    ):
        names = run(figure.snippet)
        np.testing.assert_allclose(names["bias"].values if expected.ndim == 3 else names["values"], expected, atol=1e-6)
        np.testing.assert_array_equal(figure.arrays["bias"], expected)
        assert "layers.2.blocks.1.attn" in figure.alt


@pytest.mark.long
def test_rotary_kernel():
    subject = seen("vit_small_patch16_rope_mixed_224", 64)
    figure = kernel_figure(subject, 3, 2)
    assert figure.arrays["kernel"].shape == (7, 7)
    np.testing.assert_allclose(run(figure.snippet)["kernel"], figure.arrays["kernel"], atol=1e-6)
    assert figure.provenance.layer == 3 and figure.provenance.head == 2
