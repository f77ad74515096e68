"""vitviz beside its peers: time as a ratio to the model's own plain fused forward pass, peak memory beyond it, and what fails.

    pip install fast-vit-rollout opencv-python-headless transformers vit-prisma torchcam grad-cam
    python benchmarks/peers.py [--sizes 196 256 1369 5476] [--threads 2] [--repeats 7] [--out peers.csv]

Everybody gets a ViT-S/16 (12 layers, 6 heads, 384 channels, a class token, random weights) of the same size and the same random
picture, and does what it does out of the box with one. Three questions are asked:

    maps      where the class token looks in every head of every layer, as arrays
    rollout   the same and attention rollout of the class token; for those that give only one of both, that one
    class     a map for a class by gradients: LeGrad over all layers, Grad-CAM on the last block's tokens

Each cell is a process of its own. It warms up, then times the plain pass of the timm model and the peer in turn and keeps their
ratio. Memory is the highest that was resident during the peer's first run above what stood before it, less the same of the
plain pass. A peer that is not installed, or raises, is said to.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from peak_memory import peak_of

PATCH, WIDTH, LAYERS, HEADS, CLASSES = 16, 384, 12, 6, 100
SIZES = (196, 256, 1369, 5476)  # patches; one token more with the class token
Work = Callable[[], object]


def picture(patches: int) -> Tensor:
    """(1, 3, side, side)."""
    side = PATCH * math.isqrt(patches)
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def timm_model(patches: int, fused: bool = True) -> nn.Module:
    import timm

    torch.manual_seed(0)
    name, size = "vit_small_patch16_224", PATCH * math.isqrt(patches)
    module = timm.create_model(name, img_size=size, num_classes=CLASSES).eval().requires_grad_(False)
    for block in module.blocks:
        block.attn.fused_attn = block.attn.fused_attn and fused
    return module


def class_rows(matrices: list[Tensor]) -> list[Tensor]:
    """Each (1, heads, tokens, tokens) -> (heads, patches): what anybody does next with stored matrices."""
    return [matrix[0, :, 0, 1:].clone() for matrix in matrices]


def plain(patches: int) -> Work:
    module, x = timm_model(patches), picture(patches)
    return torch.inference_mode()(lambda: module(x))


def vitviz_maps(patches: int) -> Work:
    import vitviz
    from vitviz.capture.record import record
    from vitviz.capture.trace import Trace
    from vitviz.models.layout import layout_of

    module, x = timm_model(patches), picture(patches)
    layout = layout_of(module, "model", (x.shape[2], x.shape[3]))

    def work() -> object:
        recording = record(module, x, layout)
        trace = Trace("model", x[0], layout, recording.layers, recording.logits)
        return trace, vitviz.head_maps(trace, "cls")

    return work


def vitviz_rollout(patches: int) -> Work:
    import vitviz

    maps = vitviz_maps(patches)

    def work() -> object:
        trace, rows = maps()  # type: ignore[misc]
        return rows, vitviz.rollout(trace, "cls")

    return work


def vitviz_class(method: str) -> Callable[[int], Work]:
    def prepare(patches: int) -> Work:
        from vitviz.analysis.methods import explain
        from vitviz.analysis.question import BareModel, Question
        from vitviz.analysis.targets import default_target
        from vitviz.models.layout import layout_of

        module, x = timm_model(patches), picture(patches)
        subject = BareModel(module, layout_of(module, "model", (x.shape[2], x.shape[3])))
        target = default_target(module, torch.zeros(CLASSES).index_fill_(0, torch.tensor(3), 1.0))
        return lambda: explain(Question(subject, x[0], target), method)

    return prepare


def timm_extract(method: str) -> Callable[[int], Work]:
    """Its names of modules and nodes are found only where attention is not fused, so fusion is switched off first."""

    def prepare(patches: int) -> Work:
        from timm.utils import AttentionExtract

        extract, x = AttentionExtract(timm_model(patches, fused=False), method=method), picture(patches)
        return torch.inference_mode()(lambda: class_rows(list(extract(x).values())))

    return prepare


def fast_vit_rollout(discard: float) -> Callable[[int], Work]:
    """It listens at `attn_drop`, which fused attention never calls, so fusion is switched off first."""

    def prepare(patches: int) -> Work:
        from fast_vit_rollout.vit_rollout import ViTAttentionRollout

        rollout, x = ViTAttentionRollout(timm_model(patches, fused=False), discard_ratio=discard), picture(patches)
        return lambda: rollout(x)[0, 0, 1:].clone()

    return prepare


def transformers_attentions(patches: int) -> Work:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=PATCH * math.isqrt(patches),
        patch_size=PATCH,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        num_labels=CLASSES,
        attn_implementation="eager",
    )
    module, x = ViTForImageClassification(config).eval(), picture(patches)
    return torch.inference_mode()(lambda: class_rows(list(module(x, output_attentions=True).attentions)))


def vit_prisma_cache(patches: int) -> Work:
    from vit_prisma.configs.HookedViTConfig import HookedViTConfig
    from vit_prisma.models.base_vit import HookedViT

    config = HookedViTConfig(
        n_layers=LAYERS,
        d_model=WIDTH,
        d_head=WIDTH // HEADS,
        d_mlp=4 * WIDTH,
        n_heads=HEADS,
        patch_size=PATCH,
        image_size=PATCH * math.isqrt(patches),
        n_classes=CLASSES,
        return_type="class_logits",
    )
    module, x = HookedViT(config).eval(), picture(patches)

    @torch.inference_mode()
    def work() -> object:
        _, cache = module.run_with_cache(x, names_filter=lambda name: name.endswith("hook_pattern"))
        return class_rows([cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(LAYERS)])

    return work


def torchcam_legrad(patches: int) -> Work:
    """It reads torchvision's model only, so that is what it gets, of the same shape."""
    from torchcam.methods import LeGrad
    from torchvision.models import VisionTransformer

    side = PATCH * math.isqrt(patches)
    module = VisionTransformer(side, PATCH, LAYERS, HEADS, WIDTH, 4 * WIDTH, num_classes=CLASSES).eval()
    x = picture(patches)

    def work() -> object:
        with LeGrad(module, list(module.encoder.layers)) as extractor:
            return extractor(3, module(x))

    return work


