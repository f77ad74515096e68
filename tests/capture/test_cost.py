"""What a pass will cost, against torch's own count of a real pass and against what a real trace keeps."""

from __future__ import annotations

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from vitviz.capture import cost, memory
from vitviz.capture.cost import (
    PassCost,
    Throughput,
    estimate,
    format_duration,
    need_memory,
    pass_cost,
    throughput_of,
    timed,
)
from vitviz.capture.memory import free_memory
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of

NAMES = ["vit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2", "vit_tiny_r_s16_p8_224", "deit3_small_patch16_224"]


def module_of(name: str, size: int | tuple[int, int]) -> torch.nn.Module:
    return timm.create_model(name, img_size=size).eval().requires_grad_(False)


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_those_that_torch_counts_in_a_real_pass(name):
    size = (56, 112) if "14" in name else (64, 96)
    module = module_of(name, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.randn(1, 3, *size))
    counted = counter.get_flop_counts()["Global"]
    inside = sum(count for op, count in counted.items() if "scaled_dot_product" in str(op))
    work = pass_cost(module, size)
    assert work.attention == inside > 0
    assert work.attention + work.rest == counter.get_total_flops()
    assert len(work.shapes) == len(module.blocks)
    assert work.tokens == layout_of(module, name, size).num_tokens


@pytest.mark.parametrize("name", NAMES[:2])
def test_what_a_trace_keeps_is_known_before(name):
    size = (56, 112) if "14" in name else (64, 96)
    module = module_of(name, size)
    layers = record(module, torch.randn(1, 3, *size), layout_of(module, name, size)).layers
    assert pass_cost(module, size).kept == sum(layer.nbytes for layer in layers)


def test_the_peak_is_that_of_a_real_pass(monkeypatch):
    monkeypatch.setattr(memory, "OFFERED", False)  # a room counts whole, however little of it is written to
    size = (224, 224)
    module = module_of("vit_tiny_patch16_224", size)
    layout = layout_of(module, "tiny", size)
    own = [*module.parameters(), *module.buffers()]
    record(module, torch.randn(1, 3, *size), layout)  # the first asks on the meta device what the model relates
    with cost.AllocationCounter(own) as allocations:
        record(module, torch.randn(1, 3, *size), layout)
    work = pass_cost(module, size)
    assert work.kept < work.peak
    assert work.peak == pytest.approx(allocations.peak, rel=0.05)


def test_memory_grows_with_tokens_and_attention_with_their_square():
    module = timm.create_model(
        "vit_tiny_patch16_224", dynamic_img_size=True, depth=2, class_token=False, global_pool="avg"
    )
    small, large = pass_cost(module.eval(), (512, 512)), pass_cost(module, (1024, 1024))
    assert large.tokens == 4 * small.tokens == 4096
    assert large.attention == 16 * small.attention
    assert large.peak < 4.5 * small.peak
    assert large.rest < 4.5 * small.rest


def test_a_model_that_makes_its_own_weights_keeps_them_all():
    module = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2).eval()
    for block in module.blocks:
        block.attn.fused_attn = False
    work = pass_cost(module, (64, 64))
    assert work.shapes == ((1, 3, 17, 17),) * 2
    assert work.kept == 2 * 4 * 3 * 17 * 17
    assert work.attention == 0


def test_nothing_is_left_on_the_model_and_nothing_is_counted_twice():
    module = module_of("vit_tiny_patch16_224", 64)
    first = pass_cost(module, (64, 64))
    assert all(parameter.device.type == "cpu" for parameter in module.parameters())
    assert torch._C._len_torch_function_stack() == torch._C._len_torch_dispatch_stack() == 0
    assert pass_cost(module, (64, 64)) is first


def test_seconds_by_hand():
    work = PassCost(shapes=((1, 1, 10, 10),), attention=600, rest=100, rollout=300, kept=0, peak=0)
    made = timed(work, Throughput(attention=200, rest=50, rollout=100))
    assert made.seconds == 5
    assert made.rollout_seconds == 3


def test_an_estimate_grows_with_the_picture():
    """Nothing is timed here: that the estimate is about right is measured in benchmarks."""
    module = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True, depth=1).eval()
    small, large = estimate(module, (224, 224)), estimate(module, (896, 896))
    assert 0 < small.seconds < large.seconds
    assert 0 < small.rollout_seconds < large.rollout_seconds
    cpu = torch.device("cpu")
    assert throughput_of(cpu, torch.float32) is throughput_of(cpu, torch.float32)


def test_what_does_not_fit_is_refused_before_it_starts(monkeypatch):
    work = PassCost(((1, 6, 5000, 5000),), 0, 0, 0, 0, peak=3_000_000_000)
    monkeypatch.setattr(cost, "free_memory", lambda _: 2_000_000_000)
    with pytest.raises(UnsupportedError, match=r"5,000 tokens need about 3.0 GB.* 2.0 GB are free.*smaller"):
        need_memory(work, torch.device("cpu"))
    for free in (4_000_000_000, None):
        monkeypatch.setattr(cost, "free_memory", lambda _, free=free: free)
        need_memory(work, torch.device("cpu"))


def test_free_memory_is_some_of_this_machine():
    free = free_memory(torch.device("cpu"))
    assert free is None or 10_000_000 < free


def test_durations_in_words():
    assert [format_duration(s) for s in (0.3, 7.4, 59.4, 150, 5400)] == ["under 1 s", "7 s", "59 s", "2 min", "1.5 h"]
