"""One pass leaves the trace, the states between the blocks and the values, as passes of their own do."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import timm
import torch
from torch import nn

import vitviz
from tests.capture import written
from tests.capture.families import FAMILIES, SMALL, build
from vitviz.analysis.by_hand import open_layer
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.sinks import kept_value_norms, value_norms
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.blocks import Blocks
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.models.layout import layout_of
from vitviz.models.model import Model, Preprocessing
from vitviz.tracing import trace_and_hidden_states, trace_input


@pytest.fixture(scope="module")
def model():
    return vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=(64, 64))


@pytest.fixture
def pixels():
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))


@contextmanager
def counted(module, part="patch_embed"):
    """How often a part of a module runs."""
    runs: list[int] = []
    handle = module.get_submodule(part).register_forward_hook(lambda *_: runs.append(1))
    try:
        yield runs
    finally:
        handle.remove()


def test_trace_and_states_are_those_of_passes_of_their_own(model, pixels):
    plain, own = trace_input(model, pixels, keep_values=True), Question(model, pixels, ClassLogit(0)).hidden_states
    with counted(model.module) as runs:
        trace, hidden_states = trace_and_hidden_states(model, pixels, keep_values=True)
    assert len(runs) == 1 and hidden_states is not None
    assert torch.equal(trace.logits, plain.logits) and torch.equal(hidden_states.output.logits, own.output.logits)
    for one, two in zip(
        (*hidden_states.states, hidden_states.output.tokens), (*own.states, own.output.tokens), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    for one, two in zip(trace.layers, plain.layers, strict=True):
        assert torch.equal(one.v, two.v) and torch.equal(one.q, two.q)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


def test_gradients_flow_through_states_of_an_inference_pass(model, pixels):
    hidden_states = trace_and_hidden_states(model, pixels)[1]
    blocks = Blocks(model.module)
    state = hidden_states.states[-2].clone().requires_grad_()
    blocks.read(blocks.step(hidden_states, blocks.num_layers - 1, state)).logits[0, 0].backward()
    assert state.grad is not None and bool(state.grad.any())


def test_states_that_are_too_many_or_not_in_a_row_are_not_kept(model, pixels):
    trace, hidden_states = trace_and_hidden_states(model, pixels, keep_values=True, most_bytes=1000)
    assert hidden_states is None and trace.layers[0].v is None
    swin = vitviz.load_model("swin_tiny_patch4_window7_224", weights="random")
    trace, hidden_states = trace_and_hidden_states(swin, torch.zeros(3, 224, 224), keep_values=True)
    assert hidden_states is None and trace.layers


def test_lengths_of_kept_values_are_those_of_another_pass(model, pixels):
    trace, hidden_states = trace_and_hidden_states(model, pixels, keep_values=True)
    with counted(model.module, "blocks.0") as first, counted(model.module, "blocks.11") as last:
        found = kept_value_norms(model, trace, hidden_states)
    assert len(first) + len(last) == 1, "one block of each kind runs"
    for one, two in zip(found, value_norms(model, pixels), strict=True):
        torch.testing.assert_close(one, two)


def test_kept_values_have_no_length_where_a_norm_takes_what_attention_gives(pixels):
    torch.manual_seed(0)
    name = "vit_relpos_small_patch16_rpn_224"
    module = timm.create_model(name, img_size=64, num_classes=7, **SMALL).eval()
    layout = layout_of(module, name, (64, 64))
    model = BareModel(module, layout)
    seen = record(module, pixels[None], layout, keep_values=True)
    hidden_states = Question(model, pixels, ClassLogit(0)).hidden_states
    trace = Trace("model", pixels, layout, seen.layers, seen.logits)
    with pytest.raises(UnsupportedError, match="normalises"):
        kept_value_norms(model, trace, hidden_states)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_is_opened_by_its_block_alone(layer):
    module, x, layout = build(FAMILIES[0])
    model = BareModel(module, layout)
    seen = record(module, x, layout)
    trace = Trace("model", x[0], layout, seen.layers, seen.logits)
    hidden_states = Question(model, x[0], ClassLogit(0)).hidden_states
    whole = open_layer(model, trace, layer)
    with counted(module) as runs:
        alone = open_layer(model, trace, layer, hidden_states)
    assert not runs and alone.norm is whole.norm is not None
    for part in ("entrance", "residual", "given", "heads_out"):
        torch.testing.assert_close(getattr(alone, part), getattr(whole, part), rtol=0, atol=1e-6)
    torch.testing.assert_close(alone.attention.v, whole.attention.v, rtol=0, atol=1e-6)
    torch.testing.assert_close(alone.attention.row(0), whole.attention.row(0))


def test_a_loaded_model_of_ones_own_is_traced():
    module, x = written.build(written.Spelling(), written.Spelling()), written.picture()
    preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3)
    around = nn.DataParallel(copy.deepcopy(module).train())
    model = Model("own", "own", around, written.LAYOUT, written.SIZE, preprocessing, None, "file", "")
    torch.testing.assert_close(trace_input(model, x[0]).logits.cpu(), module(x)[0].float())
    assert model.module is around.module and model.module.training
