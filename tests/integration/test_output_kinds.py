"""Lens, likelihoods, curves, predictions and interventions for every kind of outputs, against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vitviz
import vitviz.analysis.methods
from vitviz.analysis.hiding import hide
from vitviz.analysis.interventions.application import effect
from vitviz.analysis.methods import explain
from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference, default_target
from vitviz.capture.record import record
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.outputs import OutputKind
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout(("cls",), (3, 3), (8, 8))
BY_TORCH = {
    OutputKind.CLASSES: lambda z: torch.nn.functional.softmax(z, -1),
    OutputKind.LABELS: torch.sigmoid,
    OutputKind.NUMBERS: lambda z: z,
}
KINDS = sorted(BY_TORCH)


def module_with(outputs: int, seed: int = 0):
    torch.manual_seed(seed)
    module = timm.create_model(
        "vit_tiny_patch16_224", img_size=24, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=outputs
    ).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.4)
    return module.requires_grad_(False)


def question_of(kind: OutputKind, outputs: int = 3, target=None, seed: int = 0) -> Question:
    subject = BareModel(module_with(outputs, seed), LAYOUT, "by hand", kind)
    return Question(subject, torch.randn(3, 24, 24), target or ClassLogit(outputs - 1))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 4), st.integers(0, 5))
def test_every_reading_agrees_with_torch(kind, outputs, seed):
    question = question_of(kind, outputs, seed=seed)
    module, x, read = question.module, question.x, BY_TORCH[kind]
    logits = module(x)
    at = outputs - 1
    assert question.likelihood() == pytest.approx(float(read(logits)[0, at]), abs=1e-5)
    assert question.score() == pytest.approx(float(logits[0, at]), abs=1e-5)

    lens = logit_lens(question)
    states = [module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(x))))]
    for block in module.blocks:
        states.append(block(states[-1]))
    own = torch.stack([module.head(module.norm(state)[:, 0])[0] for state in states])  # (layers + 1, outputs)
    torch.testing.assert_close(lens.values, read(own), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(target_by_layer(question), read(own)[:, at], atol=1e-5, rtol=1e-4)

    values = read(logits[0])
    best = vitviz.top_predictions(logits[0], count=outputs, kind=kind)
    assert [one.value for one in best] == pytest.approx([float(values[one.index]) for one in best], abs=1e-5)
    if kind is OutputKind.NUMBERS:
        assert [one.index for one in best] == list(range(outputs))
        assert all(one.probability is None for one in best)
    else:
        assert [one.index for one in best] == values.argsort(descending=True).tolist()

    hidden = torch.zeros(1, 3, 3, dtype=torch.bool)
    hidden[0, 0, :2] = True
    with vitviz.intervene(question.model, vitviz.HidePatches((0, 1))):
        changed = module(x)
    result = effect(question, vitviz.HidePatches((0, 1)))
    assert result.likelihood_after == pytest.approx(float(read(changed)[0, at]), abs=1e-5)

    fine = vitviz.faithfulness(question, {"map": np.arange(9.0).reshape(3, 3)}, levels=(3,), seeds=1)
    curve = next(fine).methods[0].deletion
    steps = torch.stack([torch.arange(8, -1, -1).argsort() < count for count in (0, 3, 6, 9)]).reshape(-1, 3, 3)
    expected = read(module(hide(x[0], steps)))[:, at]  # the largest values of the map are hidden first
    np.testing.assert_allclose(curve.values, expected.numpy(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_differences(kind):
    question = question_of(kind, 3, LogitDifference(2, 0))
    logits = question.module(question.x)[0]
    difference = float(logits[2] - logits[0])
    if kind is OutputKind.CLASSES:  # where only these two are possible
        wanted = float(torch.stack([logits[2], logits[0]]).softmax(0)[0])
    elif kind is OutputKind.LABELS:  # where exactly one of two independent labels applies
        one, other = torch.sigmoid(logits[2]).item(), torch.sigmoid(logits[0]).item()
        wanted = one * (1 - other) / (one * (1 - other) + other * (1 - one))
    else:
        wanted = difference
    assert question.likelihood() == pytest.approx(wanted, abs=1e-5)
    assert question.score() == pytest.approx(difference, abs=1e-5)


def test_what_the_curves_show_is_named():
    named = [question_of(kind).quantity for kind in (OutputKind.CLASSES, OutputKind.LABELS, OutputKind.NUMBERS)]
    assert named == ["probability of the class", "probability of the label", "the model's output"]


def test_probabilities_of_plain_numbers_are_refused():
    with pytest.raises(UnsupportedError, match="plain numbers"):
        logit_lens(question_of(OutputKind.NUMBERS)).probabilities  # noqa: B018


def test_the_default_target_of_plain_numbers_is_the_first():
    subject = BareModel(module_with(3), LAYOUT, output_kind=OutputKind.NUMBERS)
    assert default_target(subject, torch.tensor([0.0, 5.0, 1.0])) == ClassLogit(0)
    subject = BareModel(module_with(3), LAYOUT, output_kind=OutputKind.LABELS)
    assert default_target(subject, torch.tensor([0.0, 5.0, 1.0])) == ClassLogit(1)


def test_features_have_no_class_and_no_lens():
    subject = BareModel(module_with(8), LAYOUT, output_kind=OutputKind.FEATURES)
    with pytest.raises(UnsupportedError, match="no classifier"):
        Question(subject, torch.randn(3, 24, 24), ClassLogit(3))
    question = Question(subject, torch.randn(3, 24, 24), vitviz.SelfDot())
    for read in (logit_lens, patch_lens):
        with pytest.raises(UnsupportedError, match="no classifier"):
            read(question)
    assert question.likelihood() == pytest.approx(1)


def test_a_model_that_does_not_pool_has_no_outputs_to_read():
    module = timm.create_model("vit_tiny_patch16_224", img_size=24, patch_size=8, embed_dim=24, depth=2, num_heads=3)
    module.reset_classifier(7, global_pool="")
    subject = BareModel(module.eval(), LAYOUT)
    question, x = Question(subject, torch.randn(3, 24, 24), ClassLogit(1)), torch.randn(1, 3, 24, 24)
    logits = module(x)[0]
    assert logits.shape == (10, 7)  # (tokens, outputs)
    for ask in (
        lambda: question.likelihood(),
        lambda: explain(question, "relevance"),
        lambda: explain(question, "gradcam"),
        lambda: explain(question, "occlusion"),
        lambda: vitviz.head_importance(question),
        lambda: logit_lens(question),
        lambda: patch_lens(question),
        lambda: vitviz.top_predictions(logits),
        lambda: default_target(subject, logits),
        lambda: Question(subject, torch.randn(3, 24, 24), vitviz.SelfDot()).likelihood(),
    ):
        with pytest.raises(UnsupportedError, match="does not pool its tokens"):
            ask()
    assert explain(question, "rollout").values.shape == (3, 3)


SPOILT = [
    lambda q: q.likelihood(),
    lambda q: logit_lens(q),
    lambda q: patch_lens(q),
    lambda q: next(iter(vitviz.faithfulness(q, {"map": np.zeros((3, 3))}))),
    lambda q: vitviz.head_importance(q),
    lambda q: effect(q, vitviz.HidePatches((1,))),
    lambda q: vitviz.token_outliers(q),
    lambda q: record(q.module, q.x, LAYOUT),
    *(lambda q, key=key: explain(q, key) for key in vitviz.analysis.methods.METHODS),
]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("ask", SPOILT)
def test_outputs_that_are_not_finite_are_refused_by_name(ask, value):
    question = question_of(OutputKind.CLASSES)
    with torch.no_grad():
        question.module.blocks[0].mlp.fc1.weight[0, 0] = value
    with pytest.raises(NotFiniteError, match=r"outputs of VisionTransformer are not finite"):
        ask(question)


def test_an_input_that_is_not_finite_is_refused():
    question = question_of(OutputKind.CLASSES)
    question.pixels[0, 0, 0] = float("nan")
    with pytest.raises(NotFiniteError):
        question.likelihood()


def test_logits_that_are_not_finite_predict_nothing():
    with pytest.raises(NotFiniteError):
        vitviz.top_predictions(torch.tensor([0.0, float("nan")]))
