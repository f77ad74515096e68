"""Which tensors of two safetensors files are the same once both are in half precision?

    python compare.py vit_backbone.safetensors ../../assets/models/vit_small_patch14_caltech101.safetensors

Tensors that training froze have to be equal to the last bit; those that it moved are listed with the largest difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    chosen = parser.parse_args()
    first, second = load_file(chosen.first), load_file(chosen.second)
    equal, moved = [], []
    for name in sorted(first.keys() & second.keys()):
        one, other = (state[name].half() for state in (first, second))
        if one.shape != other.shape:
            moved.append(f"{name}: {tuple(one.shape)} and {tuple(other.shape)}")
        elif torch.equal(one, other):
            equal.append(name)
        else:
            moved.append(f"{name}: differs by up to {(one.float() - other.float()).abs().max():.2e}")
    print(f"{len(equal)} tensors are equal in half precision: {', '.join(equal[:6])}{' ...' if len(equal) > 6 else ''}")
    print(f"{len(moved)} differ{':' if moved else ''}", *moved, sep="\n  ")
    print(f"only in one of them: {', '.join(sorted(first.keys() ^ second.keys())) or 'none'}")


if __name__ == "__main__":
    main()