def grad_cam(patches: int) -> Work:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module, x, side = timm_model(patches), picture(patches), math.isqrt(patches)
    module.requires_grad_(True)

    def reshape(tokens: Tensor) -> Tensor:
        # (batch, tokens, width) -> (batch, width, rows, cols)
        return tokens[:, 1:].reshape(len(tokens), side, side, -1).permute(0, 3, 1, 2)

    def work() -> object:
        with GradCAM(module, [module.blocks[-1].norm1], reshape_transform=reshape) as cam:
            return cam(x, [ClassifierOutputTarget(3)])

    return work


PEERS: dict[str, dict[str, tuple[Callable[[int], Work], str]]] = {
    "maps": {
        "vitviz": (vitviz_maps, "timm"),
        "timm AttentionExtract, hooks": (timm_extract("hook"), "timm"),
        "timm AttentionExtract, graph": (timm_extract("fx"), "timm"),
        "transformers output_attentions": (transformers_attentions, "transformers"),
        "ViT-Prisma cache": (vit_prisma_cache, "vit-prisma"),
    },
    "rollout": {
        "vitviz": (vitviz_rollout, "timm"),
        "fast-vit-rollout": (fast_vit_rollout(0.0), "fast-vit-rollout"),
        "fast-vit-rollout, its default discard": (fast_vit_rollout(0.9), "fast-vit-rollout"),
    },
    "class": {
        "vitviz LeGrad": (vitviz_class("legrad"), "timm"),
        "torch-cam LeGrad": (torchcam_legrad, "torchcam"),
        "vitviz Grad-CAM": (vitviz_class("gradcam"), "captum"),
        "grad-cam Grad-CAM": (grad_cam, "grad-cam"),
    },
}


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(question: str, peer: str, patches: int, repeats: int) -> dict[str, Any]:
    """One cell; run in a process of its own."""
    base = plain(patches)
    work = PEERS[question][peer][0](patches)
    base()
    base_peak = peak_of(base)[0]
    small = plain(196)  # warms the libraries up, and leaves the peer's first run at this size to be its peak
    small()
    peak = peak_of(work)[0]
    ratios = []
    for _ in range(repeats):
        one = seconds(base)
        ratios.append(seconds(work) / one)
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    return {
        "ratio": statistics.median(ratios),
        "low": quartiles[0],
        "high": quartiles[2],
        "mb": (peak - base_peak) / 1e6,
    }


def cell(question: str, peer: str, patches: int, arguments: argparse.Namespace) -> dict[str, Any]:
    repeats = arguments.repeats if patches < 1000 else max(2, arguments.repeats // (2 if patches < 4000 else 3))
    asked = [question, peer, str(patches), str(repeats), str(arguments.threads)]
    done = subprocess.run([sys.executable, __file__, "--cell", *asked], capture_output=True, text=True, check=False)
    row = {"question": question, "peer": peer, "tokens": patches + 1}
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        reason = said[-1] if said else f"ended by signal {-done.returncode}"  # 9: the system's memory was exhausted
        return row | {"fails": reason}
    return row | json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> str:
    sizes = sorted({int(row["tokens"]) for row in rows})
    lines = [f"| | {' | '.join(f'{size:,} tokens' for size in sizes)} |", "|---|" + "---:|" * len(sizes)]
    for question in PEERS:
        for peer in PEERS[question]:
            cells = {int(row["tokens"]): row for row in rows if (row["question"], row["peer"]) == (question, peer)}
            if cells:
                lines.append(f"| {question}: {peer} | {' | '.join(said(cells.get(size)) for size in sizes)} |")
    return "\n".join(lines)


def said(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return "fails" if row.get("fails") else f"{float(row['ratio']):.2f}x, {float(row['mb']):,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--questions", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("peers.csv"))
    parser.add_argument("--cell", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        question, peer, patches, repeats, threads = arguments.cell
        torch.set_num_threads(int(threads))
        print(json.dumps(measure(question, peer, int(patches), int(repeats))))
        return
    packages = {package for peers in PEERS.values() for _, package in peers.values()}
    print(f"{platform.machine()}, {arguments.threads} threads, torch {torch.__version__}")
    print(", ".join(f"{package} {version(package)}" for package in sorted(packages)) + "\n")
    rows: list[dict[str, Any]] = []
    for patches in arguments.sizes:
        for question in arguments.questions:
            for peer in PEERS[question]:
                rows.append(cell(question, peer, patches, arguments))
                print(rows[-1], file=sys.stderr, flush=True)
                with arguments.out.open("w", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, ["question", "peer", "tokens", "ratio", "low", "high", "mb", "fails"])
                    writer.writeheader()
                    writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
