"""Floating-point tensors of a safetensors file to half precision; whole numbers stay as they are.

python halve.py vit.safetensors vit_small_patch14_caltech101.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("full", type=Path)
    parser.add_argument("half", type=Path)
    chosen = parser.parse_args()
    state = load_file(chosen.full)
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_file(halved, chosen.half)
    print("sha256", hashlib.sha256(chosen.half.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
