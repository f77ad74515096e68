"""What listening costs: trace, maps and rollout against the model's own plain forward pass, in one run.

usage: python benchmarks/engine.py [--repeats 15] [--threads 2] [--sizes 257 1370] [--device cuda] [--processor-time]

Each repetition times the plain pass and its rival one after the other and keeps their ratio, so that a machine that speeds
up or slows down shifts both. Prints Markdown. The usual way is measured beside: unfused attention, stored matrices, rollout by
matrix products, as most projects do it.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import timm
import torch
from peak_memory import peak_of
from torch import nn

import vitviz
from vitviz.capture.memory import keep_freed_memory
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.models.layout import layout_of

SIZES = {
    197: ("vit_small_patch16_224", 224),
    257: ("vit_small_patch14_dinov2", 224),
    1370: ("vit_small_patch14_dinov2", 518),
    5477: ("vit_small_patch14_dinov2", 1036),
}
# The usual way stores every matrix: 8.6 GB at 5,477 tokens.
LARGEST_STORED = 1370


# Processor time, where asked for: on a machine with other work, time spent waiting for a core says nothing about the code.
CLOCK: Callable[[], float] = time.perf_counter
DEVICE = torch.device("cpu")


def model_at(tokens: int) -> tuple[nn.Module, torch.Tensor]:
    name, size = SIZES[tokens]
    torch.manual_seed(0)
    module = timm.create_model(name, img_size=size).eval().requires_grad_(False)
    return module.to(DEVICE), torch.randn(1, 3, size, size, device=DEVICE)


def traced(module: nn.Module, x: torch.Tensor) -> Trace:
    layout = layout_of(module, "benchmark", tuple(x.shape[2:]))
    recording = record(module, x, layout)
    return Trace("benchmark", x[0], layout, recording.layers, recording.logits)


def tasks(module: nn.Module, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    layout = layout_of(module, "benchmark", tuple(x.shape[2:]))

    def trace() -> Trace:
        recording = record(module, x, layout)
        return Trace("benchmark", x[0], layout, recording.layers, recording.logits)

    def explain() -> None:
        done = trace()
        vitviz.head_maps(done, "cls")
        vitviz.rollout(done, "cls")

    usual = {"the usual way": lambda: usual_way(module, x)} if layout.num_tokens <= LARGEST_STORED else {}
    return {"trace": trace, "trace + all head maps + rollout": explain, **usual}


@torch.inference_mode()
def usual_way(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Fused attention off, every matrix stored, rollout as a product of matrices."""
    stored: list[torch.Tensor] = []
    blocks = [block.attn for block in module.blocks]
    handles = [
        attn.attn_drop.register_forward_hook(lambda _m, inputs, _out: stored.append(inputs[0])) for attn in blocks
    ]
    for attn in blocks:
        attn.fused_attn = False
    module(x)
    for attn in blocks:
        attn.fused_attn = True
    for handle in handles:
        handle.remove()
    identity = torch.eye(stored[0].shape[-1], device=DEVICE)
    rollout = identity
    for weights in stored:
        rollout = (0.5 * identity + 0.5 * weights[0].mean(0)) @ rollout
    return rollout[0]


def seconds(task: Callable[[], object]) -> float:
    finish = torch.cuda.synchronize if DEVICE.type == "cuda" else lambda: None
    start = CLOCK()
    task()
    finish()  # a GPU is still at work when the call returns
    return CLOCK() - start


def compare(tokens: int, repeats: int) -> None:
    module, x = model_at(tokens)

    @torch.inference_mode()
    def plain() -> None:
        module(x)

    rivals = tasks(module, x)
    for task in (plain, *rivals.values()):
        task()
    ratios: dict[str, list[float]] = {name: [] for name in rivals}
    base: list[float] = []
    for _ in range(repeats):
        for name, task in rivals.items():
            base.append(seconds(plain))
            ratios[name].append(seconds(task) / base[-1])
    print(
        f"| {tokens} | plain forward | {1e3 * statistics.median(base):.0f} ms | {spread([1e3 * b for b in base], '.0f')} ms |"
    )
    for name, values in ratios.items():
        print(f"| {tokens} | {name} | {statistics.median(values):.2f}x | {spread(values, '.2f')}x |")


def spread(values: list[float], form: str) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:{form}} to {high:{form}}"


def another_query(tokens: int, repeats: int) -> None:
    done = traced(*model_at(tokens))
    times = [1e3 * seconds(lambda: vitviz.rollout(done, "r3c5")) for _ in range(repeats)]
    matrix = vitviz.rollout_matrix(done)
    kept = [1e3 * seconds(lambda: done.layout.patches(matrix[60])) for _ in range(repeats)]
    print(f"| {tokens} | rollout of another query | {statistics.median(times):.0f} ms | {spread(times, '.0f')} ms |")
    print(
        f"| {tokens} | the same from a kept rollout matrix | {statistics.median(kept):.2f} ms | {spread(kept, '.2f')} ms |"
    )


def print_peak(what: str, tokens: int) -> None:
    """Run in a process of its own: prints the highest resident memory during the task above what stood before it, in MB."""
    module, x = model_at(tokens)

    @torch.inference_mode()
    def plain() -> object:
        return module(x)

    plain()  # whatever is made once, by the first pass of a process, is no cost of the task
    peak, _ = peak_of({**tasks(module, x), "plain": plain}[what])
    print(peak / 1e6)


def memory(tokens: int) -> None:
    def measured(what: str) -> list[float]:
        command = [sys.executable, __file__, "--memory", what, "--tokens", str(tokens)]
        done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
        return [float(each.stdout) for each in done]

    plain = statistics.median(measured("plain"))
    print(f"| {tokens} | plain forward | {plain:.0f} MB above what stood before | |")
    for what in ("trace", "trace + all head maps + rollout", "the usual way"):
        found = [each - plain for each in measured(what)]
        beyond, ends = statistics.median(found), f"{min(found):.0f} to {max(found):.0f} MB"
        print(f"| {tokens} | {what} | {beyond:.0f} MB above the plain pass | {ends} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), choices=SIZES, help="tokens")
    parser.add_argument("--device", type=torch.device, default=DEVICE)
    parser.add_argument("--memory")
    parser.add_argument("--tokens", type=int, default=1370)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--processor-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as the app does
    if arguments.processor_time:
        globals()["CLOCK"] = time.process_time
    globals()["DEVICE"] = arguments.device
    if arguments.memory:
        print_peak(arguments.memory, arguments.tokens)
        return
    versions = f"torch {torch.__version__}, timm {timm.__version__}"
    clock = "processor time" if arguments.processor_time else "wall time"
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else platform.machine()
    print(f"{where}, {torch.get_num_threads()} threads, {clock}, {versions}")
    print("\n| tokens | what | median | quartiles |\n|---|---|---|---|")
    for tokens in arguments.sizes:
        compare(tokens, arguments.repeats)
    if 1370 not in arguments.sizes or DEVICE.type != "cpu":
        return
    another_query(1370, arguments.repeats)
    print("\n| tokens | what | peak memory, median of 3 | range |\n|---|---|---|---|")
    memory(1370)


if __name__ == "__main__":
    main()
