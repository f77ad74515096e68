"""The vision models of transformers that are taken, and how each reads its answer off the last tokens.

What can be read off a module is read off it (see `module.py`). What stands only in a model's own forward pass stands
here: which norm the whole sequence goes through at the end, and what happens to it then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """The end of one class of transformers.

    trunk    attribute that holds the vision trunk; "" where the class is the trunk itself
    norm     attribute of the trunk: the norm that all tokens go through at the end; "" where only what is pooled does
    pooling  as timm names it: "token" for the class token, "avg" where patches are averaged, "map" for an attention
             pooling
    read     (whole, trunk, tokens (batch, tokens, width), number of prefix tokens) -> logits (batch, classes), or pooled
             features (batch, width)
    """

    trunk: str
    norm: str
    pooling: str
    read: Callable[[Any, Any, Tensor, int], Tensor]


def _class_token(_whole: Any, _trunk: Any, tokens: Tensor, _prefix: int) -> Tensor:
    return tokens[:, 0]


def _with_pooler(_whole: Any, trunk: Any, tokens: Tensor, _prefix: int) -> Tensor:
    return tokens[:, 0] if trunk.pooler is None else trunk.pooler(tokens)


def _class_token_and_mean(whole: Any, _trunk: Any, tokens: Tensor, prefix: int) -> Tensor:
    return whole.classifier(torch.cat([tokens[:, 0], tokens[:, prefix:].mean(dim=1)], dim=1))


HEADS = {
    "ViTForImageClassification": Head("vit", "layernorm", "token", lambda w, t, x, p: w.classifier(x[:, 0])),
    "ViTModel": Head("", "layernorm", "token", _with_pooler),
    "Dinov2ForImageClassification": Head("dinov2", "layernorm", "avg", _class_token_and_mean),
    "Dinov2Model": Head("", "layernorm", "token", _class_token),
    "Dinov2WithRegistersForImageClassification": Head(
        "dinov2_with_registers", "layernorm", "avg", _class_token_and_mean
    ),
    "Dinov2WithRegistersModel": Head("", "layernorm", "token", _class_token),
    "DINOv3ViTModel": Head("", "norm", "token", _class_token),
    "CLIPVisionModel": Head("", "", "token", lambda w, t, x, p: t.post_layernorm(x[:, 0])),
    "CLIPVisionModelWithProjection": Head(
        "vision_model", "", "token", lambda w, t, x, p: w.visual_projection(t.post_layernorm(x[:, 0]))
    ),
    "CLIPForImageClassification": Head(
        "vision_model", "", "avg", lambda w, t, x, p: w.classifier(x[:, 1:].mean(dim=1))
    ),
    "SiglipVisionModel": Head(
        "", "post_layernorm", "map", lambda w, t, x, p: t.head(x) if t.use_head else x.mean(dim=1)
    ),
    "SiglipForImageClassification": Head(
        "vision_model", "post_layernorm", "avg", lambda w, t, x, p: w.classifier(x.mean(dim=1))
    ),
}


@dataclass(frozen=True)
class Kind:
    """One model_type of transformers.

    config     its configuration's class; one of two towers holds that of its vision tower
    classes    those of HEADS that a configuration may ask for by name
    otherwise  the class built where it asks for another: the trunk, or the vision tower, alone
    processor  the class that prepares pictures for it
    """

    config: str
    classes: tuple[str, ...]
    otherwise: str
    processor: str


KINDS = {
    "vit": Kind("ViTConfig", ("ViTForImageClassification",), "ViTModel", "ViTImageProcessor"),
    "dinov2": Kind("Dinov2Config", ("Dinov2ForImageClassification",), "Dinov2Model", "BitImageProcessor"),
    "dinov2_with_registers": Kind(
        "Dinov2WithRegistersConfig",
        ("Dinov2WithRegistersForImageClassification",),
        "Dinov2WithRegistersModel",
        "BitImageProcessor",
    ),
    "dinov3_vit": Kind("DINOv3ViTConfig", (), "DINOv3ViTModel", "DINOv3ViTImageProcessor"),
    "clip_vision_model": Kind(
        "CLIPVisionConfig", ("CLIPVisionModelWithProjection",), "CLIPVisionModel", "CLIPImageProcessor"
    ),
    "clip": Kind("CLIPConfig", ("CLIPForImageClassification",), "CLIPVisionModelWithProjection", "CLIPImageProcessor"),
    "siglip_vision_model": Kind("SiglipVisionConfig", (), "SiglipVisionModel", "SiglipImageProcessor"),
    "siglip": Kind("SiglipConfig", ("SiglipForImageClassification",), "SiglipVisionModel", "SiglipImageProcessor"),
}
