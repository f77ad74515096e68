"""How long the page of two networks takes: receptive fields and perturbed photographs of both, and what the browser is sent.

python benchmarks/vit_and_cnn.py [--threads 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import vitviz
from vitviz.analysis.methods.gradcam import cnn_gradcam
from vitviz.analysis.perturbation import KINDS, model_input, perturbation_curve
from vitviz.samples import load_sample, samples
from vitviz.ui.components.networks import fields_payload, pictures_payload
from vitviz.ui.pages.vit_or_cnn.perturbation import ORDERS


def timed(what: str, repeats: int, work: Callable[[], Any]) -> Any:
    """Prints median, least and largest wall time and the median processor time, after one run more; gives the last answer."""
    wall, processor, answer = [], [], work()
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        answer = work()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    print(
        f"| {what} | {np.median(wall):.2f} | {min(wall):.2f} to {max(wall):.2f} | {np.median(processor):.2f} |",
        flush=True,
    )
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    vit, cnn = vitviz.load_model("embedded"), vitviz.load_cnn()
    seen = vitviz.prepare(vit, load_sample(samples()[0].id))
    picture = np.asarray(seen.shown)
    pixels = {vit: seen.input, cnn: model_input(cnn, picture)}

    print("| what, at 224 pixels | wall, s | least to largest | processor, s |\n|---|---:|---:|---:|")
    fields = {}
    for model in (vit, cnn):
        fields[model] = timed(
            f"receptive fields, {model.name}", given.repeats, lambda m=model: vitviz.receptive_fields(m, pixels[m])
        )
    for model in (vit, cnn):
        timed(f"painted and packed, {model.name}", given.repeats, lambda m=model: fields_payload(fields[m], seen.shown))
    timed("Grad-CAM, embedded-cnn", given.repeats, lambda: cnn_gradcam(cnn, pixels[cnn], 0))
    for kind in KINDS:
        for model in (vit, cnn):
            orders = ORDERS.get(kind, 1)
            curve = timed(
                f"{kind}, {model.name}",
                given.repeats,
                lambda m=model, k=kind, o=orders: perturbation_curve(m, picture, k, orders=o),
            )
    sizes = [len(fields_payload(fields[model], seen.shown)) for model in (vit, cnn)]
    print(f"\nSent once, before compression: {sizes[0] / 1e6:.2f} MB and {sizes[1] / 1e6:.2f} MB of fields, ", end="")
    print(f"{len(pictures_payload(curve.pictures)) / 1e6:.2f} MB of perturbed pictures for each network.")


if __name__ == "__main__":
    main()
