"""Convolutional networks by name, and Grad-CAM on them against the library asked directly."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import timm
import torch

import vitviz
from vitviz.analysis.methods.gradcam import cnn_gradcam
from vitviz.errors import ModelError, UnsupportedError
from vitviz.models import load_cnn


def test_any_convolutional_network_of_the_registry_can_be_asked_for():
    found = load_cnn("resnet18", weights="random:3")
    assert (found.input_size, found.weights, found.weights_hash) == ((224, 224), "random", "random:3")
    assert len(found.labels) == 1000 and found.labels[7] == "class 7" and not found.module.training
    twin = load_cnn("resnet18", weights="random:3").module.state_dict()
    assert all(torch.equal(tensor, twin[name]) for name, tensor in found.module.state_dict().items())
    assert found.preprocessing.mean == timm.get_pretrained_cfg("resnet18").mean


@pytest.mark.parametrize(
    ("name", "weights", "error", "match"),
    [
        ("resnet18000", "random", ModelError, "No model is called 'resnet18000'"),
        ("resnet18", "best", ModelError, "not 'best'"),
        ("vit_tiny_patch16_224", "random", UnsupportedError, "not a map"),
        ("swin_tiny_patch4_window7_224", "random", UnsupportedError, "not a map"),
    ],
)
def test_what_is_no_convolutional_network_is_refused(name: str, weights: str, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        load_cnn(name, weights=weights)


def test_gradcam_is_the_librarys_own_on_the_last_stage():
    network = load_cnn("resnet18", weights="random:1")
    pixels = torch.randn(3, 96, 64)
    found = cnn_gradcam(network, pixels, 5)
    x = pixels[None].clone().requires_grad_()
    own = captum.attr.LayerGradCam(network.module, network.module.layer4).attribute(x, 5, relu_attributions=True)
    assert found.grid == (3, 2) and float(own.detach().max()) > 0
    np.testing.assert_allclose(found.values, own[0, 0].detach().numpy(), rtol=1e-4, atol=1e-7)
    with pytest.raises(IndexError, match="output 1000"):
        cnn_gradcam(network, pixels, 1000)


def test_the_embedded_network_points_at_its_answer():
    network = load_cnn()
    prepared = vitviz.prepare(network, vitviz.load_sample("koala"))
    with torch.no_grad():
        answer = int(network.module(prepared.input[None]).argmax())
    assert network.labels[answer] == "koala"
    found = cnn_gradcam(network, prepared.input, answer)
    row, col, value = found.peak
    assert value > 0 and 0.1 < (row + 0.5) / found.grid[0] < 0.9 and 0.2 < (col + 0.5) / found.grid[1] < 0.8


def test_a_transformer_has_no_last_map():
    model = vitviz.load_model("embedded")
    with pytest.raises(UnsupportedError, match="not a map"):
        cnn_gradcam(model, torch.randn(3, 28, 28), 0)
