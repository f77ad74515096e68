"""Receptive fields of both embedded models over the gallery, and how long features, fields and cuts take.

python benchmarks/features.py [--threads 2] [--repeats 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

import vitviz
from vitviz.analysis.attention import attention_distance
from vitviz.analysis.features import (
    correspondences,
    feature_maps,
    patch_similarity,
    principal_components,
    similar_patches,
)
from vitviz.analysis.localization import lost, mask_cut, token_cut
from vitviz.analysis.receptive_field import mean_receptive_fields, receptive_fields
from vitviz.samples import load_sample, samples


def timed(what: str, repeats: int, work: Callable[[], Any]) -> Any:
    """Prints the median wall and processor time of some runs after one more; gives the last answer."""
    wall, processor, answer = [], [], work()
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        answer = work()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    print(f"| {what} | {sorted(wall)[repeats // 2]:.3f} | {sorted(processor)[repeats // 2]:.3f} |", flush=True)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    vit, cnn = vitviz.load_model("embedded"), vitviz.load_cnn()
    image = load_sample(samples()[0].id)
    pixels = {model.name: vitviz.prepare(model, image).input for model in (vit, cnn)}

    print("| what | wall, s | processor, s |\n|---|---:|---:|")
    timed(
        "receptive fields of both models, 224 pixels",
        given.repeats,
        lambda: [receptive_fields(m, pixels[m.name]) for m in (vit, cnn)],
    )
    for size in (224, 518):
        sized = vitviz.resized(vit, (size, size))
        x = vitviz.prepare(sized, image).input
        maps = timed(f"features of all layers, {size} pixels", given.repeats, lambda s=sized, x=x: feature_maps(s, x))
        keys = maps.facet("key")
        count = f"{len(keys.values):,} patches"
        timed(f"LOST, {count}", given.repeats, lambda f=keys: lost(f))
        timed(f"TokenCut, {count}", given.repeats, lambda f=keys: token_cut(f))
        timed(f"MaskCut of three objects, {count}", given.repeats, lambda f=keys: mask_cut(f, 3))
        timed(f"everything like one patch, {count}", given.repeats, lambda f=keys: similar_patches(f, (3, 4)))
        timed(f"every pair of patches, {count}", given.repeats, lambda f=keys: patch_similarity(f))
        timed(f"correspondences, {count}", given.repeats, lambda f=keys: correspondences(f, f))
        timed(f"three components, {count}", given.repeats, lambda f=keys: principal_components([f], 3, True))
        timed(f"packed for the browser, {count}", given.repeats, keys.packed)

    print(
        "\n| model | part | side of 95% of the gradient, pixels | nearest head | farthest head |\n|---|---|---:|---:|---:|"
    )
    for model in (vit, cnn):
        fields, distances = [], []
        for sample in samples():
            x = vitviz.prepare(model, load_sample(sample.id)).input
            fields.append(receptive_fields(model, x))
            if model is vit:
                layers = vitviz.trace(model, load_sample(sample.id)).layers
                distances.append(torch.stack([attention_distance(layer) for layer in layers]))  # (layers, heads)
        mean = torch.stack(distances).mean(0) if distances else None
        for index, field in enumerate(mean_receptive_fields(fields)):
            row = mean[index - 1] if mean is not None and index else None
            ends = f"{row.min():.0f} | {row.max():.0f}" if row is not None else " | "
            print(f"| {model.name} | {field.name} | {field.side:.0f} | {ends} |")


if __name__ == "__main__":
    main()
