"""What the command line writes and says of outputs that are no softmax, and of weights that are not finite."""

from __future__ import annotations

import json

import numpy as np
import torch
from safetensors.torch import save_file

from vitviz.__main__ import main
from vitviz.models.registry import build
from vitviz.samples import samples

PHOTO = str(samples()[0].path)


def checkpoint(folder, bias, **fields) -> str:
    module = build("test_vit", seed=2, num_classes=len(bias))
    with torch.no_grad():
        module.head.weight.zero_()
        module.head.bias.copy_(torch.tensor(bias))
    path = folder / "own.safetensors"
    save_file(module.state_dict(), path)
    path.with_suffix(".json").write_text(json.dumps({"architecture": "test_vit", **fields}), encoding="utf-8")
    return str(path)


def traced(tmp_path, bias, **fields) -> dict[str, np.ndarray]:
    out = tmp_path / "trace.npz"
    model = checkpoint(tmp_path, bias, **fields)
    assert main(["trace", PHOTO, "--model", model, "--out", str(out), "--no-attention", "--quiet"]) == 0
    with np.load(out, allow_pickle=False) as saved:
        return dict(saved)


def test_a_trace_says_what_its_logits_are(tmp_path):
    labels = traced(tmp_path, [-4.54, 2.44], num_classes=2, problem_type="multi_label_classification")
    assert str(labels["output_kind"]) == "multi_label_classification"
    np.testing.assert_allclose(labels["probabilities"], [0.0106, 0.9198], atol=1e-4)
    numbers = traced(tmp_path, [3.25], num_classes=1, problem_type="regression")
    assert str(numbers["output_kind"]) == "regression" and "probabilities" not in numbers
    np.testing.assert_allclose(numbers["logits"], [3.25])


def test_weights_that_are_not_finite_are_one_sentence(tmp_path, capsys):
    model = checkpoint(tmp_path, [0.0, float("nan")], num_classes=2)
    out = str(tmp_path / "figure.png")
    assert main(["draw", PHOTO, "--view", "rollout", "--model", model, "--out", out, "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "in 1 of" in said and "head.bias (1 of 2 values)" in said and said.count("\n") == 1


def test_a_survey_of_plain_numbers_follows_them(tmp_path, capsys):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(2):
        noise = np.random.default_rng(index).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index}.png")
    model = checkpoint(tmp_path, [3.25, 9.0], num_classes=2, problem_type="regression")
    keep = tmp_path / "areas.jsonl"
    asked = ["--methods", "rollout", "--steps", "2", "--model", model, "--keep", str(keep), "--quiet"]
    assert main(["faithfulness", str(folder), *asked]) == 0
    for line in map(json.loads, keep.read_text().splitlines()):
        if "likelihood" in line:
            assert (line["predicted"], line["likelihood"]) == (0, 3.25)  # whatever is hidden, the head says the same
            assert line["areas"]["rollout"] == [3.25, 3.25]
