"""The replaced fused call sees what a mode sees, on its own thread only, and goes away again."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.capture.test_observe import GRID, Toy, picture, tiny
from vitviz.capture import sdpa_patch
from vitviz.capture.coordinates.layouts import known_calls
from vitviz.capture.events import FUSED
from vitviz.capture.observe import observe
from vitviz.capture.record import record
from vitviz.capture.sdpa_patch import fused_replaced
from vitviz.errors import Cancelled, CaptureError
from vitviz.tokens import TokenLayout

TINY = TokenLayout(("cls",), (2, 2), (16, 16))
ITS_OWN_NAME = F.scaled_dot_product_attention


def noise() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def fused(heads):
    return F.scaled_dot_product_attention(heads, heads, heads)


class LinearLayers(TorchFunctionMode):
    """Another function mode, which counts linear layers."""

    received = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.received += func is F.linear
        return func(*args, **(kwargs or {}))


def observed_by(module: nn.Module, **knobs) -> str:
    """How a recording observes `module`, seen from inside the pass."""
    seen = set()

    def progress(_: int, __: int) -> None:
        replaced, modes = F.scaled_dot_product_attention is not FUSED, torch._C._len_torch_function_stack()
        seen.add("replaced" if replaced and not modes else "mode" if not replaced else "both")

    picture_and_layout = (noise(), TINY) if hasattr(module, "blocks") else (picture(), GRID)
    record(module, *picture_and_layout, progress=progress, **knobs)
    assert len(seen) == 1
    return seen.pop()


def test_the_patch_observes_what_a_mode_observes():
    module, x = tiny(), noise()
    calls = []
    with torch.inference_mode(), observe(module, calls.append):
        logits = module(x)
    recording = record(module, x, TINY)
    assert torch.equal(recording.logits, logits[0])
    assert len(recording.layers) == len(calls) == 2
    for layer, call in zip(recording.layers, calls, strict=True):
        assert layer.name == call.module and layer.scale == call.scale
        assert (
            torch.equal(layer.q, call.q[0]) and torch.equal(layer.k, call.k[0]) and torch.equal(layer.lse, call.lse[0])
        )


def test_the_patch_is_used_where_all_attention_is_fused_and_nowhere_else():
    assert observed_by(tiny()) == "replaced"
    assert observed_by(Toy(fused).eval()) == "replaced"
    assert observed_by(Toy(lambda h: (h @ h.mT).softmax(-1) @ h).eval()) == "mode"
    # A hook on a model may start a mode in the middle of a pass.
    assert observed_by(tiny(), hidden=("blocks.0",)) == "mode"
    assert F.scaled_dot_product_attention is FUSED


def test_the_switch_keeps_torchs_function_in_its_place():
    module, x = tiny(), noise()
    sdpa_patch.allow_patch(False)
    try:
        assert observed_by(tiny()) == "mode"
        off = record(module, x, TINY)
    finally:
        sdpa_patch.allow_patch(True)
    assert observed_by(tiny()) == "replaced"
    assert torch.equal(off.logits, record(module, x, TINY).logits)


def test_the_patch_is_removed_after_an_exception_and_with_the_last_observer():
    def stop(_: int, __: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        record(tiny(), noise(), TINY, progress=stop)
    assert F.scaled_dot_product_attention is FUSED
    inside, leave = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with fused_replaced(FUSED):
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=elsewhere)
    other.start()
    assert inside.wait(60)
    record(tiny(), noise(), TINY)
    assert F.scaled_dot_product_attention is not FUSED  # another thread still observes
    leave.set()
    other.join(60)
    assert F.scaled_dot_product_attention is FUSED


def test_other_threads_are_not_observed():
    q = torch.randn(1, 2, 5, 4)
    expected, found, received = F.scaled_dot_product_attention(q, q, q), [], []

    def receive(call) -> None:
        received.append(call)
        other = threading.Thread(target=lambda: found.append(F.scaled_dot_product_attention(q, q, q)))
        other.start()
        other.join(60)

    module = tiny()
    with torch.inference_mode(), observe(module, receive, only_fused=True):
        module(noise())
    assert len(received) == len(found) == 2
    assert all(torch.equal(each, expected) for each in found)


def test_beside_another_function_mode_both_observe():
    module = tiny()
    alone = record(module, noise(), TINY)
    with LinearLayers() as other:
        beside = record(module, noise(), TINY)
        assert torch._C._len_torch_function_stack() == 1
    assert other.received == 2 * 4 + 1  # of two blocks, and the classifier
    for one, two in zip(alone.layers, beside.layers, strict=True):
        assert torch.equal(one.weights(), two.weights())


class Doubling(TorchFunctionMode):
    """Somebody else who changes what the fused call is given."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*((2 * args[0], *args[1:]) if func is FUSED else args), **(kwargs or {}))


def changed_inside(heads):
    with Doubling():
        return F.scaled_dot_product_attention(heads, heads, heads)


def test_a_changed_call_is_recorded_as_it_was_used():
    module, x = Toy(changed_inside).eval(), picture()
    (layer,) = record(module, x, GRID).layers
    torch.testing.assert_close(layer.q, 2 * layer.k)


def test_a_model_with_a_name_of_its_own_for_the_fused_call_is_recorded_too():
    module = Toy(lambda h: ITS_OWN_NAME(h, h, h)).eval()
    assert [call.fused for call in known_calls(module, (8, 12))] == [True]
    assert len(record(module, picture(), GRID).layers) == 1


def test_a_pass_that_was_observed_whole_is_not_repeated():
    attends, passes = True, []

    def attend(heads):
        passes.append(heads)
        return (heads @ heads.mT).softmax(-1) @ heads if attends else heads

    module = Toy(attend).eval()
    assert [call.fused for call in known_calls(module, (8, 12))] == [False]
    attends = False
    passes.clear()
    with pytest.raises(CaptureError):
        record(module, picture(), GRID)
    assert len(passes) == 1


def test_somebody_elses_change_of_the_fused_call_stays(monkeypatch):
    def theirs(*args, **kwargs):
        return FUSED(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", theirs)
    assert len(record(tiny(), noise(), TINY).layers) == 2
    assert F.scaled_dot_product_attention is theirs


class Explicit(nn.Module):
    """timm's attention with its fused call spelled out."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x, **_):
        own = self.attention
        q, k, v = own.qkv(x).unflatten(-1, (3, own.num_heads, own.head_dim)).permute(2, 0, 3, 1, 4)
        return own.proj(((q * own.scale) @ k.mT).softmax(-1).matmul(v).transpose(1, 2).flatten(2))


def test_a_model_that_was_changed_is_recorded_as_it_is_now():
    module, x = tiny(), noise()
    before = record(module, x, TINY)
    module.blocks[1].attn = Explicit(module.blocks[1].attn)
    after = record(module, x, TINY)
    assert [layer.explicit is None for layer in after.layers] == [True, False]
    for one, two in zip(before.layers, after.layers, strict=True):
        torch.testing.assert_close(one.weights(), two.weights(), atol=1e-6, rtol=0)
    module.blocks[1].attn = module.blocks[1].attn.attention
    assert [layer.explicit is None for layer in record(module, x, TINY).layers] == [True, True]
    module.blocks.append(copy.deepcopy(module.blocks[1]))
    module.blocks[2].attn = Explicit(module.blocks[2].attn)
    assert [layer.explicit is None for layer in record(module, x, TINY).layers] == [True, True, False]
    del module.blocks[2]
    module.blocks[0].attn.fused_attn = False  # timm's own switch, which changes no module
    assert [layer.explicit is None for layer in record(module, x, TINY).layers] == [False, True]
