"""The command line as a user types it: what it writes, what it says when it cannot."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.__main__ import main
from vitviz.commands.options import size
from vitviz.commands.trace import layer_list
from vitviz.samples import samples

PHOTO = str(samples()[0].path)
SMALL = ["--model", "vit_tiny_patch16_224", "--weights", "random", "--size", "64x96", "--quiet"]


def test_trace_writes_what_the_library_computes(tmp_path, capsys):
    out = tmp_path / "trace.npz"
    assert main(["trace", PHOTO, "--out", str(out), "--quiet"]) == 0
    assert "attention 12x6x257x257" in capsys.readouterr().out
    model = vitviz.load_model("embedded")
    trace = vitviz.trace(model, vitviz.load_image(PHOTO))
    with np.load(out, allow_pickle=False) as saved:
        assert saved["attention"].dtype == np.float32
        np.testing.assert_allclose(saved["attention"][7], trace.layers[7].weights(), atol=1e-6)
        np.testing.assert_allclose(saved["rollout"], vitviz.rollout(trace).values, atol=1e-7)
        for method in ("last_hop", "leave_one_in"):
            expected = vitviz.head_rollout(trace, 3, 2, method).values
            np.testing.assert_allclose(saved[f"head_rollout_{method}"][3, 2], expected, atol=1e-7)
        np.testing.assert_allclose(saved["position_similarity"], vitviz.position_similarity(model, trace.layout))
        np.testing.assert_array_equal(saved["logits"], trace.logits)
        assert saved["grid"].tolist() == [16, 16]
        assert saved["prefix"].tolist() == ["cls"]


@pytest.mark.long
def test_a_trace_says_where_it_comes_from(tmp_path):
    out = tmp_path / "trace.npz"
    more = ["--query", "r1c2", "--dtype", "bfloat16", "--framing", "squash", "--no-attention"]
    assert main(["trace", PHOTO, "--out", str(out), *SMALL, *more]) == 0
    with np.load(out, allow_pickle=False) as saved:
        made = json.loads(str(saved["vitviz.provenance"]))
    assert made == {
        "model": "vit_tiny_patch16_224",
        "weights_hash": "random:0",
        "image_hash": vitviz.image_hash(vitviz.load_image(PHOTO)),
        "input_size": [64, 96],
        "framing": "squashed to fit",
        "dtype": "bfloat16",
        "query": "r1c2",
        "method": "trace",
        "version": vitviz.__version__,
    }
    assert main(["trace", PHOTO, "--out", str(out), *SMALL, "--no-attention"]) == 0
    with np.load(out, allow_pickle=False) as saved:
        assert json.loads(str(saved["vitviz.provenance"]))["query"] == "cls"


def test_fewer_layers_or_no_attention(tmp_path):
    out = tmp_path / "trace.npz"
    assert main(["trace", PHOTO, "--out", str(out), "--layers", "1,9-11", *SMALL]) == 0
    with np.load(out) as saved:
        assert saved["layers"].tolist() == [1, 9, 10, 11]
        assert saved["attention"].shape == (4, 3, 25, 25)
        assert saved["head_rollout_last_hop"].shape == (12, 3, 4, 6)
    assert main(["trace", PHOTO, "--out", str(out), "--no-attention", *SMALL]) == 0
    with np.load(out) as saved:
        assert "attention" not in saved
        assert saved["rollout"].shape == (4, 6)


def test_a_stack_too_large_is_refused_with_its_size(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vitviz.commands.trace.LARGEST_STACK", 10_000)
    assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), *SMALL]) == 1
    error = capsys.readouterr().err
    assert "12 layers with 3 heads and 25 tokens" in error
    assert "--layers" in error
    assert "--no-attention" in error
    assert not (tmp_path / "t.npz").exists()


@pytest.mark.long
def test_what_is_not_defined_is_left_out_and_said(tmp_path, capsys):
    out = tmp_path / "trace.npz"
    model = ["--model", "vit_small_patch16_dinov3", "--weights", "random", "--size", "64", "--quiet"]
    assert main(["trace", PHOTO, "--out", str(out), *model]) == 0
    assert "position_similarity left out" in capsys.readouterr().err
    with np.load(out) as saved:
        assert "position_similarity" not in saved
        assert saved["prefix"].tolist() == ["cls", "reg0", "reg1", "reg2", "reg3"]


WINDOWED = ["--model", "swin_tiny_patch4_window7_224", "--weights", "random", "--quiet"]


@pytest.mark.parametrize(
    "view", [["heads", "--query", "r9c20"], ["heads", "--layer", "5"], ["positions"], ["patches"]], ids=" ".join
)
@pytest.mark.long
def test_a_model_of_windows_and_stages_is_drawn_layer_by_layer(view, tmp_path):
    out = tmp_path / "figure.png"
    assert main(["draw", PHOTO, "--view", *view, "--out", str(out), *WINDOWED]) == 0
    with Image.open(out) as picture:
        assert picture.width > 300


@pytest.mark.long
def test_what_a_model_of_windows_does_not_have_is_said(tmp_path, capsys):
    out = str(tmp_path / "figure.png")
    assert main(["draw", PHOTO, "--view", "rollout", "--out", out, *WINDOWED]) == 1
    assert "--view heads" in capsys.readouterr().err
    assert main(["draw", PHOTO, "--view", "heads", "--layer", "12", "--out", out, *WINDOWED]) != 0
    assert "from 0 to 11" in capsys.readouterr().err
    assert main(["trace", PHOTO, "--out", str(tmp_path / "trace.npz"), *WINDOWED]) == 1
    assert "vitviz.trace" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("view", ["rollout", "heads", "positions", "patches"])
def test_every_view_is_drawn(view, tmp_path):
    out = tmp_path / "figure.png"
    assert main(["draw", PHOTO, "--view", view, "--out", str(out), "--dark", *SMALL]) == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width > 300
        assert "vit_tiny_patch16_224" in picture.text["Comment"]


REFUSED = [
    (["trace", "no-such-file.jpg", "--out", "x.npz"], "no-such-file.jpg"),
    (["trace", __file__, "--out", "x.npz"], "not a picture"),
    (["trace", PHOTO, "--out", "x.npz", "--model", "vit_tinny_patch16_224"], "vit_tiny_patch16_224"),
    (["trace", PHOTO, "--out", "x.npz", "--layers", "0-99", *SMALL], "12 layers"),
    (["trace", PHOTO, "--out", "x.npz", "--layers", "two", *SMALL], "0-2,11"),
    (["trace", PHOTO, "--out", "no/such/folder/x.npz", *SMALL], "No such file"),
    (["draw", PHOTO, "--view", "rollout", "--out", "x.png", "--query", "r99c0", *SMALL], "outside the grid"),
    (["draw", PHOTO, "--view", "rollout", "--out", "x.png", "--width", "7", *SMALL], "100 to 4000"),
    (["models", "--search", "zzzzzz"], "Try a shorter word"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_errors_are_one_line_and_exit_code_one(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vitviz: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_exit_code_two():
    for arguments in (
        [],
        ["trace"],
        ["draw", PHOTO, "--view", "nose", "--out", "x.png"],
        ["trace", PHOTO, "--out", "x", "--size", "big"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_models_are_listed_and_searched(capsys):
    assert main(["models"]) == 0
    assert "dinov2" in capsys.readouterr().out
    assert main(["models", "--search", "dinov2", "--limit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("dinov2" in line for line in lines)


def test_python_m_vitviz_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "vitviz", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == f"vitviz {vitviz.__version__}"


def test_sizes_and_layer_lists_are_read():
    assert size("448") == (448, 448)
    assert size("224x448") == (224, 448)
    assert layer_list("3,0-1,1", 12) == [0, 1, 3]
    assert layer_list(None, 2) == [0, 1]
