"""Models of every kind of outputs in the app, as files of the server's folder: each number on the page from plain torch."""

from __future__ import annotations

import gzip
import io
import json
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import vitviz
from tests.ui.integration.test_pages import journey_of, prediction_of
from vitviz.models.registry import build
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.pages.what_if import text as what_if
from vitviz.ui.server import route
from vitviz.ui.server.payloads import unpack
from vitviz.ui.text import common, outputs

PLACES = ["forming", "methods", "mark"]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Puts a checkpoint with this answer into the server's folder; gives its logits for the first sample."""
    monkeypatch.setenv("VITVIZ_CHECKPOINTS", str(tmp_path))

    def serve(name: str, bias: list[float], **fields: object) -> torch.Tensor:
        module = build("test_vit", seed=4, num_classes=len(bias))
        with torch.no_grad():
            if bias:
                module.head.weight.mul_(0.2)
                module.head.bias.copy_(torch.tensor(bias))
        path = tmp_path / f"{name}.safetensors"
        save_file(module.state_dict(), path)
        path.with_suffix(".json").write_text(json.dumps({"architecture": "test_vit", **fields}), encoding="utf-8")
        if not all(map(math.isfinite, bias)):
            return torch.tensor(bias)
        prepared = vitviz.prepare(vitviz.load_model(str(path)), vitviz.load_sample("motorcycle"))
        with torch.no_grad():
            return module(prepared.input[None])[0]

    serve.folder = tmp_path
    return serve


def chips(shown) -> dict[str, str]:
    return dict(re.findall(r'listitem"[^>]*>([^<]*) <b>([^<]*)</b>', prediction_of(shown)))


def metric(shown, label: str) -> str:
    return next(each.value for each in shown.at.metric if each.label == label)


def test_one_output_is_a_probability_by_sigmoid(app, served):
    (logit,) = served("one", [-4.54], labels=["defect"]).tolist()
    share = 1 / (1 + 2.718281828459045**-logit)
    shown = app("prediction", model="file:one", answer="shown")
    assert shown.wrong == []
    assert chips(shown) == {"defect": f"{share:.1%}"}
    forming = shown.at.dataframe[0].value
    assert forming[words.FORMING_TABLE[3]].iloc[-1] == pytest.approx(share, rel=1e-4)
    assert words.FORMING_TABLE[4] not in forming  # the same once more
    assert outputs.ANSWERS[outputs.LABELS] in shown.text
    changed = app("what_if", model="file:one", answer="shown")
    assert metric(changed, outputs.SHARE_METRIC.format(target="defect")) == f"{share:.1%}"


def test_labels_do_not_share_one_hundred_percent(app, served):
    logits = served("many", [2.4, 1.9, -3.0], labels=["cat", "dog", "bird"], problem_type="multi_label_classification")
    shares = (1 / (1 + (-logits).exp())).tolist()
    shown = app("prediction", model="file:many", answer="shown")
    assert shown.wrong == []
    assert chips(shown) == {
        name: f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
        for name, share in zip(("cat", "dog", "bird"), shares, strict=True)
    }
    assert any(box.label == outputs.TARGET[outputs.LABELS] for box in shown.at.selectbox)
    table = prediction_of(app("what_if", model="file:many", answer="shown"))
    assert all(f"<td>{share:.1%}</td>" in table for share in shares)


def test_no_label_applies(app, served):
    served("none", [-2.0, -2.1], problem_type="multi_label_classification", num_classes=2)
    assert outputs.UNCERTAIN[outputs.LABELS] in prediction_of(app("patches", model="file:none", answer="shown"))
    assert set(chips(app("patches", model="file:none", answer="shown"))) == {"label 0", "label 1"}


def test_plain_numbers_are_called_so(app, served):
    logits = served("plain", [3.25, -700.0], num_classes=2, problem_type="regression").tolist()
    shown = app("prediction", model="file:plain", answer="shown")
    assert shown.wrong == []
    assert chips(shown) == {"output 0": f"{logits[0]:.3g}", "output 1": f"{logits[1]:.3g}"}
    assert outputs.UNIT in prediction_of(shown)
    text = re.sub(r"(?m)^- \*\*.*$", "", shown.text.replace(words.PAGE.formula, ""))  # without the list of terms
    assert "probability" not in text and "called" not in text and common.UNCERTAIN not in prediction_of(shown)
    forming = shown.at.dataframe[0].value
    assert list(forming.columns) == [words.FORMING_TABLE[0], words.FORMING_TABLE[4]]
    assert forming[words.FORMING_TABLE[4]].iloc[-1] == pytest.approx(logits[0], rel=1e-4)
    changed = app("what_if", model="file:plain", what="hide_mean_0-9", answer="shown")
    assert changed.wrong == []
    assert float(metric(changed, outputs.NUMBER_METRIC.format(target="output 0"))) == pytest.approx(logits[0], abs=0.5)
    cells = re.findall(r"<td>([^<]+)</td>", prediction_of(changed))
    assert cells and not any("%" in cell for cell in cells)


def test_features_have_no_classes(app, served):
    served("tower", [0.0] * 7, num_classes=7, problem_type="features")
    for page in ("prediction", "what_if"):
        shown = app(page, model="file:tower")
        assert shown.wrong == []
        assert common.NO_CLASSES.format(count=7) in shown.text and not chips(shown)
        assert "class 3" not in shown.text
    parts = app("prediction", model="file:tower").at.selectbox(key="choice of part")
    assert parts.value == "methods" and len(parts.options) == 3, "no answer forms layer by layer"
    assert any(each.label.startswith("Cosine similarity of") for each in shown.at.metric)
    figure = journey_of(app("start", model="file:tower"))
    body = route.payloads().fetch(figure["features"].rsplit("/", 1)[1])
    pixels = np.asarray(Image.open(io.BytesIO(unpack(gzip.decompress(body))[0]["picture"].tobytes())))
    model = vitviz.load_model(str(served.folder / "tower.safetensors"))
    maps = vitviz.feature_maps(model, vitviz.prepare(model, vitviz.load_sample("motorcycle")).input)
    (colours,) = vitviz.principal_components([maps.facet("token")], 3).colours()
    assert figure["answer"] is None and figure["silent"] == "features"
    np.testing.assert_allclose(pixels / 255, colours, atol=1 / 255)
    assert journey_of(app("start"))["features"] == ""
    tower = app("prediction", model="vit_pe_core_tiny_patch16_384", weights="random", part="methods")
    assert words.SELF_DOT in tower.text and common.NO_CLASSES.format(count=512) in tower.text


@pytest.mark.parametrize("part", PLACES)
@pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
@pytest.mark.long
def test_every_part_opens(app, served, part, kind):
    name = f"each_{kind}"  # loaded models are kept by name
    served(name, [1.5, 0.5], num_classes=2, problem_type=kind)
    shown = app("prediction", model=f"file:{name}", part=part, object="0.1", target="1", against="0")
    assert shown.wrong == []
    worth = app("what_if", model=f"file:{name}", switch="worth", weighed="now")
    assert worth.wrong == []
    (most,) = [each.value for each in worth.at.markdown if each.value.startswith("The most important head here")]
    assert ("%" in most) == (kind != "regression")


def test_a_file_with_values_that_are_not_finite_is_refused_by_name(app, served, tmp_path):
    served("spoilt", [0.0, float("nan")], num_classes=2)
    shown = app("prediction", model="file:spoilt")
    assert len(shown.wrong) == 1 and "head.bias (1 of 2 values)" in shown.wrong[0]
    assert what_if.PAGE.question not in shown.wrong[0]
