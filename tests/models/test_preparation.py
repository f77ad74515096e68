"""Preprocessing, bit for bit against timm's own, and the box and the shown pixels against the photograph."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform, resolve_data_config

from vitviz.errors import ImageError, UnsupportedError
from vitviz.models import FRAMINGS, load_cnn, load_model, prepare, resized
from vitviz.models.checkpoint import timm_preprocessing
from vitviz.models.preparation import fit_size
from vitviz.models.registry import pretrained_cfg


@pytest.fixture(scope="module")
def model():
    return load_model("embedded")


def photograph(width: int, height: int) -> Image.Image:
    """Noise over a ramp, so that every pixel matters and none repeats."""
    rng = np.random.default_rng(width * 10_000 + height)
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 80, width))[..., None]
    return Image.fromarray((ramp + rng.integers(0, 56, (height, width, 3))).astype(np.uint8))


@pytest.mark.parametrize("size", [(640, 427), (300, 500), (224, 224), (97, 61), (1001, 777)])
@pytest.mark.parametrize(
    "name", ["test_vit", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "eva02_tiny_patch14_224"]
)
def test_crop_is_timms_own_evaluation_to_the_bit(name, size):
    model, image = load_model(name, weights="random"), photograph(*size)
    cfg = pretrained_cfg(name)
    expected = create_transform(**resolve_data_config(pretrained_cfg=cfg.to_dict()))(image)
    assert cfg.crop_mode == "center"
    assert torch.equal(prepare(model, image).input, expected)


def test_crop_of_the_embedded_models(model):
    image = photograph(640, 427)
    vit = create_transform(224, interpolation="bicubic", crop_pct=1.0)
    cnn = create_transform(224, interpolation="bicubic", crop_pct=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert torch.equal(prepare(model, image).input, vit(image))
    assert torch.equal(prepare(load_cnn(), image).input, cnn(image))


def test_crop_to_an_oblong_is_timms_too(model):
    image, oblong = photograph(640, 427), resized(model, (224, 140))
    expected = create_transform((3, 224, 140), interpolation="bicubic", crop_pct=1.0)(image)
    assert torch.equal(prepare(oblong, image).input, expected)


@pytest.mark.parametrize("framing", ["squash", "fit"])
def test_the_whole_image_is_timms_squash_at_the_size_used(model, framing):
    image = photograph(640, 427)
    made = prepare(model, image, framing)
    height, width = made.model.input_size
    squash = create_transform((3, height, width), interpolation="bicubic", crop_pct=1.0, crop_mode="squash")
    assert torch.equal(made.input, squash(image))


@pytest.mark.parametrize("framing", FRAMINGS)
def test_shown_is_what_the_model_saw(model, framing):
    made = prepare(model, photograph(640, 427), framing)
    height, width = made.model.input_size
    assert made.shown.size == (width, height)
    assert made.input.shape == (3, height, width)
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.preprocessing.mean, model.preprocessing.std))
    pixels = torch.from_numpy(np.asarray(made.shown).copy()).permute(2, 0, 1) / 255  # (3, height, width)
    assert torch.allclose(made.input, (pixels - mean) / std, atol=1e-6)


@pytest.mark.parametrize("size", [(640, 427), (300, 500), (224, 224), (4000, 600)])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_box_is_the_region_that_was_kept(model, size, framing):
    """In a photograph whose pixels say where they are, the shown edges tell the box."""
    width, height = size
    cnn_like = load_cnn() if framing != "fit" else model
    position = np.zeros((height, width, 3))
    position[..., 0] = np.linspace(0, 250, width)[None, :]
    position[..., 1] = np.linspace(0, 250, height)[:, None]
    made = prepare(cnn_like, Image.fromarray(position.round().astype(np.uint8)), framing)
    left, top, right, bottom = made.box
    across, down = (
        np.asarray(made.shown)[..., 0].mean(0) / 250 * width,
        np.asarray(made.shown)[..., 1].mean(1) / 250 * height,
    )
    tolerance = 2 + 0.015 * max(size)
    assert abs(across[0] - left) < tolerance
    assert abs(across[-1] - right) < tolerance
    assert abs(down[0] - top) < tolerance
    assert abs(down[-1] - bottom) < tolerance


def test_a_model_measured_on_squashed_images_says_so():
    squashed = "coatnet_rmlp_2_rw_384.sw_in12k_ft_in1k"
    assert timm_preprocessing(pretrained_cfg(squashed)).framing == "squash"
    assert timm_preprocessing(pretrained_cfg("test_vit")).framing == "crop"


def test_fit_keeps_the_shape_and_the_number_of_patches(model):
    made = prepare(model, photograph(1600, 400), "fit")
    rows, cols = made.model.layout.grid
    assert made.model.module is model.module
    assert made.box == (0, 0, 1600, 400)
    assert (rows, cols) == (8, 32)
    with torch.no_grad():
        assert made.model.module(made.input[None]).shape == (1, 293)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([(14, 14), (16, 16), (32, 32), (8, 16)]))
def test_fit_size_is_whole_cheap_and_shaped_like_the_image(height, width, step):
    tall, wide = fit_size((height, width), (224, 224), step)
    assert tall % step[0] == wide % step[1] == 0
    steps, wanted = (tall // step[0]) * (wide // step[1]), 224 * 224 / (step[0] * step[1])
    assert 1 <= steps <= 1.1 * wanted
    if 1 / 4 < height / width < 4 and wanted > 100:
        assert abs(math.log(tall / wide) - math.log(height / width)) < 0.15
        assert steps > 0.75 * wanted


def test_fit_where_the_model_has_one_size():
    with pytest.raises(UnsupportedError, match="centre crop or the squashed"):
        prepare(load_model("cait_xxs24_224", weights="random"), photograph(640, 300), "fit")
    with pytest.raises(UnsupportedError, match="one input size only"):
        prepare(load_cnn(), photograph(640, 300), "fit")


def test_fit_in_a_model_of_several_stages():
    model = load_model("pvt_v2_b0", weights="random")
    made = prepare(model, photograph(640, 300), "fit")
    assert made.model.input_size[0] % 32 == made.model.input_size[1] % 32 == 0
    with torch.no_grad():
        assert made.model.module(made.input[None]).shape == (1, 1000)


def test_a_strip_is_refused_before_it_fills_the_memory(model):
    strip = Image.new("RGB", (1_000_000, 1))
    with pytest.raises(ImageError, match="too long and thin"):
        prepare(model, strip)
    assert prepare(model, strip, "squash").input.shape == (3, 224, 224)
    assert prepare(model, strip, "fit").model.layout.grid == (1, 256)


def test_an_unknown_framing():
    with pytest.raises(ValueError, match="crop, squash, fit"):
        prepare(load_cnn(), photograph(10, 10), "stretch")
