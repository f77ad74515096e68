"""Pictures prepared as transformers' own image processors prepare them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.hugging_face.tiny import TINIES, transformers
from tests.models.test_preparation import photograph
from vitviz.errors import ModelError, UnsupportedError
from vitviz.models import load_model, prepare
from vitviz.models.hugging_face.load import preprocessing_of

PROCESSORS = list({tiny.processor: tiny for tiny in TINIES}.values())
SIZES = [(640, 427), (300, 500), (64, 64), (97, 61), (71, 73)]
# Both round resized pixels to whole numbers; Pillow and torchvision resize with different arithmetic.
LEVELS = 2


@pytest.fixture(scope="module", params=PROCESSORS, ids=lambda tiny: tiny.processor)
def case(request, written):
    return written(request.param)


def made(model, image: Image.Image) -> torch.Tensor:
    return prepare(model, image, framing=model.preprocessing.framing).input


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tiny", [t for t in PROCESSORS if "DINOv3" not in t.processor], ids=lambda t: t.processor)
def test_input_equals_the_processor_on_pillow(tiny, size, written):
    """The same Pillow, so the same pixels: what is left is the rounding of (x / 255 - mean) / std. DINOv3's processor has
    no twin on Pillow."""
    image = photograph(*size)
    expected = tiny.image_processor(pillow=True)(image, return_tensors="pt").pixel_values[0]
    torch.testing.assert_close(made(written(tiny).model, image), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_input_equals_the_processor_on_torchvision_within_two_levels_of_256(case, size):
    image = photograph(*size)
    expected = case.tiny.image_processor()(image, return_tensors="pt").pixel_values[0]
    std = torch.tensor(case.model.preprocessing.std)[:, None, None]
    levels = (made(case.model, image) - expected).abs() * std * 255
    assert levels.max() <= LEVELS + 0.01
    assert levels.mean() < 0.5


def test_the_shown_pixels_are_the_input(case):
    prepared = prepare(case.model, photograph(97, 61), framing="crop")
    mean, std = (torch.tensor(v)[:, None, None] for v in (case.model.preprocessing.mean, case.model.preprocessing.std))
    pixels = torch.from_numpy(np.asarray(prepared.shown).copy()).permute(2, 0, 1) / 255  # (3, height, width)
    torch.testing.assert_close(prepared.input, (pixels - mean) / std, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(67, 37), (37, 67), (69, 37), (71, 41), (37, 40)])
def test_the_smaller_margin_is_at_the_top_and_left(size):
    """Where torchvision rounds half a pixel to the even side, transformers rounds it down."""
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32}, do_normalize=False
    )
    preprocessing, wanted = preprocessing_of(processor, (32, 32))
    image = photograph(*size)

    class SizedModel:
        name, input_size = "sized", wanted

    SizedModel.preprocessing = preprocessing
    prepared = prepare(SizedModel(), image)
    expected = processor(image, return_tensors="pt").pixel_values[0]
    torch.testing.assert_close(prepared.input, expected, atol=2e-6, rtol=0)
    left, top, right, bottom = prepared.box
    assert left <= size[0] - right
    assert top <= size[1] - bottom


@pytest.mark.parametrize(
    "settings",
    [
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
        {"do_rescale": False, "image_mean": [100.0, 110.0, 120.0], "image_std": [50.0] * 3},
        {"do_normalize": False},
        {"resample": 0},
        {"resample": 1},
        {"size": 32},
        {"size": {"height": 24, "width": 40}},
    ],
    ids=str,
)
def test_other_settings_are_followed(settings):
    processor = transformers.ViTImageProcessorPil(**{"size": {"height": 32, "width": 32}, **settings})
    preprocessing, wanted = preprocessing_of(processor, (32, 32))

    class SizedModel:
        name, input_size = "sized", wanted

    SizedModel.preprocessing = preprocessing
    image = photograph(97, 61)
    expected = processor(image, return_tensors="pt").pixel_values[0]
    torch.testing.assert_close(prepare(SizedModel(), image, "squash").input, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("edge", "crop"), [(256, 224), (224, 224), (93, 32), (246, 32), (396, 32), (592, 518)])
def test_the_shorter_side_is_resized_to_the_pixel(edge, crop):
    """crop / (crop / edge) is a little less than edge for some of these."""
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": edge}, crop_size={"height": crop, "width": crop})
    fraction = preprocessing_of(processor, (crop, crop))[0].crop_fraction
    assert int(crop / fraction) == edge


def test_a_picture_padded_at_the_crop_is_refused():
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 200}, crop_size={"height": 224, "width": 224})
    with pytest.raises(UnsupportedError, match="shortest_edge 200, crop height 224"):
        preprocessing_of(processor, (224, 224))


def test_the_forms_that_descriptions_have_had(written, tmp_path):
    """An older one names a feature extractor and a plain number, a newer one stands inside the processor's."""
    case = written(next(tiny for tiny in TINIES if tiny.made == "CLIPModel"))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(case.folder / name)
    older = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 37, "crop_size": 32, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(older))
    assert load_model(f"hf:{tmp_path}").preprocessing == case.model.preprocessing
    newer = json.loads((case.folder / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": newer}))
    assert load_model(f"hf:{tmp_path}").preprocessing == case.model.preprocessing
    assert load_model(f"hf:{tmp_path}").input_size == case.model.input_size == (32, 32)


def test_a_description_that_says_nonsense(written, tmp_path):
    case = written(TINIES[0])
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(case.folder / name)
    (tmp_path / "preprocessor_config.json").write_text('{"size": "large"}')
    with pytest.raises(ModelError, match="image processor's description"):
        load_model(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("image_mean", value) for value in (None, "grey", [0.5, 0.5], [], [None] * 3, float("nan"), [1e9] * 3, True)),
        *(
            ("image_std", value)
            for value in (None, 0, [0, 0, 0], [1, 1, 0], -1, float("nan"), float("inf"), 1e-30, "x")
        ),
        *(("resample", value) for value in (None, 99, -1, "bicubic", 2.5, True, [3])),
        *(("rescale_factor", value) for value in (None, 0, -1, "1/255", float("nan"), float("inf"), 1e30, [1])),
        *(
            ("size", value)
            for value in ({"height": 10**9, "width": 10**9}, {"height": 0, "width": 5}, {"height": -8, "width": 8})
        ),
        *(
            ("size", value)
            for value in ({"height": 8.5, "width": 8.5}, {"height": "8", "width": "8"}, 10**9, [], "x", 0)
        ),
        *((name, value) for name in ("do_resize", "do_rescale", "do_normalize") for value in ("no", 1, [])),
    ],
)
def test_a_field_that_cannot_be_is_named(written, tmp_path, field, value):
    case = written(TINIES[0])
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(case.folder / name)
    told = {**json.loads((case.folder / "preprocessor_config.json").read_text()), field: value}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    with pytest.raises((ModelError, UnsupportedError), match="image processor") as caught:
        load_model(f"hf:{tmp_path}", weights="random")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unused", [{"do_normalize": False, "image_mean": None}, {"do_rescale": False, "rescale_factor": None}]
)
def test_a_field_that_is_not_used_may_be_anything(written, tmp_path, unused):
    case = written(TINIES[0])
    (tmp_path / "config.json").symlink_to(case.folder / "config.json")
    told = {**json.loads((case.folder / "preprocessor_config.json").read_text()), **unused}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    assert load_model(f"hf:{tmp_path}", weights="random").input_size == (32, 32)
