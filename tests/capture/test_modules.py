"""Modules as users have them: wrapped, in train mode, with a hook on them, in another precision."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import vitviz
from tests.capture.written import LAYOUT, SIZE, Attention, Spelling, Written, build, picture, redrawn
from vitviz.analysis.interventions import SwitchOffHeads, SwitchOffLayers, head_means, intervene
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.rollout import RolloutOptions
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.bias import score_biases
from vitviz.capture.cost import pass_cost
from vitviz.capture.modules import copied, eval_mode
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.models.model import Model, Preprocessing
from vitviz.models.preparation import resized
from vitviz.tokens import TokenLayout


def asked(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every way of running a module gives."""
    model = BareModel(module, LAYOUT)
    recording, staged = record(module, x, LAYOUT), record(module, x, None)
    question = Question(model, x[0], ClassLogit(2))
    with intervene(model, SwitchOffHeads(((0, 1),))) as changed, torch.no_grad():
        off = changed.module(x)
    return {
        "logits": recording.logits,
        "weights": recording.layers[1].weights(),
        "staged": staged.layers[1].weights(),
        "gradients": question.attention_gradients.layers[0].rows(),
        "relevance": torch.tensor(generic_relevance(question).values),
        "legrad": torch.tensor(legrad(question).values),
        "reference": question.reference.logits,
        "hidden_states": question.hidden_states.output.logits,
        "off": off,
        "means": head_means(model, [x[0]]).layers[1],
        "bias": next(iter(score_biases(module, SIZE).values())),
        "shapes": torch.tensor(pass_cost(module, SIZE).shapes),
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, msg=lambda text, name=name: f"{name}: {text}")


class Dropping(Attention):
    """timm's two paths, with dropout of weights in training."""

    def __init__(self, fused: bool) -> None:
        super().__init__(self._attend)
        self.drop = nn.Dropout(0.5)
        self.fused = fused

    def _attend(self, q, k, v, bias):
        if self.fused:
            p = self.drop.p if self.training else 0.0
            return F.scaled_dot_product_attention(q, k, v, bias[None], dropout_p=p, scale=1.0)
        return self.drop((q @ k.mT + bias).softmax(-1)) @ v


def modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


@pytest.mark.parametrize("fused", [True, False])
def test_train_mode_is_left_for_the_pass_and_restored(fused):
    module, x = redrawn(Written(Dropping(fused), Dropping(fused))), picture()
    expected = asked(module, x)
    module.train()
    module.blocks[1].norm1.eval()  # a part that its user keeps in evaluation mode
    before = modes(module)
    assert not torch.equal(module(x), module(x))
    same(expected, asked(module, x))
    assert modes(module) == before
    with pytest.raises(ZeroDivisionError):
        record(module, x, LAYOUT, progress=lambda *_: 1 / 0)
    with pytest.raises(RuntimeError), eval_mode(module):
        raise RuntimeError
    assert modes(module) == before


class Careful(nn.Linear):
    """A layer whose `train` has a side effect, as those that merge low-rank updates have."""

    def train(self, mode: bool = True):
        raise AssertionError("nobody asked for another mode")


def test_no_train_method_of_the_model_runs():
    module = build(Spelling(), Spelling())
    module.blocks[0].mlp = Careful(8, 8).double()
    module.blocks[0].norm1.training = True
    asked(module, picture())
    assert module.blocks[0].norm1.training


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="eager")  # the usual one takes seconds to import


@pytest.mark.parametrize("wrapped", [compiled, nn.DataParallel, lambda m: nn.DataParallel(compiled(m))])
def test_a_wrapper_is_taken_off(wrapped):
    module, x = build(Spelling(), Spelling()), picture()
    around = wrapped(module)
    x = x.to(next(module.parameters()).device)  # DataParallel takes the module to a GPU where there is one
    same(asked(module, x), asked(around, x))
    assert record(around, x, LAYOUT).layers[0].name == "blocks.0.attn"


def test_compiled_parts_run_as_they_are_written():
    module, x = build(Spelling(), Spelling()), picture()
    expected = asked(module, x)
    module.blocks[1].attn.compile(backend="eager")
    same(expected, asked(module, x))


