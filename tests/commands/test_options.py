"""An option that cannot be used is refused, for every command and option; nothing is written then."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.__main__ import main
from vitviz.errors import UnsupportedError
from vitviz.samples import samples

PHOTO = str(samples()[0].path)
SMALL = ["--model", "vit_tiny_patch16_224", "--weights", "random", "--size", "64x96", "--quiet"]
SWIN = ["--model", "swin_tiny_patch4_window7_224", "--weights", "random", "--quiet"]

REFUSED = [
    ("draw --view patches --query cls", "--query"),
    ("draw --view patches --layer 1", "--layer"),
    ("draw --view patches --raw", "--raw"),
    ("draw --view positions --query r0c0 --layer 3", "--query and --layer"),
    ("draw --view positions --raw", "--raw"),
    ("draw --view rollout --layer 3", "--layer"),
    ("draw --view rollout --query r99c99", "outside the grid"),
    ("draw --view rollout --query nonsense", "no token is called"),
    ("draw --view rollout --query pool", "no attention pooling"),
    ("draw --view rollout --query 25", "does not exist"),
    ("draw --view heads --query r99c99", "outside the grid"),
    ("draw --view heads --query nonsense", "no token is called"),
    ("draw --view heads --query pool", "no attention pooling"),
    ("draw --view heads --layer 3 --query r99c99", "no query called"),
    ("draw --view heads --layer 3 --query nonsense", "no query called"),
    ("draw --view heads --layer 3 --query pool", "no query called"),
    ("draw --view heads --layer 12", "--layer is from 0 to 11"),
    ("draw --view heads --layer -1", "--layer is from 0 to 11"),
    ("trace --query r99c99", "outside the grid"),
    ("trace --query nonsense --no-attention", "no token is called"),
    ("trace --query cls+pool", "cannot be mixed"),
    ("trace --query pool", "no attention pooling"),
    ("trace --layers 1 --no-attention", "--layers"),
    ("trace --layers 0,5-2", "not a list of layers"),
    ("trace --layers 0-99999999", "not in a model of 12 layers"),
    ("trace --layers 0-9999999999", "not a list of layers"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_what_cannot_be_honoured_of_one_grid(words, reason, tmp_path, capsys):
    command, *options = words.split()
    out = tmp_path / ("out.npz" if command == "trace" else "out.png")
    try:
        code = main([command, PHOTO, "--out", str(out), *options, *SMALL])
    except SystemExit as stopped:  # wrong usage, said by argparse
        code = stopped.code
    assert code in (1, 2)
    assert reason.lower() in capsys.readouterr().err.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("query", ["r99c99", "nonsense", "pool", "cls"])
@pytest.mark.parametrize("layer", [(), pytest.param(("--layer", "3"), marks=pytest.mark.long)])
def test_a_query_that_no_window_has(query, layer, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert main(["draw", PHOTO, "--view", "heads", "--out", str(out), "--query", query, *layer, *SWIN]) == 1
    assert "no query called" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["models", "--limit", "3"], "--limit"),
        (["models", "--search", "vit", "--limit", "0"], "--limit is at least 1"),
        (["faithfulness", "folder", "--limit", "2", "--seed", "-1"], "--seed is at least 0"),
        (["faithfulness", "folder", "--methods", ""], "no explanation method is called ''"),
        (["faithfulness", "folder", "--integration-most", "16"], "--integration-most"),
        (["support", "vit_tiny_patch16_224", "--write", "page.md", "--layers"], "--layers"),
        (["support", "vit_tiny_patch16_224", "--processes", "0"], "--processes"),
        (["faithfulness", "folder", "--seed", "3"], "--seed"),
        (["faithfulness", "folder", "--methods", "rollout", "--stride", "2"], "--stride"),
        (
            ["faithfulness", "folder", "--methods", "rollout,occlusion", "--integration-steps", "32"],
            "--integration-steps",
        ),
        (
            ["faithfulness", "folder", "--option", "occlusion.stride=4"],
            "--option occlusion.stride: windows of 3 patches",
        ),
        (["faithfulness", "folder", "--option", "integrated_gradients.steps=1"], "at least 2 points, not 1"),
        (
            ["faithfulness", "folder", "--option", "rollout.stride=2"],
            "--option rollout.stride is no option of a method; there are integrated_gradients.steps, "
            "integrated_gradients.most_steps, occlusion.stride",
        ),
        (["faithfulness", "folder", "--option", "nothing.at=2"], "--option nothing.at is no option"),
        (["faithfulness", "folder", "--methods", "rollout", "--option", "occlusion.stride=2"], "not among --methods"),
    ],
)
def test_what_other_commands_cannot_honour(arguments, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["occlusion.stride", "occlusion.stride=two", "stride=2.5", ""])
def test_an_option_that_cannot_be_read(text, capsys):
    with pytest.raises(SystemExit):
        main(["faithfulness", "folder", "--option", text])
    assert "is not METHOD.NAME=VALUE with a whole number" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["faithfulness", "folder", "--stride", text])
    assert f"argument --stride: {text!r} is not a whole number, such as 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ([], {}),
        (["--option", "occlusion.stride=3"], {"occlusion": {"stride": 3}}),
        (["--stride", "3"], {"occlusion": {"stride": 3}}),
        (
            ["--integration-steps", "4", "--option", "integrated_gradients.most_steps=8", "--stride", "1"],
            {"integrated_gradients": {"steps": 4, "most_steps": 8}, "occlusion": {"stride": 1}},
        ),
    ],
)
def test_every_option_of_a_method_can_be_given(given, changed, tmp_path, monkeypatch):
    for number in range(2):
        shutil.copy(PHOTO, tmp_path / f"{number}.jpg")
    seen = []

    def survey(_model, _paths, settings, *_given):
        seen.append(settings.options)
        raise UnsupportedError("enough")

    monkeypatch.setattr("vitviz.survey.faithfulness.survey", survey)
    assert main(["faithfulness", str(tmp_path), "--quiet", "--model", "test_vit", "--weights", "random", *given]) == 1
    usual = {"integrated_gradients": {"steps": 32, "most_steps": 256}, "occlusion": {"stride": 2}}
    assert seen == [usual | changed]


@pytest.mark.parametrize(
    ("query", "layer", "reason"),
    [
        ("cls+r0c0", 0, "cls is not a query in layer 0"),  # the class token joins for the last layers alone
        ("r0c0", 24, "r0c0 is not a query in layer 24"),
        ("r0c0+r1c3", 0, ""),
    ],
)
@pytest.mark.long
def test_a_query_that_does_not_ask_in_the_layer(query, layer, reason, tmp_path, capsys):
    out = tmp_path / "out.png"
    cait = ["--model", "cait_xxs24_224", "--weights", "random", "--quiet"]
    code = main(["draw", PHOTO, "--view", "heads", "--layer", str(layer), "--out", str(out), "--query", query, *cait])
    said = capsys.readouterr()
    assert (code, reason in said.err, out.exists()) == (int(bool(reason)), True, not reason)
    if not reason:
        with Image.open(out) as picture:
            assert f'"query": "{query}"' in str(picture.info)


@pytest.mark.long
def test_a_method_without_an_answer_is_refused_where_it_was_asked_for(tmp_path, capsys):
    for index in range(2):
        noise = np.random.default_rng(index).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{index}.png")
    pvt = ["--model", "pvt_v2_b0", "--weights", "random", "--size", "32", "--steps", "2", "--quiet"]
    keep, out = tmp_path / "areas.jsonl", tmp_path / "table.csv"
    for _ in range(2):  # and where an earlier run kept what there is
        asked = ["faithfulness", str(tmp_path), "--methods", "rollout", "--keep", str(keep), "--out", str(out)]
        assert main([*asked, *pvt]) == 1
        assert "rollout of --methods cannot be used" in capsys.readouterr().err
        assert not out.exists()


def test_without_a_query_the_heads_are_those_of_what_the_output_is_computed_from(tmp_path, capsys):
    out = tmp_path / "out.png"
    for query, asks in (
        ((), "mean"),
        (("--query", "mean"), "mean"),
        (("--query", "r3c5"), "r1c2"),
    ):  # the grid is halved
        assert main(["draw", PHOTO, "--view", "heads", "--layer", "3", "--out", str(out), *query, *SWIN]) == 0
        said = capsys.readouterr().out
        assert ("the mean over all patches" in said) == (asks == "mean")
        with Image.open(out) as picture:
            assert f'"query": "{asks}"' in str(picture.info)


@pytest.mark.long
def test_a_mixture_is_written_as_its_weighted_sum(tmp_path):
    out = tmp_path / "trace.npz"
    assert main(["trace", PHOTO, "--out", str(out), "--query", "cls+r1c2", "--no-attention", *SMALL]) == 0
    model = vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=(64, 96))
    trace = vitviz.trace(model, vitviz.load_image(PHOTO))
    expected = (vitviz.rollout(trace, "cls").values + vitviz.rollout(trace, "r1c2").values) / 2
    with np.load(out) as saved:
        np.testing.assert_allclose(saved["rollout"], expected, atol=1e-6)
