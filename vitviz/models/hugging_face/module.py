"""A vision model of transformers with timm's interface: pixels in, logits out, and timm's names for its parts.

The forward pass is the model's own; nothing is computed here that the model does not compute.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.outputs import OutputKind, kind_of_count


@dataclass(frozen=True)
class Head:
    """Final norm, pooling and classifier of one class of transformers.

    Attributes:
        backbone: Attribute with the vision backbone; "" if the class is the backbone.
        norm: Attribute of the backbone with the final norm of all tokens; "" if only the pooled output is normalised.
        pooling: timm's name: "token" for the class token, "avg" for the mean over patches, "map" for attention pooling.
        read: (model, backbone, tokens (batch, tokens, width), number of prefix tokens) -> logits (batch, classes), or
            pooled features (batch, width).
    """

    backbone: str
    norm: str
    pooling: str
    read: Callable[[Any, Any, Tensor, int], Tensor]


def _class_token(_whole: Any, _trunk: Any, tokens: Tensor, _prefix: int) -> Tensor:
    return tokens[:, 0]


def _with_pooler(_whole: Any, backbone: Any, tokens: Tensor, _prefix: int) -> Tensor:
    return tokens[:, 0] if backbone.pooler is None else backbone.pooler(tokens)


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
class ModelType:
    """One model_type of transformers.

    Attributes:
        config: Class of its configuration; a configuration with two towers contains that of the vision tower.
        classes: Classes of HEADS that a configuration may name.
        otherwise: The class for a configuration that names another: the backbone or the vision tower alone.
        processor: Class of its image processor.
    """

    config: str
    classes: tuple[str, ...]
    otherwise: str
    processor: str


MODEL_TYPES = {
    "vit": ModelType("ViTConfig", ("ViTForImageClassification",), "ViTModel", "ViTImageProcessor"),
    "dinov2": ModelType("Dinov2Config", ("Dinov2ForImageClassification",), "Dinov2Model", "BitImageProcessor"),
    "dinov2_with_registers": ModelType(
        "Dinov2WithRegistersConfig",
        ("Dinov2WithRegistersForImageClassification",),
        "Dinov2WithRegistersModel",
        "BitImageProcessor",
    ),
    "dinov3_vit": ModelType("DINOv3ViTConfig", (), "DINOv3ViTModel", "DINOv3ViTImageProcessor"),
    "clip_vision_model": ModelType(
        "CLIPVisionConfig", ("CLIPVisionModelWithProjection",), "CLIPVisionModel", "CLIPImageProcessor"
    ),
    "clip": ModelType(
        "CLIPConfig", ("CLIPForImageClassification",), "CLIPVisionModelWithProjection", "CLIPImageProcessor"
    ),
    "siglip_vision_model": ModelType("SiglipVisionConfig", (), "SiglipVisionModel", "SiglipImageProcessor"),
    "siglip": ModelType("SiglipConfig", ("SiglipForImageClassification",), "SiglipVisionModel", "SiglipImageProcessor"),
}


class HuggingFaceModule(nn.Module):
    """A model of transformers as a module with timm's interface.

    `module(x)` takes x (batch, channels, height, width) and returns logits (batch, classes), or pooled features (batch,
    width) of a model without a classifier.

    Attributes:
        model: The model of transformers, one of the classes in HEADS.

    Raises:
        ValueError: For an input size that is not a multiple of the patch size: transformers would drop the remainder.
    """

    dynamic_img_size = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model
        self._head = HEADS[type(model).__name__]
        # Models without this argument always resample their positions.
        self._asked = "interpolate_pos_encoding" in inspect.signature(self.embeddings.forward).parameters
        side = self.backbone.config.image_size
        self.native_size: tuple[int, int] = tuple(side) if isinstance(side, list | tuple) else (side, side)
        self.num_classes: int = model.config.num_labels if hasattr(model, "classifier") else 0
        self.num_prefix_tokens = sum(0 if part is None else part.shape[1] for part in (self.cls_token, self.reg_token))

    @property
    def output_kind(self) -> OutputKind:
        """The kind of the configuration's `problem_type`, read as by transformers' pipeline for image classification."""
        stated = getattr(self.model.config, "problem_type", None)
        if self.num_classes == 0 or stated is None:
            return kind_of_count(self.num_classes)
        kind = OutputKind(stated)
        return OutputKind.LABELS if kind is OutputKind.CLASSES and self.num_classes == 1 else kind

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % self.patch_size[0] or width % self.patch_size[1]:
            raise ValueError(f"{height} x {width} pixels are not a whole number of patches")
        asked = {"interpolate_pos_encoding": True} if self._asked and (height, width) != self.native_size else {}
        out = self.model(pixel_values=x, return_dict=True, **asked)
        for name in ("logits", "image_embeds", "pooler_output"):
            if getattr(out, name, None) is not None:
                return out[name]
        return self.forward_head(out.last_hidden_state)

    def forward_head(self, tokens: Tensor) -> Tensor:
        """Logits or pooled features from tokens (batch, tokens, width) after the final norm."""
        return self._head.read(self.model, self.backbone, tokens, self.num_prefix_tokens)

    @property
    def backbone(self) -> Any:
        """The module whose output is the sequence of tokens."""
        return getattr(self.model, self._head.backbone) if self._head.backbone else self.model

    @property
    def embeddings(self) -> Any:
        return self.backbone.embeddings

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers, first layer first."""
        return next(part for part in self.backbone.modules() if isinstance(part, nn.ModuleList))

    @property
    def norm(self) -> nn.Module | None:
        return getattr(self.backbone, self._head.norm) if self._head.norm else None

    @property
    def norm_pre(self) -> nn.Module | None:
        """The norm before the first layer, if there is one."""
        return getattr(self.backbone, "pre_layrnorm", None)

    @property
    def pos_drop(self) -> nn.Module | None:
        """The first module that is given the whole sequence with its positions added."""
        return self.norm_pre or getattr(self.embeddings, "dropout", None)

    @property
    def attn_pool(self) -> nn.Module | None:
        return getattr(self.backbone, "head", None) if self._head.pooling == "map" else None

    @property
    def global_pool(self) -> str:
        averages = self._head.pooling == "map" and self.attn_pool is None
        return "avg" if averages else self._head.pooling

    @property
    def patch_embed(self) -> nn.Conv2d:
        """The patch embedding's convolution: (batch, channels, height, width) -> (batch, width, rows, cols)."""
        return next(part for part in self.embeddings.modules() if isinstance(part, nn.Conv2d))

    @property
    def patch_size(self) -> tuple[int, int]:
        height, width = self.patch_embed.stride
        return int(height), int(width)

    @property
    def cls_token(self) -> Tensor | None:
        """(1, 1, width), or None."""
        token = getattr(self.embeddings, "cls_token", getattr(self.embeddings, "class_embedding", None))
        return None if token is None else token.reshape(1, 1, -1)  # (1, 1, width)

    @property
    def reg_token(self) -> Tensor | None:
        """(1, registers, width), or None."""
        return getattr(self.embeddings, "register_tokens", None)

    @property
    def pos_embed(self) -> Tensor | None:
        """(1, positions, width) learned position embeddings: the class token's, if there is one, then the patches'; none for
        registers. None for a model with rotary positions.
        """
        table = getattr(self.embeddings, "position_embeddings", None)
        if table is None and hasattr(self.embeddings, "position_embedding"):
            table = self.embeddings.position_embedding.weight[None]  # (positions, width) -> (1, positions, width)
        return table

    def _pos_embed(self, patches: Tensor) -> Tensor:
        """(1, rows, cols, width) -> (1, prefix tokens with a position + patches, width), with positions added that the
        model's own code resampled.
        """
        _, rows, cols, width = patches.shape
        size = rows * self.patch_size[0], cols * self.patch_size[1]
        placed = 0 if self.cls_token is None else 1  # registers are inserted after positions are added
        tokens = torch.cat([patches.new_zeros(1, placed, width), patches.flatten(1, 2)], dim=1)
        if self._asked and size == self.native_size:
            assert self.pos_embed is not None
            return tokens + self.pos_embed
        return tokens + self.embeddings.interpolate_pos_encoding(tokens, *size)

    @property
    def rope(self) -> _Rotary | None:
        own = getattr(self.backbone, "rope_embeddings", None)
        return None if own is None else _Rotary(own, self.patch_size)


class _Rotary:
    """The model's rotary table with the interface of timm's."""

    def __init__(self, table: nn.Module, patch_size: tuple[int, int]) -> None:
        self.table, self.patch_size = table, patch_size

    def get_embed(self, shape: list[int]) -> tuple[Tensor, Tensor]:
        """(sin, cos), each (patches, head_dim), for a grid of (rows, cols)."""
        buffer = next(self.table.buffers())
        height, width = (side * patch for side, patch in zip(shape, self.patch_size, strict=True))
        cos, sin = self.table(buffer.new_empty(1, 3, height, width))  # only the size of the argument is used
        return sin, cos
