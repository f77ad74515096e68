"""Memory grows with tokens and not with their square: no tensor that is made on the way is larger than one chunk of queries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vitviz.analysis.attention import (
    attention_distance,
    entropy,
    head_maps,
    head_statistics,
    prefix_mass,
    query_weights,
    sink_tokens,
)
from vitviz.analysis.head_rollout import head_rollout, head_rollouts
from vitviz.analysis.methods import explain
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.rollout import RolloutOptions, rollout, rollout_matrix
from vitviz.analysis.sinks import attention_mass
from vitviz.analysis.targets import ClassLogit
from vitviz.capture import attention as chunks
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace
from vitviz.models.layout import layout_of
from vitviz.tokens import TokenLayout
from vitviz.ui.components.microscope import layer_arrays

LAYERS, HEADS, DIM = 3, 2, 4


class Largest(TorchDispatchMode):
    """Entries of the largest tensor that any operation inside gave back."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self.entries = max(self.entries, each.numel())
        return result


def long_trace(side: int, with_lse: bool) -> Trace:
    layout = TokenLayout(("cls",), (side, side + 1), (14, 14))
    drawn = torch.Generator().manual_seed(side)

    def layer(number: int) -> Attention:
        q, k = (torch.randn(HEADS, layout.num_tokens, DIM, generator=drawn) for _ in range(2))
        lse = (q @ k.mT).logsumexp(-1) if with_lse else None
        return Attention(f"blocks.{number}", layout, layout, q=q, k=k, lse=lse)

    return Trace("long", torch.zeros(3, 1, 1), layout, tuple(map(layer, range(LAYERS))), torch.zeros(2))


ASKED = {
    "rollout": lambda trace: rollout(trace, "cls"),
    "rollout of the mean": lambda trace: rollout(trace, "mean"),
    "rollout with discarding": lambda trace: rollout(trace, "r1c1", RolloutOptions(fusion="max", discard=0.5)),
    "head rollouts, last hop": lambda trace: head_rollouts(trace, "last_hop"),
    "head rollouts, leave one in": lambda trace: head_rollouts(trace, "leave_one_in"),
    "one head's rollout": lambda trace: head_rollout(trace, 1, 1, "leave_one_in"),
    "head maps": lambda trace: head_maps(trace, "cls"),
    "head maps of the mean": lambda trace: head_maps(trace, "mean"),
    "a row": lambda trace: trace.layers[1].row(5),
    "a column": lambda trace: trace.layers[1].column(5),
    "mean of rows": lambda trace: query_weights(trace.layers[0], "mean"),
    "entropy": lambda trace: entropy(trace.layers[0]),
    "prefix mass": lambda trace: prefix_mass(trace.layers[0]),
    "distance": lambda trace: attention_distance(trace.layers[0]),
    "statistics": lambda trace: head_statistics(trace.layers[0]),
    "sinks": lambda trace: sink_tokens(trace.layers[0]),
    "mass": attention_mass,
    "the microscope's arrays": lambda trace: layer_arrays(trace.layers[2]),
}


@pytest.mark.parametrize("with_lse", [True, False])
@pytest.mark.parametrize("asked", ASKED)
def test_nothing_larger_than_a_chunk_is_made(asked, with_lse, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", 1)  # as few queries at once as there ever are
    trace = long_trace(23, with_lse)
    with Largest() as seen:
        ASKED[asked](trace)
    tokens = trace.layout.num_tokens
    assert 0 < seen.entries <= HEADS * chunks.FEWEST_QUERIES * tokens
    assert chunks.FEWEST_QUERIES * HEADS < tokens  # or a whole matrix would fit


@pytest.mark.parametrize("method", ["gradient_rollout", "relevance", "legrad", "gradcam"])
def test_gradients_need_nothing_larger_either(method, monkeypatch):
    """Through timm's own fused attention, forwards and backwards."""
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", 1)
    torch.manual_seed(0)
    module = VisionTransformer(img_size=92, patch_size=4, embed_dim=8, depth=2, num_heads=HEADS, num_classes=3).eval()
    module.requires_grad_(False)
    layout = layout_of(module, "long", (92, 92))
    question = Question(BareModel(module, layout), torch.randn(3, 92, 92), ClassLogit(1))
    with Largest() as seen:
        heatmap = explain(question, method)
    assert heatmap.values.max() > 0
    chunk = HEADS * chunks.FEWEST_QUERIES * layout.num_tokens
    assert 0 < seen.entries <= chunk < layout.num_tokens**2
    # A class token is read: LeGrad asks for its row alone. For the others the measure sees what is made on the way.
    assert (seen.entries == chunk) == (method in ("gradient_rollout", "relevance"))


def test_the_matrix_of_every_query_is_found_out():
    """What is quadratic by definition, so that the measure above is known to see it."""
    trace = long_trace(23, with_lse=True)
    with Largest() as seen:
        rollout_matrix(trace)
    assert seen.entries >= trace.layout.num_tokens**2


@pytest.mark.parametrize("entries", [1, 4_000, 1 << 20])
def test_chunks_do_not_change_an_answer(entries, monkeypatch):
    trace = long_trace(7, with_lse=False)
    expected = rollout(trace, "r2c3").values
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", entries)
    monkeypatch.setattr(chunks.Attention, "fewest_queries", 3)
    np.testing.assert_allclose(rollout(trace, "r2c3").values, expected, atol=1e-7)
