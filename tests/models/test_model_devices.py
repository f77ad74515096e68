"""Where a model runs and in what precision: a GPU where there is one, a pretended one everywhere, and half the digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

import vitviz
from tests.analysis.staged import SMALL, built
from tests.models.pretend_gpu import PretendGpu
from vitviz.analysis.by_hand import embedded_token
from vitviz.analysis.head_importance import head_confidence
from vitviz.analysis.hiding import object_test
from vitviz.analysis.methods import METHODS, explain
from vitviz.capture.record import record
from vitviz.errors import ModelError, UnsupportedError
from vitviz.figures.traced_image import traced_image
from vitviz.models import Model, prepare
from vitviz.models.model import pick_device, pick_dtype
from vitviz.samples import load_sample, samples
from vitviz.survey.faithfulness import SurveySettings, areas_of
from vitviz.tracing import trace_input
from vitviz.ui.components.microscope import layer_arrays

# Largest differences from float32 on the processor, over all layers and heads of the embedded model: weights, and the rollout
# relative to its largest value. Measured with room to spare; what bfloat16 was measured at stands in the README.
GPU_WEIGHTS, GPU_ROLLOUT = 1e-3, 5e-3
BFLOAT16_WEIGHTS, BFLOAT16_ROLLOUT = 0.15, 0.1
# The same of two to eight layers of untrained ones, whose attention is flatter.
BFLOAT16_STAGED = 0.01

ANSWERS = {
    "rollout": lambda model, trace: vitviz.rollout(trace),
    "rollout with knobs": lambda model, trace: vitviz.rollout(trace, "r1c1", vitviz.RolloutOptions(0.3, "max", 0.5)),
    "rollout of the mean": lambda model, trace: vitviz.rollout(trace, "mean"),
    "rollout matrix": lambda model, trace: vitviz.rollout_matrix(trace).cpu().numpy(),
    "head rollouts": lambda model, trace: [vitviz.head_rollouts(trace, m) for m in ("last_hop", "leave_one_in")],
    "head maps": lambda model, trace: vitviz.head_maps(trace),
    "one map": lambda model, trace: vitviz.attention_map(trace.layers[1], "cls", 0),
    "column": lambda model, trace: trace.layers[1].column(2).cpu().numpy(),
    "statistics": lambda model, trace: vitviz.head_statistics(trace.layers[0]).distance.tolist(),
    "entropy": lambda model, trace: vitviz.entropy(trace.layers[0]).cpu().numpy(),
    "prefix mass": lambda model, trace: vitviz.prefix_mass(trace.layers[0]).cpu().numpy(),
    "sinks": lambda model, trace: vitviz.sink_tokens(trace.layers[0]),
    "prediction": lambda model, trace: vitviz.top_predictions(trace.logits, None),
    "position similarity": lambda model, trace: vitviz.position_similarity(model, trace.layout),
    "embedding sum": lambda model, trace: vitviz.embedding_sum(model, trace.input, trace.layout),
    "filters": lambda model, trace: vitviz.filter_components(model),
    "the microscope's arrays": lambda model, trace: layer_arrays(trace.layers[1]),
    "outliers": lambda model, trace: vitviz.token_outliers(question(model, trace)),
    "patch lens": lambda model, trace: vitviz.patch_lens(question(model, trace)).cpu().numpy(),
    "head importance": lambda model, trace: vitviz.head_importance(question(model, trace)),
    "head confidence": lambda model, trace: head_confidence(trace),
    "two scenes": lambda model, trace: vitviz.two_scenes(
        model, trace.input, -trace.input, vitviz.Paste((1, 1), (2, 3))
    ),
    "faithfulness": lambda model, trace: list(
        vitviz.faithfulness(question(model, trace), {"a": np.eye(4, 6)}, levels=(2,), seeds=1)
    ),
    "marked object": lambda model, trace: object_test(question(model, trace), np.eye(4, 6, dtype=bool), {}, draws=1),
    "heads' means": lambda model, trace: vitviz.head_means(model, [trace.input]),
    "lens": lambda model, trace: vitviz.logit_lens(question(model, trace)).probabilities.cpu().numpy(),
}


# Which tokens stand out, and how many, depends on the numbers.
CHOOSING = {"sinks", "outliers"}
# In bfloat16, relative to an answer's largest number: eight bits, and what twelve layers of them add up to.
BFLOAT16_ANSWERS = 0.1


def numbers(answer: Any) -> list[np.ndarray]:
    """Every array and floating-point number in an answer, in order; tensors have to lie on the processor or say so."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().float().cpu() if answer.is_floating_point() else answer.cpu()
        return [answer.numpy()]
    if isinstance(answer, np.ndarray | np.floating | float):
        return [np.asarray(answer)]
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if is_dataclass(answer):
        answer = [getattr(answer, each.name) for each in fields(answer)]
    if isinstance(answer, list | tuple):
        return [array for each in answer for array in numbers(each)]
    return []


