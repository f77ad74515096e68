"""The measurements of the model card: each number against one worked out by hand, and a folder measured from end to end."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vitviz.assets import asset_path
from vitviz.models import embedded
from vitviz.outputs import OOD_SCORES, OODDetector
from vitviz.samples import samples

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_models.py"


@pytest.fixture(scope="module")
def measuring():
    spec = importlib.util.spec_from_file_location("measure_models", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure_models"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["measure_models"]


def test_the_right_class_among_the_first(measuring):
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [math.nan, 0.0, 0.0]])
    targets = torch.tensor([0, 2, 0])
    assert measuring.top(logits, targets, 1).tolist() == [True, False, False]  # not-a-number is never right
    assert measuring.top(logits, targets, 3).tolist() == [True, True, False]


def test_calibration_error_by_hand(measuring):
    # Two answers with confidence 0.9, one of them right; two with 0.6, both right: 0.5 * |0.9 - 0.5| + 0.5 * |0.6 - 1|
    logits = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]]).log()
    assert measuring.calibration_error(logits, torch.tensor([0, 1, 0, 0])) == pytest.approx(0.4, abs=1e-5)


def test_the_temperature_that_made_the_labels_is_found(measuring):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 10, generator=generator) * 4
    targets = torch.multinomial((logits / 2.5).softmax(-1), 1, generator=generator)[:, 0]
    assert measuring.fit_temperature(logits, targets) == pytest.approx(2.5, rel=0.05)


def test_area_under_roc_by_hand(measuring):
    assert measuring.area_under_roc(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])) == pytest.approx(2.5 / 4)


def test_halves_are_disjoint_and_do_not_depend_on_order(measuring):
    files = [f"{number}.jpg" for number in range(200)]
    first = {file for file in files if measuring.in_first_half(file)}
    assert 70 < len(first) < 130
    assert first == {file for file in reversed(files) if measuring.in_first_half(file)}


@pytest.mark.parametrize("name", OOD_SCORES)
def test_out_of_distribution_scores_against_numpy(name):
    logits = np.array([2.0, -1.0, 0.5])
    chances = np.exp(logits) / np.exp(logits).sum()
    expected = {
        "largest probability": chances.max(),
        "largest logit": 2.0,
        "log of the sum of exponentials": math.log(np.exp(logits).sum()),
        "largest logit less the mean": 2.0 - logits.mean(),
        "negative entropy": (chances * np.log(chances)).sum(),
    }[name]
    given = torch.tensor(logits)
    assert float(OOD_SCORES[name](given)) == pytest.approx(expected)
    assert OODDetector(name, expected + 0.01).is_ood(given) and not OODDetector(name, expected - 0.01).is_ood(given)


def test_the_card_shows_what_was_measured(measuring):
    card = asset_path("models", "README.md").read_text(encoding="utf-8")
    shown = card.partition(measuring.BEGIN)[2].partition(measuring.END)[0].strip()
    assert shown == measuring.tables(dict(embedded.measured())).strip()
    for stem, found in embedded.measured().items():
        assert found["weights"] == embedded.embedded_config(stem).sha256, "measured on other weights"
        for name, rows in found["accuracy"].items():
            assert found["bounds"][name]["top1"] < rows[0]["top1"]


@pytest.fixture
def gallery(tmp_path):
    """The gallery as a folder of labelled photographs."""
    folder = tmp_path / "everyday"
    folder.mkdir()
    names = {"motorcycle": "motorbike", "coffee": "espresso", "panda": "panda"}
    with (folder / "labels.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(("file", "class"))
        for sample in samples():
            if sample.id in names:
                (folder / sample.file).write_bytes(sample.path.read_bytes())
                rows.writerow((sample.file, names[sample.id]))
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.long
def test_a_folder_is_held_to_the_card(gallery):
    held = run(gallery, "--check")
    assert held.returncode == 0, held.stderr
    assert f"{embedded.VIT} on everyday: top1 1.000" in held.stdout
    labels = (gallery / "labels.csv").read_text()
    (gallery / "labels.csv").write_text(
        labels.replace("motorbike", "piano").replace("espresso", "piano").replace(",panda", ",piano")
    )
    worse = run(gallery, "--check")
    assert worse.returncode != 0
    assert "WORSE" in worse.stdout


@pytest.mark.long
def test_a_class_that_the_model_lacks_is_named(gallery):
    (gallery / "labels.csv").write_text("file,class\npanda.jpg,giant panda\n")
    result = run(gallery, "--check")
    assert result.returncode != 0
    assert "'giant panda'" in result.stderr and "--map" in result.stderr
    (gallery / "map.tsv").write_text("giant panda\tpanda\n")
    mapped = run(gallery, "--check", "--map", f"everyday={gallery / 'map.tsv'}")
    assert "top1 1.000" in mapped.stdout, mapped.stderr


def test_measured_numbers_are_numbers(measuring):
    """Python's own reader takes NaN and infinities, which no other reader of JSON does."""
    assert json.dumps(dict(embedded.measured()), allow_nan=False)