def test_a_distributed_module_is_taken_for_its_own(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    try:
        module, x = build(Spelling(), Spelling()), picture()
        expected = asked(module, x)
        around = nn.parallel.DistributedDataParallel(module)
        same(expected, asked(around, x))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_and_answered_in_single(dtype):
    module, x = build(Spelling(), Spelling(softmax="exp and sum")), picture()
    exact = asked(module, x)
    half = asked(module.to(dtype), x.to(dtype))
    for name in ("logits", "weights", "staged", "gradients", "relevance", "legrad"):
        assert half[name].dtype == torch.float32
        worst = (half[name].double() - exact[name].double()).abs().max() / exact[name].abs().max()
        assert worst < 0.1, name


def test_double_precision_has_rollouts_of_every_kind():
    module, x = build(Spelling(), Spelling()), picture()
    trace = Trace("written", x[0], LAYOUT, record(module, x, LAYOUT).layers, module(x)[0].detach())
    first, last = (layer.weights() for layer in trace.layers)
    assert first.dtype == torch.float64
    for fusion, fuse in {"mean": lambda w: w.mean(0), "max": lambda w: w.amax(0), "min": lambda w: w.amin(0)}.items():
        mixed = []
        for weights in (first, last):
            fused = fuse(weights) / fuse(weights).sum(-1, keepdim=True)
            mixed.append(0.5 * torch.eye(6, dtype=torch.float64) + 0.5 * fused)
        expected = mixed[1] @ mixed[0]
        matrix = vitviz.rollout_matrix(trace, RolloutOptions(fusion=fusion))
        torch.testing.assert_close(matrix, expected, atol=1e-6, rtol=0)
        row = vitviz.rollout(trace, "r1c2", RolloutOptions(fusion=fusion))
        torch.testing.assert_close(torch.as_tensor(row.values).double().flatten(), expected[5], atol=1e-6, rtol=0)


def test_a_copy_of_a_changed_model_is_unchanged():
    module = timm.create_model("beit_base_patch16_224", img_size=32, embed_dim=24, depth=2, num_heads=2).eval()
    layout = TokenLayout(("cls",), (2, 2), (16, 16))
    preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3)
    model = Model("beit", "beit", module, layout, (32, 32), preprocessing, None, "random", "")
    x = torch.randn(1, 3, 32, 48)
    before = resized(model, (32, 48)).module
    with intervene(model, SwitchOffLayers((1,)), SwitchOffHeads(((0, 0),))):
        during = resized(model, (32, 48)).module
        assert copied(model.module).blocks[1]._forward_hooks == {}
    with torch.no_grad():
        assert torch.equal(during(x), before(x))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in during.modules())


def test_a_users_own_hook_is_copied():
    module = build(Spelling())
    module.blocks[0].register_forward_hook(lambda *_: None)
    assert len(copied(module).blocks[0]._forward_hooks) == 1


def test_a_scripted_part_is_refused_by_name():
    module = build(Spelling())
    module.blocks[0].mlp = torch.jit.trace(module.blocks[0].mlp, torch.zeros(1, 6, 8, dtype=torch.float64))
    with pytest.raises(UnsupportedError, match=r"blocks\.0\.mlp.*torch\.jit"):
        record(module, picture(), LAYOUT)


@pytest.mark.parametrize("training", [False, True])
def test_gradient_checkpointing_changes_no_answer(training):
    plain = timm.create_model("test_vit", num_classes=5).eval()
    checkpointed = copy.deepcopy(plain).train(training)
    checkpointed.set_grad_checkpointing(True)
    x, layout = torch.randn(3, 160, 160), TokenLayout(("cls",), (10, 10), (16, 16))
    answers = [Question(BareModel(module, layout), x, ClassLogit(1)) for module in (plain, checkpointed)]
    for method in (generic_relevance, legrad):
        one, other = (torch.as_tensor(method(question).values) for question in answers)
        torch.testing.assert_close(one, other)
    assert checkpointed.grad_checkpointing
    assert checkpointed.training == training


def test_a_block_of_timm_that_is_compiled_alone_is_followed():
    module = timm.create_model("test_vit", num_classes=5).eval()
    x, layout = torch.randn(1, 3, 160, 160), TokenLayout(("cls",), (10, 10), (16, 16))
    plain = record(module, x, layout)
    module.blocks[0] = torch.compile(module.blocks[0], backend="eager")
    for one, other in zip(plain.layers, record(module, x, layout).layers, strict=True):
        torch.testing.assert_close(one.weights(), other.weights())


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_in_a_models_own_code_is_differentiated_or_refused(reentrant):
    def attend(q, k, v, bias):
        return (q @ k.mT + bias).softmax(-1) @ v

    def checkpointed(*inputs):
        return checkpoint(attend, *inputs, use_reentrant=reentrant)

    one, other = (
        Question(BareModel(redrawn(Written(Attention(each))), LAYOUT), picture()[0], ClassLogit(2))
        for each in (attend, checkpointed)
    )
    if reentrant:
        with pytest.raises(UnsupportedError, match="no gradients on its attention"):
            legrad(other)
    else:
        torch.testing.assert_close(other.attention_gradients.layers[0].rows(), one.attention_gradients.layers[0].rows())
