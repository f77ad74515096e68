"""What explanations cost, in forward passes of the same model on the same machine in the same run.

    python benchmarks/explanations.py [--threads 2] [--repeats 5]

Each round times a plain fused forward pass and then every method, so that whatever else the machine does meets all
alike. Ratios are of processor time, which other people's work does not stretch; wall times are given beside them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import vitviz
from vitviz.analysis.faithfulness import LEVELS, faithfulness
from vitviz.analysis.head_importance import head_importance
from vitviz.analysis.methods import METHODS, explain, explain_all
from vitviz.analysis.prediction import logit_lens, patch_lens
from vitviz.analysis.question import Question
from vitviz.analysis.targets import default_target

SLOW = ("integrated_gradients", "occlusion")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """(wall seconds, processor seconds) of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = vitviz.load_model("embedded")
    height, width = model.input_size
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.normal(size=(3, height, width)).astype(np.float32))
    with torch.inference_mode():
        target = default_target(model, model.module(pixels[None])[0])

    def ask() -> Question:
        return Question(model, pixels, target)

    def forward() -> None:
        with torch.inference_mode():
            model.module(pixels[None])

    def faithful() -> None:
        question = ask()
        list(faithfulness(question, explain_all(question), levels=LEVELS))

    work: dict[str, Callable[[], Any]] = {"plain forward pass": forward}
    for key, method in METHODS.items():
        work[method.name] = lambda key=key: explain(ask(), key)
    work["logit lens, class token"] = lambda: logit_lens(ask())
    work["logit lens, every patch and layer"] = lambda: patch_lens(ask())
    work[f"every head switched off ({sum(b.attn.num_heads for b in model.module.blocks)})"] = lambda: head_importance(
        ask()
    )
    work[f"faithfulness of {len(METHODS)} methods, maps included"] = faithful
    slow = {METHODS[key].name for key in SLOW} | {name for name in work if "head" in name or "faithfulness" in name}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    forward()
    for turn in range(arguments.repeats):
        for name, do in work.items():
            if turn == 0 or name not in slow:
                times[name].append(timed(do))
    plain = statistics.median(processor for _, processor in times["plain forward pass"])
    print(f"{model.layout.num_tokens} tokens, {arguments.threads} threads, {arguments.repeats} rounds (slow ones: 1)\n")
    print("| what | wall, s | processor, s | forward passes |")
    print("|---|---:|---:|---:|")
    for name, pairs in times.items():
        wall, processor = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"| {name} | {wall:.2f} | {processor:.2f} | {processor / plain:.1f} |")


if __name__ == "__main__":
    main()
