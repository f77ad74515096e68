"""A classifier of Caltech-101 on the convolutional network's features. The fit was NOT rerun for this version.

    python fit_cnn_head.py 101_ObjectCategories cnn_backbone.safetensors cnn.safetensors

The backbone stays as it is. Its pooled features of at most 60 training images a class are standardised, a logistic regression
(C = 0.01) is fitted to them, and both steps are folded into the one linear layer that timm's architecture has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
from caltech101 import find_images, one_epoch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from timm.data import create_transform, resolve_model_data_config

ARCHITECTURE = "tf_efficientnet_lite0"
IMAGES_PER_CLASS, REGULARISATION = 60, 0.01


def pooled_features(backbone: dict[str, torch.Tensor], paths: list[Path]) -> np.ndarray:
    """(images, 1280), with timm's own preprocessing for the architecture."""
    model = timm.create_model(ARCHITECTURE)
    model.load_state_dict(backbone)
    model.reset_classifier(0)
    model.eval()
    transform = create_transform(**resolve_model_data_config(model))
    with torch.inference_mode():
        batches = [paths[start : start + 32] for start in range(0, len(paths), 32)]
        rows = [model(torch.stack([transform(Image.open(path).convert("RGB")) for path in batch])) for batch in batches]
    return torch.cat(rows).numpy()


def folded(scaler: StandardScaler, fitted: LogisticRegression) -> tuple[torch.Tensor, torch.Tensor]:
    """weight (classes, 1280) and bias (classes,) of W ((x - mean) / scale) + b as one linear layer."""
    weight = fitted.coef_ / scaler.scale_
    bias = fitted.intercept_ - weight @ scaler.mean_
    return torch.from_numpy(np.ascontiguousarray(weight)).float(), torch.from_numpy(bias).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    images = find_images(chosen.folder, rng)
    training, held_out = one_epoch(images, IMAGES_PER_CLASS, rng), images.held_out.nonzero()[0]
    backbone = load_file(chosen.backbone)

    features = pooled_features(backbone, [images.paths[index] for index in training])
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=REGULARISATION, max_iter=2000).fit(
        scaler.transform(features), images.labels[training]
    )
    weight, bias = folded(scaler, fitted)

    held_features = torch.from_numpy(pooled_features(backbone, [images.paths[index] for index in held_out]))
    right = (held_features @ weight.T + bias).argmax(1).numpy() == images.labels[held_out]
    print(f"held-out accuracy {right.mean():.3f} over {len(held_out)} images")
    save_file(backbone | {"classifier.weight": weight, "classifier.bias": bias}, chosen.out)


if __name__ == "__main__":
    main()
