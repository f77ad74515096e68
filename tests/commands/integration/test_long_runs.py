"""A run that takes long: its cost is said first, what cannot end well does not start, and stopping it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitviz.__main__ import main
from vitviz.capture import cost
from vitviz.commands.options import whole_file
from vitviz.samples import samples

PHOTO = str(samples()[0].path)
SMALL = ["--model", "vit_tiny_patch16_224", "--weights", "random", "--size", "64x96"]


@pytest.fixture
def long_already(monkeypatch):
    monkeypatch.setattr("vitviz.commands.options.LONG", 10)


@pytest.fixture
def no_pass(monkeypatch):
    monkeypatch.setattr("vitviz.tracing.trace_input", lambda *_, **__: pytest.fail("the pass ran"))


def test_the_cost_is_said_before_a_long_run(tmp_path, capsys, long_already):
    assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), *SMALL]) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert "25 tokens" in said
    assert "forward pass" in said
    assert "GB of memory" in said
    assert "an estimate" in said


def test_nothing_is_said_of_a_short_run_or_where_quiet_was_asked_for(tmp_path, capsys, monkeypatch):
    assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), *SMALL]) == 0
    monkeypatch.setattr("vitviz.commands.options.LONG", 10)
    assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), *SMALL, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_into_memory_does_not_start(tmp_path, capsys, monkeypatch, long_already, no_pass):
    monkeypatch.setattr(cost, "free_memory", lambda _: 1000)
    assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), *SMALL, "--quiet"]) == 1
    assert "smaller input size" in capsys.readouterr().err


@pytest.mark.parametrize(("layers", "refused"), [("0-11", True), ("3", False)])
def test_a_stack_too_large_is_refused_before_the_pass(layers, refused, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vitviz.commands.trace.LARGEST_STACK", 4 * 3 * 25 * 25)
    code = main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), "--layers", layers, *SMALL])
    assert code == int(refused)
    if refused:
        monkeypatch.setattr("vitviz.tracing.trace_input", lambda *_, **__: pytest.fail("the pass ran"))
        assert main(["trace", PHOTO, "--out", str(tmp_path / "t.npz"), "--layers", layers, *SMALL]) == 1
        assert "12 layers with 3 heads and 25 tokens" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_the_pass(tmp_path, capsys, no_pass):
    for command in (["trace"], ["draw", "--view", "rollout"]):
        out = str(tmp_path / "no" / "such" / "file.npz")
        assert main([command[0], PHOTO, *command[1:], "--out", out, *SMALL]) == 1
        assert "No such file" in capsys.readouterr().err


def test_similarity_of_too_many_patches_is_left_out_and_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vitviz.analysis.positions.LARGEST", 100)
    out = tmp_path / "t.npz"
    assert main(["trace", PHOTO, "--out", str(out), *SMALL]) == 0
    assert "position_similarity left out: The similarity of 24 positions" in capsys.readouterr().err
    with np.load(out) as saved:
        assert "position_similarity" not in saved
        assert "rollout" in saved


STOPPED_IN = ["vitviz.tracing.record", "vitviz.analysis.rollout.left_multiply_head_fused", "numpy.savez_compressed"]


@pytest.mark.parametrize("place", STOPPED_IN)
def test_stopping_leaves_nothing_half_written(place, tmp_path, monkeypatch, capsys):
    def stop(*given, **_):
        if hasattr(given[0], "write"):
            given[0].write(b"PK half a file")
        raise KeyboardInterrupt

    out = tmp_path / "t.npz"
    out.write_bytes(b"what was there before")
    monkeypatch.setattr(place, stop)
    assert main(["trace", PHOTO, "--out", str(out), *SMALL]) == 130
    assert capsys.readouterr().err.endswith("stopped\n")
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]
    assert out.read_bytes() == b"what was there before"


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with whole_file(str(tmp_path / "link")) as part:
        part.write_text("after")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "after"
    with whole_file("/dev/null") as part:
        part.write_text("nowhere")
    assert not Path("/dev/null").is_file()
    with pytest.raises(IsADirectoryError), whole_file(str(tmp_path)):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_the_page_of_verdicts_is_whole_or_what_it_was(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before")

    def stop(_supports):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitviz.support.registry.write_page", stop)
    assert main(["support", "vit_tiny_patch16_224", "--write", str(page)]) == 130
    assert page.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
