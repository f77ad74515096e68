"""Detectors of transformers, small and random, against what the library itself answers when it makes its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.hugging_face.tiny import transformers
from vitviz.errors import ModelError, UnsupportedError
from vitviz.models.hugging_face import detectors
from vitviz.models.hugging_face.detectors import DEFORMABLE, DETECTOR_TYPES, detect, load_detector

NAMES = {0: "wheel", 1: "window", 2: "body"}
SIZE = (64, 96)  # (height, width) of the detector's input


def configuration(kind: str) -> Any:
    if kind == "yolos":
        return transformers.YolosConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=list(SIZE),
            patch_size=16,
            num_detection_tokens=5,
            id2label=NAMES,
        )
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    return getattr(transformers, DETECTOR_TYPES[kind].config)(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=5,
        id2label=NAMES,
    )


def written(kind: str, folder: Path) -> tuple[Any, Any]:
    """(eager twin, image processor) of a folder as transformers writes it."""
    torch.manual_seed(4)
    model = (
        getattr(transformers, DETECTOR_TYPES[kind].made)
        ._from_config(configuration(kind), attn_implementation="eager")
        .eval()
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(12 if kind == "yolos" else 4)  # far from uniform
    model.save_pretrained(folder)
    processor = getattr(transformers, DETECTOR_TYPES[kind].processor)(size={"height": SIZE[0], "width": SIZE[1]})
    processor.save_pretrained(folder)
    return model, processor


def photograph() -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 130, 3), np.uint8))


@pytest.mark.parametrize("kind", DETECTOR_TYPES)
def test_boxes_classes_and_attention_are_the_librarys_own(kind: str, tmp_path: Path):
    model, processor = written(kind, tmp_path)
    detector = load_detector(f"hf:{tmp_path}")
    image = photograph()
    found = detect(detector, image)
    with torch.no_grad():
        output = model(**processor(images=image, return_tensors="pt", do_pad=False), output_attentions=True)
    boxes = processor.post_process_object_detection(output, threshold=0.0, target_sizes=[(50, 130)])[0]
    rows, cols = (2, 3) if kind != "yolos" else (4, 6)
    if kind == "yolos":
        expected = torch.stack(output.attentions)[:, 0, :, -5:, 1 : 1 + rows * cols]
        assert found.attends == "self-attention"
    else:
        expected = torch.stack(output.cross_attentions)[:, 0]
        assert found.attends == "cross-attention"
        np.testing.assert_allclose(found.attention.sum((-2, -1)), 1, atol=1e-5)
    assert found.attention.shape == (2, 2, 5, rows, cols)
    np.testing.assert_allclose(found.attention, expected.reshape(found.attention.shape).numpy(), atol=1e-5)
    assert float(np.ptp(found.attention)) > 0.02
    assert found.labels == ("wheel", "window", "body") and found.probabilities.shape == (5, 3)
    own = found.above(0.0)
    if DETECTOR_TYPES[kind].softmax:  # one answer a query, in the queries' order
        np.testing.assert_allclose(found.boxes, boxes["boxes"].numpy(), atol=1e-3)
        np.testing.assert_allclose(found.probabilities.max(1), boxes["scores"].numpy(), atol=1e-5)
        np.testing.assert_array_equal(found.probabilities.argmax(1), boxes["labels"].numpy())
    else:
        query, label, score = own[0]
        assert (label, score) == (int(boxes["labels"][0]), pytest.approx(float(boxes["scores"][0]), abs=1e-5))
        np.testing.assert_allclose(found.boxes[query], boxes["boxes"][0].numpy(), atol=1e-3)
    assert [score for *_, score in own] == sorted((score for *_, score in own), reverse=True)
    assert found.above(1.1) == []


def test_random_weights_repeat(tmp_path: Path):
    written("detr", tmp_path)
    one, two, other = (detect(load_detector(f"hf:{tmp_path}", seed), photograph()).boxes for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-4


def test_no_backbone_is_fetched(tmp_path: Path):
    written("detr", tmp_path)
    path = tmp_path / "config.json"
    told = json.loads(path.read_text())
    told["use_pretrained_backbone"] = True
    path.write_text(json.dumps(told))
    config = load_detector(f"hf:{tmp_path}").module.config
    assert not getattr(config, "use_pretrained_backbone", False)


@pytest.mark.parametrize(
    "changed",
    [
        {"backbone": "hf-hub:x/y"},
        {"backbone": "local-dir:/somewhere"},
        {"backbone": "x/y"},
        {"backbone": "no_such_network"},
        {"backbone": ["resnet18"]},
        {"backbone": "resnet18", "use_timm_backbone": False, "backbone_config": None},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:x/y"}},
        {"backbone_config": {"model_type": "detr", "backbone_config": {"backbone": "x/y"}}},
        {"backbone": "resnet18", "backbone_kwargs": {"pretrained_cfg_overlay": {"file": "/somewhere"}}},
        {"backbone": "resnet18", "backbone_kwargs": {"out_indices": [0]}},
        {"backbone": "resnet18", "backbone_kwargs": ["pretrained"]},
    ],
)
def test_a_backbone_from_elsewhere_is_refused(changed: dict[str, Any], tmp_path: Path):
    config = {"model_type": "detr", "use_timm_backbone": True, **changed}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="backbone"):
        load_detector(f"hf:{tmp_path}", seed=1)


def test_a_backbone_of_timms_registry_is_built(tmp_path: Path):
    small = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    usual = {"out_indices": [1, 2, 3, 4], "in_chans": 3}
    config = {"model_type": "detr", "backbone": "resnet18.a1_in1k", "backbone_kwargs": usual, "backbone_config": None}
    (tmp_path / "config.json").write_text(json.dumps({**config, **small, "use_pretrained_backbone": True}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 64, "max_size": 96}))
    detector = load_detector(f"hf:{tmp_path}", seed=1)
    assert sum("layer1.0.conv1" in name for name, _ in detector.module.named_parameters()) == 1
    assert detect(detector, photograph()).boxes.shape == (100, 4)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": {"height": 64, "width": 10**6}},
        {"size": {"shortest_edge": 64, "longest_edge": 2049}},
        {"size": 10**6},
        {"size": [64, 10**6]},
        {"size": {"height": 64, "width": "1000000"}},
        {"size": 64, "max_size": 10**6},
        {"pad_size": {"height": 10**6, "width": 64}},
    ],
)
def test_an_image_processor_that_makes_too_much_is_refused(changed: dict[str, Any], tmp_path: Path):
    written("yolos", tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(ModelError, match="sides of 1 to 2048 pixels"):
        load_detector(f"hf:{tmp_path}", seed=1)


def test_nothing_waits_for_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written("yolos", tmp_path)
    held = []

    def fetched(location: Any, progress: Any = None) -> Path:
        held.append(detectors.BUILDING.locked())
        return weights_file(location, progress)

    weights_file = detectors.weights_file
    monkeypatch.setattr(detectors, "weights_file", fetched)
    load_detector(f"hf:{tmp_path}")
    assert held == [False]


@pytest.mark.parametrize("kind", sorted(DEFORMABLE))
def test_deformable_attention_is_refused_by_name(kind: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UnsupportedError, match="deformable attention"):
        load_detector(f"hf:{tmp_path}")


def test_other_models_and_impossible_sizes_are_refused(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(UnsupportedError, match="detr, conditional_detr, yolos are taken"):
        load_detector(f"hf:{tmp_path}")
    path.write_text(json.dumps({"model_type": "detr", "num_queries": 10**9}))
    with pytest.raises(ModelError, match="num_queries is 1000000000"):
        load_detector(f"hf:{tmp_path}")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path):
    written("yolos", tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_detection_tokens": 7}))
    with pytest.raises(ModelError, match="do not fit YolosForObjectDetection"):
        load_detector(f"hf:{tmp_path}")
