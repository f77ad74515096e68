"""Tiny models of every kind that is taken from transformers, with random weights, as folders that its own code wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.capture.families import redraw

if os.environ.get("CI"):
    import transformers  # CI must not skip these tests: without the extra, this is an error
else:
    transformers = pytest.importorskip("transformers", reason='pip install "vitviz[transformers]" to run these tests')

SMALL = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 64,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 99,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
NAMES = {index: name for index, name in enumerate("tabby sparrow teapot lighthouse".split())}


@dataclass(frozen=True)
class Tiny:
    """One class of transformers made small, and what its tokens must turn out to be.

    made       the class that writes the folder
    loaded     the class that vitviz makes of it
    processor  the class that prepares its pictures, and `settings` what it is told
    """

    made: str
    config: str
    prefix: tuple[str, ...]
    processor: str
    arguments: dict[str, Any] = field(default_factory=dict)
    towers: bool = False
    loaded: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    side: int = 32
    size: tuple[int, int] = (48, 64)

    def __str__(self) -> str:
        return self.made + "".join(f"-{name}" for name in self.arguments if name not in ("id2label", "projection_dim"))

    @property
    def layers(self) -> int:
        return SMALL["num_hidden_layers"]

    def model(self, attention: str = "sdpa") -> Any:
        vision = {**SMALL, "image_size": self.side}
        if self.towers:
            given = {"vision_config": vision, "text_config": TEXT, **self.arguments}
        else:
            given = {**vision, **self.arguments}
        config = getattr(transformers, self.config)(**given)
        return getattr(transformers, self.made)._from_config(config, attn_implementation=attention).eval()

    def image_processor(self, pillow: bool = False) -> Any:
        settings = self.settings or {"size": {"height": self.side, "width": self.side}}
        return getattr(transformers, self.processor + "Pil" * pillow)(**settings)


CROPPED = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}
REGISTERS = {"num_register_tokens": 2}
LABELS = {"id2label": NAMES}
VIT, DINO, CLIP, SIGLIP = "ViTImageProcessor", "BitImageProcessor", "CLIPImageProcessor", "SiglipImageProcessor"

TINIES = [
    Tiny("ViTForImageClassification", "ViTConfig", ("cls",), VIT, LABELS),
    Tiny("ViTModel", "ViTConfig", ("cls",), VIT),
    Tiny(
        "ViTForImageClassification",
        "ViTConfig",
        ("cls",),
        VIT,
        {"image_size": [32, 48]},
        settings={"size": {"height": 32, "width": 48}},
        size=(32, 48),
    ),
    Tiny("Dinov2Model", "Dinov2Config", ("cls",), DINO, settings=CROPPED, side=40),
    Tiny("Dinov2ForImageClassification", "Dinov2Config", ("cls",), DINO, LABELS, settings=CROPPED, side=40),
    Tiny(
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        ("cls", "reg0", "reg1"),
        DINO,
        REGISTERS,
        settings=CROPPED,
        side=40,
    ),
    Tiny(
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        ("cls", "reg0", "reg1"),
        DINO,
        {**REGISTERS, **LABELS},
        settings=CROPPED,
        side=40,
    ),
    Tiny("DINOv3ViTModel", "DINOv3ViTConfig", ("cls", "reg0", "reg1"), "DINOv3ViTImageProcessor", REGISTERS),
    Tiny("CLIPVisionModel", "CLIPVisionConfig", ("cls",), CLIP, settings=CROPPED),
    Tiny("CLIPVisionModelWithProjection", "CLIPVisionConfig", ("cls",), CLIP, {"projection_dim": 24}, settings=CROPPED),
    Tiny(
        "CLIPModel",
        "CLIPConfig",
        ("cls",),
        CLIP,
        {"projection_dim": 24},
        True,
        "CLIPVisionModelWithProjection",
        CROPPED,
    ),
    Tiny("CLIPForImageClassification", "CLIPConfig", ("cls",), CLIP, LABELS, True, settings=CROPPED),
    Tiny("SiglipVisionModel", "SiglipVisionConfig", (), SIGLIP),
    Tiny("SiglipVisionModel", "SiglipVisionConfig", (), SIGLIP, {"vision_use_head": False}),
    Tiny("SiglipModel", "SiglipConfig", (), SIGLIP, towers=True, loaded="SiglipVisionModel"),
    Tiny("SiglipForImageClassification", "SiglipConfig", (), SIGLIP, LABELS, True),
]

# Not in the plain run of the tests: their attention is that of another class in the list.
LONG = (
    "ViTModel",
    "Dinov2ForImageClassification",
    "Dinov2WithRegistersModel",
    "CLIPVisionModelWithProjection",
    "CLIPModel",
    "SiglipVisionModel-vision_use_head",
    "SiglipModel",
    "SiglipForImageClassification",
)
CASES = [pytest.param(tiny, marks=pytest.mark.long if str(tiny) in LONG else (), id=str(tiny)) for tiny in TINIES]


def write(tiny: Tiny, folder: Path) -> Any:
    """Writes a folder as transformers does, of a model whose attention is far from uniform; gives the model back.

    Every parameter is redrawn until the largest weight of each layer is above 10 / tokens. The model is the eager twin,
    which makes its weights itself.
    """
    model = tiny.model("eager")
    model.requires_grad_(False)
    x = picture(tiny)
    gain = 1.0
    while True:
        redraw(model, gain, seed=1)
        weights = own_weights(model, x)
        if min(float(layer.max()) for layer in weights) > 10 / max(weights[0].shape[-1], 11):
            break
        gain *= 1.3
        assert gain < 100, f"{tiny} stays near uniform"
    model.save_pretrained(folder)
    tiny.image_processor().save_pretrained(folder)
    return model


def picture(tiny: Tiny, batch: int = 1) -> Tensor:
    """(batch, 3, height, width): an input that is not square."""
    return torch.randn(batch, 3, *tiny.size, generator=torch.Generator().manual_seed(3))


def vision_tower(model: Any) -> Any:
    """The part that takes pixels: the vision tower of a model of two towers, or the model."""
    return model.vision_model if hasattr(model, "text_model") else model


def called(model: Any, x: Tensor, **more: Any) -> Any:
    """transformers' own call of the vision model, told to resample positions where it has to be told."""
    tower = vision_tower(model)
    asked = (
        {} if "ino" in type(model).__name__ or "DINO" in type(model).__name__ else {"interpolate_pos_encoding": True}
    )
    native = tower.config.image_size if hasattr(tower.config, "image_size") else tower.config.vision_config.image_size
    if list(x.shape[-2:]) == (native if isinstance(native, list) else [native, native]):
        asked = {}
    with torch.inference_mode():
        return tower(pixel_values=x, **asked, **more)


def own_weights(model: Any, x: Tensor) -> list[Tensor]:
    """[(heads, tokens, tokens)] of every layer, as the eager model hands them out."""
    return [layer[0] for layer in called(model, x, output_attentions=True).attentions]