@pytest.fixture(scope="module")
def full():
    """(model, trace) in float32 on the processor."""
    model = small()
    return model, trace_input(model, pixels())


@pytest.fixture(scope="module")
def in_full(full):
    """{name: the numbers of each answer in float32 on the processor}."""
    return {name: numbers(answer(*full)) for name, answer in ANSWERS.items()}


@pytest.fixture(scope="module")
def elsewhere():
    """(model, trace) on the pretended GPU."""
    model = small()
    model.module.to("meta")
    with PretendGpu():
        return model, trace_input(model, pixels())


@pytest.fixture(scope="module")
def halved():
    """(model, trace) in bfloat16."""
    model = small(dtype="bfloat16")
    return model, trace_input(model, pixels())


def question(model: Model, trace) -> vitviz.Question:
    return vitviz.Question(model, trace.input, vitviz.ClassLogit(1))


def small(device: str = "cpu", dtype: str = "float32") -> Model:
    return vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=(64, 96), device=device, dtype=dtype)


def pixels() -> torch.Tensor:
    return torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("asked", ANSWERS)
def test_nothing_forgets_that_tensors_may_lie_elsewhere(asked, elsewhere, in_full):
    """The pretended GPU computes no numbers: what can be seen is that nothing mixes devices, and what comes of it."""
    assert elsewhere[1].device.type == "meta"
    with PretendGpu():
        found = numbers(ANSWERS[asked](*elsewhere))
    assert in_full[asked] or asked in CHOOSING
    if asked not in CHOOSING:
        assert [array.shape for array in found] == [array.shape for array in in_full[asked]]


def test_the_pretended_gpu_finds_what_would_fail_on_a_real_one():
    with PretendGpu():
        there = torch.ones(3, device="meta")
        with pytest.raises(TypeError):
            there.numpy()
        with pytest.raises(RuntimeError):
            there + torch.ones(3)
        assert there.cpu().numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("asked", ANSWERS)
def test_every_answer_in_bfloat16_is_about_that_in_float32(asked, halved, in_full):
    assert halved[0].dtype == torch.bfloat16
    found = numbers(ANSWERS[asked](*halved))
    if asked in CHOOSING:
        return
    for few, full in zip(found, in_full[asked], strict=True):
        assert few.shape == full.shape and np.isfinite(few).all()
        if few.dtype.kind == "f":
            assert np.abs(few - full).max(initial=0) <= BFLOAT16_ANSWERS * np.abs(full).max(initial=0) + 1e-5


FEW = {"integrated_gradients": {"steps": 2, "most_steps": 2}, "occlusion": {"stride": 3}}


@pytest.mark.filterwarnings("ignore::vitviz.errors.IncompleteWarning")
@pytest.mark.parametrize("method", METHODS)
def test_every_explanation_in_bfloat16_is_about_that_in_float32(method, halved, full):
    maps = [explain(question(*given), method, **FEW.get(method, {})).values for given in (halved, full)]
    assert np.isfinite(maps[0]).all()
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9


@pytest.mark.long
def test_a_folder_is_surveyed_in_bfloat16():
    found = areas_of(small(dtype="bfloat16"), samples()[0].path, SurveySettings(("attention", "gradcam"), 2, 1))
    assert np.isfinite(list(found.areas.values())).all()


def test_in_bfloat16_arithmetic_by_hand_is_refused_for_its_own_reason():
    """Rounding keeps it from the model's numbers, and not that the layer would do more than it is said to do."""
    model = small(dtype="bfloat16")
    opened = vitviz.open_layer(model, trace := trace_input(model, pixels()), 1)
    for ask in (lambda: vitviz.head_by_hand(opened, 0, "r0c0"), lambda: embedded_token(model, trace, opened, "r0c0")):
        with pytest.raises(UnsupportedError, match=r"computes in bfloat16.*Load it in float32"):
            ask()


