r"""How the embedded models were made, from folders of labelled photographs, on a CPU. Every step can be stopped and
taken up again.

    python scripts/train_embedded.py convert-vit vit_s_focus.onnx backbone.safetensors
    python scripts/train_embedded.py vit backbone.safetensors vit.safetensors --data FOLDER ... --classes MAP.tsv \
        --work WORK
    python scripts/train_embedded.py convert-cnn efficientnet-lite0-57934424.pth cnn_backbone.safetensors
    python scripts/train_embedded.py cnn cnn_backbone.safetensors cnn.safetensors --data FOLDER ... --classes MAP.tsv \
        --work WORK

A FOLDER holds one folder a class. MAP has one line a class folder: its path below its FOLDER's parent
("tiny/n02085620"), a tab, and the name of the class; folders that are not in it are left out. Outputs are the classes
in the order of their names.

The Vision Transformer: what the first blocks make of augmented pictures is computed once a pass and kept (`cache`); the
last blocks, the norm and a new classifier are trained on it with patches dropped at random (`train_blocks`); then norm
and classifier are adjusted to the size that the model is served at (`adjust_head`). The convolutional network: a linear
layer on its pooled features, which starts from the mean of the outputs it had for the same things (`fit_linear`).

The shipped files were made by an earlier form of this recipe with the settings that are the defaults here; the data
sets are named in assets/models/README.md. Expect the same accuracy from a new run, not the same bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

VIT, CNN = "vit_small_patch14_dinov2", "tf_efficientnet_lite0"
# (share of patches kept, how often): random dropping regularises, and halves the cost of a step where it keeps half
KEPT_PATCHES = ((1.0, 0.35), (0.75, 0.40), (0.5, 0.25))


@dataclass(frozen=True)
class Photographs:
    """Training data: files, the number of each one's class, and the classes' names in the order of the outputs."""

    files: list[Path]
    targets: np.ndarray  # (images,) int64
    names: list[str]


def find_photographs(folders: list[Path], class_map: Path, most: int, seed: int) -> Photographs:
    """At most `most` photographs of each class, drawn with `seed`. Raises SystemExit where a folder of the map is missing."""
    rows = [line.split("\t") for line in class_map.read_text(encoding="utf-8").splitlines() if line.strip()]
    by_class: dict[str, list[Path]] = {}
    roots = {folder.name: folder for folder in folders}
    for place, name in rows:
        root, _, rest = place.partition("/")
        if root not in roots:
            continue
        if not (roots[root] / rest).is_dir():
            raise SystemExit(f"The class map names {place!r}, and there is no such folder.")
        found = (path for path in (roots[root] / rest).rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        by_class.setdefault(name, []).extend(sorted(found))
    names = sorted(by_class, key=str.lower)
    if len(names) < 2:
        raise SystemExit("The class map and the folders have fewer than two classes in common.")
    rng = np.random.default_rng(seed)
    files, targets = [], []
    for number, name in enumerate(names):
        chosen = by_class[name]
        if len(chosen) > most:
            chosen = [chosen[index] for index in rng.permutation(len(chosen))[:most]]
        files += chosen
        targets += [number] * len(chosen)
    order = rng.permutation(len(files))
    return Photographs([files[index] for index in order], np.array(targets)[order], names)


def augmented(file: Path, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32 in [0, 1]: a random crop, mirrored half of the time, in another light; one in ten is grey."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    area, stretch = rng.uniform(0.45, 1.0), float(np.exp(rng.uniform(-0.25, 0.25)))
    pixels = area * image.width * image.height
    width = max(1, min(image.width, int((pixels * stretch) ** 0.5)))
    height = max(1, min(image.height, int((pixels / stretch) ** 0.5)))
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    image = image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    values = np.asarray(image, np.float32) / 255
    values = values * rng.uniform(0.8, 1.2) + rng.uniform(-0.1, 0.1)
    if rng.random() < 0.1:
        values = np.repeat(values.mean(2, keepdims=True), 3, axis=2)
    return values.clip(0, 1)


def batch_of(files: list[Path], size: int, keys: list[tuple[int, ...]], mean: Any, std: Any) -> Tensor:
    """(files, 3, size, size) float32, normalised.

    keys  the seed of each file's augmentation, so that a stopped run goes on as it was
    """
    pictures = [augmented(file, size, np.random.default_rng(key)) for file, key in zip(files, keys, strict=True)]
    values = (np.stack(pictures) - np.float32(mean)) / np.float32(std)  # (files, size, size, 3)
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()


def embedded_tokens(model: nn.Module, x: Tensor, blocks: int) -> Tensor:
    """(batch, tokens, width): the state after the first `blocks` blocks of a timm ViT."""
    state = model.norm_pre(model._pos_embed(model.patch_embed(x)))
    for block in list(model.blocks)[:blocks]:
        state = block(state)
    return state


def cache(model: nn.Module, data: Photographs, number: int, asked: argparse.Namespace) -> np.ndarray:
    """(images, tokens, width) float16 on disk: what the frozen blocks make of pass `number` over all photographs.

    A file that is complete is not made again; one that was left half made is.
    """
    path = asked.work / f"pass{number}.npy"
    done = path.with_suffix(".json")
    stamp = {
        "images": len(data.files),
        "size": asked.size,
        "frozen": asked.frozen,
        "seed": asked.seed,
        "first": str(data.files[0]),
    }
    if done.is_file() and json.loads(done.read_text()) == stamp:
        return np.load(path, mmap_mode="r")
    cfg, states = model.pretrained_cfg, None
    for start in range(0, len(data.files), asked.batch):
        files = data.files[start : start + asked.batch]
        keys = [(asked.seed, number, start + place) for place in range(len(files))]
        x = batch_of(files, asked.size, keys, cfg["mean"], cfg["std"])
        with torch.inference_mode():
            tokens = embedded_tokens(model, x, asked.frozen).half().numpy()  # (batch, tokens, width)
        if states is None:
            shape = (len(data.files), *tokens.shape[1:])
            states = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        states[start : start + len(tokens)] = tokens
    assert states is not None
    states.flush()
    done.write_text(json.dumps(stamp))
    return np.load(path, mmap_mode="r")


def dropped(tokens: Tensor, num_prefix: int, rng: np.random.Generator) -> Tensor:
    """(batch, fewer tokens, width): every image keeps its prefix tokens and the same share of patches, each others."""
    shares, odds = zip(*KEPT_PATCHES, strict=True)
    patches = tokens.shape[1] - num_prefix
    kept = max(1, round(patches * float(rng.choice(shares, p=odds))))
    if kept == patches:
        return tokens
    chosen = np.stack([rng.permutation(patches)[:kept] for _ in range(len(tokens))]) + num_prefix  # (batch, kept)
    index = torch.from_numpy(chosen)[..., None].expand(-1, -1, tokens.shape[2])  # (batch, kept, width)
    return torch.cat([tokens[:, :num_prefix], tokens.gather(1, index)], dim=1)


def parameter_groups(model: nn.Module, frozen: int, rate: float, decay: float) -> list[dict[str, Any]]:
    """What is trained, by learning rate: earlier blocks learn more slowly, the new classifier ten times faster."""
    blocks = list(model.blocks)[frozen:]
    rates = [(block, rate * decay ** (len(blocks) - 1 - place)) for place, block in enumerate(blocks)]
    rates += [(model.norm, rate), (model.get_classifier(), 10 * rate)]
    groups = []
    for part, own in rates:
        for matrices in (True, False):
            parameters = [p for p in part.parameters() if (p.ndim > 1) is matrices]
            if parameters:
                groups.append({"params": parameters, "lr": own, "base": own, "weight_decay": 0.05 if matrices else 0.0})
    return groups


def train_blocks(model: nn.Module, data: Photographs, states: list[np.ndarray], asked: argparse.Namespace) -> None:
    """Trains the last blocks, the norm and the classifier on cached states, and leaves their moving average in the model.

    AdamW, warm-up and cosine, label smoothing 0.1. Goes on from WORK/checkpoint.pt where there is one, and stops after
    --minutes with it written.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    groups = parameter_groups(model, asked.frozen, asked.rate, asked.decay)
    parameters = [p.requires_grad_(True) for group in groups for p in group["params"]]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    average = [p.detach().clone() for p in parameters]
    step, checkpoint = 0, asked.work / "checkpoint.pt"
    if checkpoint.is_file():
        kept = torch.load(checkpoint, weights_only=True)
        step, average = kept["step"], kept["average"]
        optimiser.load_state_dict(kept["optimiser"])
        with torch.no_grad():
            for parameter, value in zip(parameters, kept["parameters"], strict=True):
                parameter.copy_(value)
    until = time.monotonic() + 60 * asked.minutes
    images, per_pass = len(states) * len(data.files), max(1, len(states) * len(data.files) // asked.batch)
    model.train()
    while step < asked.steps and time.monotonic() < until:
        rng = np.random.default_rng((asked.seed, step))
        order = np.random.default_rng((asked.seed, 1 << 20, step // per_pass)).permutation(images)
        rows = order[(step % per_pass) * asked.batch :][: asked.batch]
        rows = rows if len(rows) else order[: asked.batch]
        numbers, places = np.divmod(rows, len(data.files))
        tokens = torch.from_numpy(
            np.stack([states[n][p] for n, p in zip(numbers, places, strict=True)]).astype(np.float32)
        )
        tokens = dropped(tokens, model.num_prefix_tokens, rng)
        share = min(1.0, (step + 1) / 150) * (0.49 * (1 + math.cos(math.pi * step / asked.steps)) + 0.02)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * share
        for block in list(model.blocks)[asked.frozen :]:
            tokens = block(tokens)
        logits = model.forward_head(model.norm(tokens))
        loss = F.cross_entropy(logits, torch.from_numpy(data.targets[places]), label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            for mean, parameter in zip(average, parameters, strict=True):
                mean.lerp_(parameter, 1 - min(0.998, step / (9 + step)))
        if step % 50 == 0:
            print(f"step {step} of {asked.steps}: loss {loss.item():.3f}", flush=True)
        if step % 400 == 0:
            _keep(checkpoint, step, optimiser, parameters, average)
    _keep(checkpoint, step, optimiser, parameters, average)
    if step < asked.steps:
        raise SystemExit(f"Stopped at step {step} of {asked.steps}; run the same command again to go on.")
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)
    model.eval()


def _keep(
    path: Path, step: int, optimiser: torch.optim.Optimizer, parameters: list[Any], average: list[Tensor]
) -> None:
    """Writes a checkpoint in one stroke: whoever stops the run keeps the one before."""
    kept = {
        "step": step,
        "optimiser": optimiser.state_dict(),
        "parameters": [p.detach() for p in parameters],
        "average": average,
    }
    torch.save(kept, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def adjust_head(model: nn.Module, data: Photographs, asked: argparse.Namespace) -> None:
    """Norm and classifier at the size that the model is served at (Touvron et al. 2019, arXiv 1906.06423), on the last
    states of a few photographs a class.
    """
    rng = np.random.default_rng((asked.seed, 2))
    most = np.bincount(data.targets).max()
    few = [
        i for c in range(len(data.names)) for i in np.flatnonzero(data.targets == c)[: min(most, asked.adjust_images)]
    ]
    cfg, states = model.pretrained_cfg, []
    for start in range(0, len(few), asked.batch):
        chosen = few[start : start + asked.batch]
        keys = [(asked.seed, 3, int(index)) for index in chosen]
        x = batch_of([data.files[i] for i in chosen], asked.served_size, keys, cfg["mean"], cfg["std"])
        with torch.inference_mode():
            states.append(embedded_tokens(model, x, len(model.blocks)).clone())
    tokens, targets = torch.cat(states), torch.from_numpy(data.targets[few])  # (images, tokens, width)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parts = (model.norm, model.get_classifier())
    parameters = [p.requires_grad_(True) for part in parts for p in part.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=asked.adjust_rate, weight_decay=0.01)
    for _ in range(8):
        for rows in torch.from_numpy(rng.permutation(len(few))).split(128):
            logits = model.forward_head(model.norm(tokens[rows]))
            loss = F.cross_entropy(logits, targets[rows], label_smoothing=0.1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()


def fit_linear(
    model: nn.Module, data: Photographs, before: Tensor, bias: Tensor, asked: argparse.Namespace
) -> tuple[Tensor, Tensor]:
    """(classes, width) weight and (classes,) bias of a linear layer on the model's pooled features.

    before, bias  where it starts. The change is held near zero by a ridge, so that classes with few photographs stay near
                  what the network knew of them
    """
    cfg, features = model.pretrained_cfg, []
    for start in range(0, len(data.files), asked.batch):
        files = data.files[start : start + asked.batch]
        keys = [(asked.seed, 4, start + place) for place in range(len(files))]
        x = batch_of(files, asked.served_size, keys, cfg["mean"], cfg["std"])
        with torch.inference_mode():
            features.append(model.forward_head(model.forward_features(x), pre_logits=True).clone())
    x, targets = torch.cat(features), torch.from_numpy(data.targets)  # (images, width), (images,)
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    standard, start_logits = (x - mean) / deviation, x @ before.T
    weights = (1 / torch.bincount(targets, minlength=len(data.names)).clamp(min=1).float())[targets] ** 0.5
    weights /= weights.mean()
    change = torch.zeros_like(before, requires_grad=True)
    offset = bias.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([change, offset], lr=3e-3)
    generator = torch.Generator().manual_seed(asked.seed)
    for epoch in range(asked.epochs):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - epoch / asked.epochs)
        for rows in torch.randperm(len(x), generator=generator).split(512):
            logits = start_logits[rows] + standard[rows] @ change.T + offset
            losses = F.cross_entropy(logits, targets[rows], reduction="none", label_smoothing=0.05)
            loss = (weights[rows] * losses).mean() + asked.ridge * change.pow(2).sum() / len(data.names)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return before + change / deviation, offset - (change / deviation) @ mean


def save_half(state: dict[str, Tensor], path: Path) -> None:
    """Floating-point tensors in half precision; whole numbers stay as they are."""
    save_file({n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in state.items()}, path)
    print(f"{path.name}: {path.stat().st_size:,} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def make_vit(asked: argparse.Namespace) -> None:
    data = find_photographs(asked.data, asked.classes, asked.images, asked.seed)
    torch.manual_seed(asked.seed)
    model = timm.create_model(asked.architecture, num_classes=0, dynamic_img_size=True, **json.loads(asked.model_args))
    model.load_state_dict({n: t.float() for n, t in load_file(asked.backbone).items() if not n.startswith("head.")})
    model.reset_classifier(len(data.names))
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    model.eval()
    asked.work.mkdir(parents=True, exist_ok=True)
    states = [cache(model, data, number, asked) for number in range(asked.passes)]
    train_blocks(model, data, states, asked)
    adjust_head(model, data, asked)
    save_half(model.state_dict(), asked.out)
    (asked.out.with_suffix(".txt")).write_text("\n".join(data.names) + "\n", encoding="utf-8")


def make_cnn(asked: argparse.Namespace) -> None:
    data = find_photographs(asked.data, asked.classes, asked.images, asked.seed)
    backbone = {name: tensor.float() for name, tensor in load_file(asked.backbone).items()}
    old_weight, old_bias = backbone["classifier.weight"], backbone["classifier.bias"]
    model = timm.create_model(asked.architecture, num_classes=len(old_bias))
    model.load_state_dict(backbone)
    model.eval()
    weight, bias = torch.zeros(len(data.names), old_weight.shape[1]), torch.full((len(data.names),), -2.0)
    if asked.outputs:  # a line an old output: its number, tab, the class that it belongs to
        rows = [line.split("\t") for line in asked.outputs.read_text(encoding="utf-8").splitlines() if line.strip()]
        for number, name in enumerate(data.names):
            old = [int(row[0]) for row in rows if row[1] == name]
            if old:
                weight[number], bias[number] = old_weight[old].mean(0), old_bias[old].mean() + 0.5 * math.log(len(old))
    weight, bias = fit_linear(model, data, weight, bias, asked)
    save_half(backbone | {"classifier.weight": weight, "classifier.bias": bias}, asked.out)
    (asked.out.with_suffix(".txt")).write_text("\n".join(data.names) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    for name, architecture, run in (("vit", VIT, make_vit), ("cnn", CNN, make_cnn)):
        kind = kinds.add_parser(name)
        kind.set_defaults(run=run)
        kind.add_argument("backbone", type=Path)
        kind.add_argument("out", type=Path)
        kind.add_argument("--data", type=Path, nargs="+", required=True)
        kind.add_argument("--classes", type=Path, required=True)
        kind.add_argument("--work", type=Path, default=Path("work"))
        kind.add_argument("--architecture", default=architecture)
        kind.add_argument("--images", type=int, default=330, help="at most, of each class")
        kind.add_argument("--batch", type=int, default=64)
        kind.add_argument("--seed", type=int, default=0)
        kind.add_argument("--served-size", type=int, default=224)
        if run is make_vit:
            kind.add_argument("--model-args", default='{"img_size": 518}', help="JSON, for timm's create_model")
            kind.add_argument("--frozen", type=int, default=6, help="blocks that stay as they are")
            kind.add_argument("--size", type=int, default=112, help="pixels, while blocks are trained")
            kind.add_argument("--passes", type=int, default=3)
            kind.add_argument("--steps", type=int, default=3440)
            kind.add_argument("--rate", type=float, default=1.5e-4)
            kind.add_argument("--decay", type=float, default=0.8, help="of the learning rate, from block to block")
            kind.add_argument("--minutes", type=float, default=1e6)
            kind.add_argument("--adjust-images", type=int, default=40, help="of each class, at the served size")
            kind.add_argument("--adjust-rate", type=float, default=1e-4)
        else:
            kind.add_argument("--outputs", type=Path, help="which of the network's own outputs belong to which class")
            kind.add_argument("--ridge", type=float, default=0.01)
            kind.add_argument("--epochs", type=int, default=12)
    from backbones import add_commands

    add_commands(kinds)
    asked = parser.parse_args(arguments)
    asked.run(asked)


if __name__ == "__main__":
    main()
