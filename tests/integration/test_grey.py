"""A model of one channel, through everything that looks at its pixels or filters."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

import vitviz
from vitviz.analysis.by_hand.embedding import embedded_token
from vitviz.analysis.by_hand.layer import open_layer
from vitviz.analysis.patches import filter_components
from vitviz.capture.cost import estimate
from vitviz.capture.modules import blank_input, input_channels
from vitviz.figures.interventions import as_picture
from vitviz.models import load_model, prepare, resized
from vitviz.models.registry import build_on_meta


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grey")
    torch.manual_seed(0)
    made = timm.create_model(
        "vit_tiny_patch16_224", num_classes=3, in_chans=1, depth=2, img_size=64, embed_dim=48, num_heads=3
    )
    save_for_hf(made, folder, safe_serialization=True)
    return load_model(f"local-dir:{folder}")


@pytest.mark.parametrize("framing", ["crop", "squash", "fit"])
def test_its_input_is_the_luminance_and_the_trace_is_its_own_pass(model, framing):
    image = vitviz.load_sample("cat")
    prepared = prepare(model, image, framing=framing)
    height, width = prepared.model.input_size
    assert prepared.input.shape == (1, height, width) and prepared.shown.mode == "RGB"
    if framing == "squash":  # by hand
        small = np.asarray(image.convert("L").resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
        assert np.allclose(prepared.input[0].numpy(), (small - 0.5) / 0.5, atol=1e-6)
        assert (np.asarray(prepared.shown)[..., 0] == np.rint(small * 255)).all()
    with torch.no_grad():
        expected = model.module(prepared.input[None])[0]
    assert torch.allclose(vitviz.trace(model, image, framing=framing).logits, expected, atol=1e-5)


def test_its_size_can_be_changed(model):
    other = resized(model, (96, 64))
    assert other.layout.grid == (6, 4)
    assert estimate(other.module, (96, 64)).cost.tokens == 25


def test_its_filters_are_grey(model):
    found = filter_components(model)
    assert found.components.shape[1:] == (16, 16, 3)
    assert (found.components[..., 0] == found.components[..., 2]).all()
    filters = model.module.patch_embed.proj.weight.detach().flatten(1).numpy()
    own = np.linalg.svd(filters - filters.mean(0), compute_uv=False) ** 2
    assert np.allclose(found.explained, (own / own.sum())[: len(found.explained)], atol=1e-5)


def test_its_pixels_by_hand(model):
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    start = embedded_token(model, trace, open_layer(model, trace, 0), "r1c2")
    assert start.pixels.shape == (1, 16, 16) and start.filters.shape == (48, 1, 16, 16)
    assert np.allclose(start.pixels, trace.input[:, 16:32, 32:48].numpy())


def test_its_pixels_as_a_picture():
    pixels = (torch.tensor([[[0.0, 0.5], [1.0, 0.25]]]) - 0.5) / 0.25
    shown = np.asarray(as_picture(pixels, (0.5,), (0.25,)))
    assert shown.tolist() == [[[0] * 3, [128] * 3], [[255] * 3, [64] * 3]]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "swin_tiny_patch4_window7_224",
        "naflexvit_base_patch16_gap",
        "crossvit_9_240",
        "tnt_s_patch16_224",
        "csatv2",
    ],
)
def test_channels_are_read_off_the_module(name, channels):
    if name == "csatv2" and channels != 3:
        pytest.skip("its cosine transform is of colours only")
    module = build_on_meta(name, in_chans=channels)
    assert input_channels(module) == channels
    assert blank_input(module, (32, 48), "cpu").shape == (1, channels, 32, 48)


def test_channels_of_a_module_of_ones_own():
    class Own(torch.nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.norm = torch.nn.LayerNorm(4)
            self.stem = torch.nn.Conv2d(channels, 8, 4, 4)

    assert [input_channels(Own(channels)) for channels in (1, 3, 5)] == [1, 3, 5]
    assert input_channels(torch.nn.Linear(4, 4)) == 3