@pytest.fixture(scope="module")
def exact():
    """The embedded model in float32 on the processor: (its input, the weights of every layer, its rollout, its best class)."""
    model = vitviz.load_model("embedded", device="cpu")
    given = prepare(model, load_sample(samples()[0].id)).input
    return given, *seen(model, given)


def seen(model: Model, given: torch.Tensor) -> tuple[np.ndarray, np.ndarray, int]:
    trace = trace_input(model, given)
    weights = torch.stack([layer.weights() for layer in trace.layers]).cpu().numpy()
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-3)
    return weights, vitviz.rollout(trace).values, int(trace.logits.argmax())


def check(exact, found, weights_within: float, rollout_within: float) -> None:
    _, weights, rollout, best = exact
    assert np.abs(found[0] - weights).max() < weights_within
    assert np.abs(found[1] - rollout).max() < rollout_within * rollout.max()
    assert found[2] == best


def test_bfloat16_stays_within_its_tolerance(exact):
    found = seen(vitviz.load_model("embedded", device="cpu", dtype="bfloat16"), exact[0])
    check(exact, found, BFLOAT16_WEIGHTS, BFLOAT16_ROLLOUT)
    assert np.abs(found[0] - exact[1]).max() > 1e-4  # it was another precision indeed


@pytest.mark.parametrize("name", SMALL)
def test_windows_stages_and_class_attention_in_bfloat16(name):
    module, side = built(name), SMALL[name][1]
    picture = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2))
    exact = record(module, picture, None)
    found = record(module.bfloat16(), picture.bfloat16(), None)
    pairs = list(zip((*exact.layers, *exact.pooling), (*found.layers, *found.pooling), strict=True))
    assert len(pairs) > 3
    off = [abs(few.row(0) - full.row(0)).max().item() for full, few in pairs]
    assert all(few.row(0).dtype == torch.float32 for _, few in pairs)
    assert 0 < max(off) < BFLOAT16_STAGED


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_stays_within_its_tolerance(exact, dtype):
    """Runs where there is a GPU and is skipped elsewhere, in CI too."""
    model = vitviz.load_model("embedded", device="cuda", dtype=dtype)
    assert model.device.type == "cuda"
    within = (GPU_WEIGHTS, GPU_ROLLOUT) if dtype == "float32" else (BFLOAT16_WEIGHTS, BFLOAT16_ROLLOUT)
    check(exact, seen(model, exact[0]), *within)
    trace = trace_input(model, exact[0])
    for answer in ANSWERS.values():
        answer(model, trace)
    for method in METHODS:
        assert np.isfinite(explain(question(model, trace), method).values).all()


def test_the_device_is_chosen_by_itself_or_by_whoever_runs_it(monkeypatch):
    monkeypatch.setenv("VITVIZ_DEVICE", "cpu")
    assert pick_device("auto").type == "cpu"
    monkeypatch.delenv("VITVIZ_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    assert pick_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ModelError, match="no CUDA GPU"):
        pick_device("cuda")


def test_the_precision_is_chosen_by_whoever_runs_it(monkeypatch):
    assert small(dtype="auto").dtype == torch.float32
    monkeypatch.setenv("VITVIZ_DTYPE", "bfloat16")
    assert small(dtype="auto").dtype == torch.bfloat16
    assert small(dtype="float32").dtype == torch.float32
    monkeypatch.setenv("VITVIZ_DTYPE", "float8")
    with pytest.raises(ModelError, match="float32 or bfloat16, not in float8"):
        small(dtype="auto")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_figure_says_its_precision_where_it_is_not_the_usual(dtype):
    """A server's choice is nothing that another machine would know: the snippet names it, and so does the provenance."""
    made = traced_image(prepare(small(dtype=dtype), load_sample(samples()[0].id)))
    named = dtype if dtype != "float32" else ""
    assert made.provenance("rollout").dtype == named
    assert ("bfloat16" in made.provenance("rollout").line) == bool(named)
    assert (f"dtype={dtype!r}" in made.snippet()) == bool(named)


def test_precisions_that_are_not_offered():
    assert pick_dtype("bfloat16") is pick_dtype(torch.bfloat16) is torch.bfloat16
    for dtype in ("int8", torch.float16, "half a digit"):
        with pytest.raises(ModelError, match="float32 or bfloat16"):
            pick_dtype(dtype)


def test_another_size_keeps_device_and_precision():
    model = replace(small(dtype="bfloat16"), dynamic_size=False)
    assert vitviz.resized(model, (96, 96)).dtype == torch.bfloat16
