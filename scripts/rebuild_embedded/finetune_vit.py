"""Fine-tunes the converted backbone to Caltech-101 at 140 pixels (10 x 10 patches). NOT rerun for this version.

    python finetune_vit.py 101_ObjectCategories vit_backbone.safetensors vit.safetensors

The recipe that made the embedded weights, in cleaner words: 9 epochs of at most 60 images a class, batches of 32, AdamW, cosine
schedule after 60 steps of warm-up, layer-wise learning-rate decay 0.78, label smoothing 0.1, stochastic depth 0.1, bfloat16.
Patch and position embeddings are frozen. The original run took 54 minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import timm
import torch
from caltech101 import Images, find_images, one_epoch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import nn
from torchvision.transforms import v2

ARCHITECTURE = "vit_small_patch14_dinov2"
EPOCHS, BATCH, SIZE, STORED_SIZE, IMAGES_PER_CLASS = 9, 32, 140, 176, 60
RATE, HEAD_RATE, LAYER_DECAY, WEIGHT_DECAY, WARM_UP = 1.5e-4, 8.0, 0.78, 0.05, 60
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def build(backbone: dict[str, torch.Tensor], classes: int) -> nn.Module:
    model = timm.create_model(ARCHITECTURE, num_classes=classes, img_size=SIZE, drop_path_rate=0.1)
    grid = [SIZE // 14, SIZE // 14]
    small = backbone | {"pos_embed": resample_abs_pos_embed(backbone["pos_embed"], grid, num_prefix_tokens=1)}
    model.load_state_dict(small, strict=False)  # the classifier is new
    model.pos_embed.requires_grad_(False)
    model.patch_embed.requires_grad_(False)
    nn.init.trunc_normal_(model.head.weight, std=0.01)
    nn.init.zeros_(model.head.bias)
    return model


def parameter_groups(model: nn.Module) -> list[dict]:
    """Deeper layers learn faster; matrices decay, vectors do not."""
    depth = len(model.blocks)
    parts = [(model.head, HEAD_RATE), (model.norm, 1.0)]
    parts += [(block, LAYER_DECAY ** (depth - 1 - index)) for index, block in enumerate(model.blocks)]
    owned = [(list(part.parameters()), scale) for part, scale in parts] + [([model.cls_token], LAYER_DECAY**depth)]
    groups = []
    for parameters, scale in owned:
        for decay in (WEIGHT_DECAY, 0.0):
            chosen = [p for p in parameters if p.requires_grad and (p.ndim > 1) == (decay > 0)]
            if chosen:
                groups.append({"params": chosen, "lr": RATE * scale, "full_rate": RATE * scale, "weight_decay": decay})
    return groups


def rate_at(step: int, steps: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return min(1.0, (step + 1) / WARM_UP) * (cosine + 0.01)


def read_pixels(images: Images) -> torch.Tensor:
    """(images, 3, 176, 176) uint8: each whole image forced into a square."""
    size = (STORED_SIZE, STORED_SIZE)
    pixels = [
        np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC)) for path in images.paths
    ]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.float() / 255 - MEAN) / STD


def accuracy(model: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    right = 0
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for chunk, wanted in zip(pixels.split(64), labels.split(64), strict=True):
            small = v2.functional.resize(chunk, [SIZE, SIZE], antialias=True)
            logits = model(normalised(small))  # (images, classes)
            right += int(((logits.argmax(1) == wanted) & logits.isfinite().all(1)).sum())  # of NaN, argmax is the first
    return right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = find_images(chosen.folder, rng)
    pixels, labels = read_pixels(images), torch.from_numpy(images.labels)
    backbone = load_file(chosen.backbone)
    model = build(backbone, len(images.classes))
    optimiser = torch.optim.AdamW(parameter_groups(model), betas=(0.9, 0.98))
    crop = v2.RandomResizedCrop(SIZE, scale=(0.4, 1.0), ratio=(0.75, 1.33), antialias=True)
    augment = v2.Compose([crop, v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2, 0.2)])
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    steps = EPOCHS * (len(one_epoch(images, IMAGES_PER_CLASS, rng)) // BATCH)

    step = 0
    for epoch in range(EPOCHS):
        model.train()
        order = one_epoch(images, IMAGES_PER_CLASS, rng)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * rate_at(step, steps)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(torch.stack([normalised(augment(pixels[index])) for index in batch]))
            loss = loss_of(logits.float(), labels[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
        held_out = images.held_out.nonzero()[0][::2]
        print(f"epoch {epoch}: held-out accuracy {accuracy(model, pixels[held_out], labels[held_out]):.3f}", flush=True)
        # the position embedding of the full grid goes into the file, so that any size can be resampled from it
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        save_file(state | {"pos_embed": backbone["pos_embed"]}, chosen.out)


if __name__ == "__main__":
    main()
