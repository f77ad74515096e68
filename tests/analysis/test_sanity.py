"""The cascade randomises what it says, on a copy, and tells on a map that does not care."""

from __future__ import annotations

import copy

import pytest
import timm
import torch

from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods import explain
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.sanity import cascade, insensitive, randomised
from vitviz.analysis.targets import ClassLogit
from vitviz.errors import Cancelled
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout


def edges(question: Question) -> Heatmap:
    """A method that looks at the picture only."""
    rows, cols = question.layout.patch_size
    return Heatmap(question.pixels.abs().mean(0)[::rows, ::cols].numpy(), "x")


@pytest.mark.parametrize("family", [FAMILIES[0], FAMILIES[3], FAMILIES[10]], ids=str)
def test_the_cascade_goes_from_the_top_to_the_last_parameter(family):
    module, x, layout = build(family)
    trained = copy.deepcopy(module.state_dict())
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))
    changed = []

    def spy(asked: Question) -> Heatmap:
        now = asked.module.state_dict()
        changed.append({name for name, value in now.items() if not torch.equal(value, trained[name])})
        return explain(asked, "relevance")

    stages = list(cascade(question, {"relevance": spy, "edges": edges}))
    assert [stage.name for stage in stages] == ["head", "layer 1", "layer 0", "embedding"]
    _, head, top, bottom, everything = changed
    assert {name.split(".")[0] for name in head} & {"blocks", "patch_embed", "pos_embed", "cls_token"} == set()
    assert "head.weight" in head
    assert {name.split(".")[1] for name in top - head} == {"1"}
    assert {name.split(".")[1] for name in bottom - top} == {"0"}
    parameters = {name for name, value in module.named_parameters() if value.numel() > 1}
    assert parameters <= everything
    assert all(torch.equal(value, trained[name]) for name, value in module.state_dict().items()), "the model itself"
    assert stages[-1].similarity["edges"] == pytest.approx(1)
    assert stages[-1].similarity["relevance"] < 0.9
    assert insensitive(stages[-1], 0.9) == ["edges"]


def test_scales_stay_those_of_training():
    module = torch.nn.Linear(300, 200)
    before = module.weight.detach().clone()
    randomised(module, torch.Generator().manual_seed(5))
    assert float(module.weight.detach().std()) == pytest.approx(float(before.std()), rel=0.05)
    assert torch.corrcoef(torch.stack([module.weight.flatten(), before.flatten()]))[0, 1].abs() < 0.05


def test_the_cascade_can_be_stopped():
    module, x, layout = build(FAMILIES[0])
    question = Question(BareModel(module, layout), x[0], ClassLogit(1))

    def stop(done: int, _total: int) -> None:
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(cascade(question, {"edges": edges}, progress=stop))


def naflex():
    return (
        "naflexvit_base_patch16_gap",
        {"depth": 2, "embed_dim": 48, "num_heads": 3},
        ("reg0", "reg1", "reg2", "reg3"),
        {"embeds"},
    )


def tnt():
    small = {"img_size": 32, "depth": 2, "embed_dim": 48, "inner_dim": 12, "num_heads_outer": 3, "num_heads_inner": 2}
    return "tnt_s_patch16_224", small, ("cls",), {"pixel_embed", "norm1_proj", "proj", "norm2_proj"}


@pytest.mark.parametrize("kind", [naflex, tnt])
def test_the_embedding_comes_last_whatever_it_is_called(kind):
    name, arguments, prefix, embedding = kind()
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=5, **arguments).eval().requires_grad_(False)
    for parameter in module.parameters():
        parameter.normal_(std=0.1)  # a constant has no spread to be drawn from again
    layout = TokenLayout(prefix, (2, 2), (16, 16))
    trained = copy.deepcopy(module.state_dict())
    changed = []

    def spy(asked: Question) -> Heatmap:
        now = asked.module.state_dict()
        changed.append({key.split(".")[0] for key, value in now.items() if not torch.equal(value, trained[key])})
        return edges(asked)

    list(cascade(Question(BareModel(module, layout), torch.randn(3, 32, 32), ClassLogit(1)), {"edges": spy}))
    unchanged, head, *layers, everything = changed
    assert unchanged == set()
    assert "head" in head and not head & (embedding | {"blocks"})
    assert all(not layer & embedding for layer in layers)
    assert embedding <= everything
