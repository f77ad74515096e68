"""The survey over a folder: its statistics against slow counting, its folder, and the command."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.survey.test_results import made
from vitviz.__main__ import main
from vitviz.analysis.faithfulness import CENTRE, RANDOM
from vitviz.errors import ImageError
from vitviz.models import load_model
from vitviz.survey.faithfulness import (
    Areas,
    SurveySettings,
    areas_of,
    image_paths,
    made_with,
    mean_interval,
    summary,
    survey,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three images of different shapes, one of them in a subfolder, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    (folder / "more").mkdir()
    for name, size in (("a.png", (40, 60)), ("b.png", (64, 64)), ("more/c.png", (50, 30))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


@pytest.fixture(scope="module")
def model():
    return load_model("vit_tiny_patch16_224", weights="random", input_size=(64, 64))


FEW = SurveySettings(("attention", "relevance"), steps=2, seeds=2)


def test_an_interval_is_the_percentile_of_resampled_means():
    values = np.random.default_rng(3).normal(0.3, 1, 60)
    found = mean_interval(values)
    rng = np.random.default_rng(9)
    means = [values[rng.integers(0, 60, 60)].mean() for _ in range(20_000)]
    assert found.mean == pytest.approx(values.mean())
    np.testing.assert_allclose((found.low, found.high), np.percentile(means, (2.5, 97.5)), atol=0.02)
    assert found.above_zero == (found.low > 0)
    assert mean_interval(np.full(5, 0.25)).low == 0.25
    with pytest.raises(ValueError, match="at least two images"):
        mean_interval(np.array([1.0]))


def test_differences_are_paired_and_positive_where_the_method_is_better():
    results = [made(str(i), (0.2 + i / 10, 0.7 + i / 10), 0.5 + i / 10, (0.1 + i / 10, 0.6 + i / 10)) for i in range(4)]
    row = summary(results)[0]
    assert row.deletion == pytest.approx(0.35)
    for key, expected in {
        (RANDOM, "deletion"): 0.3,
        (RANDOM, "insertion"): 0.2,
        (CENTRE, "deletion"): -0.1,
        (CENTRE, "insertion"): 0.1,
    }.items():
        # what differs between images cancels, so that the interval has no width
        interval = row.ahead[key]
        assert (interval.mean, interval.low, interval.high) == pytest.approx((expected, expected, expected))
    assert not row.ahead_of_all
    assert summary([made(str(i), (0.0, 0.9), 0.5, (0.1, 0.6)) for i in range(3)])[0].ahead_of_all
    assert all(not baseline.ahead for baseline in summary(results)[1:])


def test_an_order_that_an_image_lacks_is_compared_where_it_is():
    whole = [made(str(i), (0.2, 0.7), 0.5, (0.1, 0.6)) for i in range(3)]
    part = Areas("x", 0, 0.9, {CENTRE: (9.0, 9.0), RANDOM: (9.0, 9.0)})
    rows = {row.name: row for row in summary([*whole, part])}
    assert rows["method"].ahead[RANDOM, "deletion"].mean == pytest.approx(0.3)
    assert rows[RANDOM].deletion == pytest.approx((3 * 0.5 + 9) / 4)


def test_whatever_changes_a_result_is_written_beside_it(model):
    """Every field of settings, options of methods, preprocessing and model, changed alone, makes a difference."""
    known = made_with(model, FEW)
    others = [
        *(
            replace(FEW, **change)
            for change in (
                {"methods": ("attention",)},
                {"steps": 4},
                {"seeds": 3},
                {"framing": "squash"},
                *(
                    {"options": {**FEW.options, key: {**options, name: value + 1}}}
                    for key, options in FEW.options.items()
                    for name, value in options.items()
                ),
            )
        ),
    ]
    assert {field.name for field in fields(SurveySettings)} == {"methods", "steps", "seeds", "framing", "options"}
    for settings in others:
        assert made_with(model, settings) != known
    preprocessing = {
        "mean": (0, 0, 0),
        "std": (1, 1, 2),
        "interpolation": "nearest",
        "crop_fraction": 0.5,
        "framing": "squash",
        "crop_rounding": "down",
    }
    assert set(preprocessing) == {field.name for field in fields(model.preprocessing)}
    for name, value in preprocessing.items():
        other = replace(model, preprocessing=replace(model.preprocessing, **{name: value}))
        assert made_with(other, FEW) != known
    half = replace(model, module=copy.deepcopy(model.module).bfloat16())
    long_hash = replace(model, weights_hash=model.weights_hash + "23")
    for other in (
        half,
        long_hash,
        replace(model, input_size=(64, 96)),
        replace(model, architecture="vit_small_patch16_224"),
    ):
        assert made_with(other, FEW) != known
    assert json.loads(json.dumps(known)) == known


def test_images_come_in_the_same_order_every_time(folder):
    assert [path.name for path in image_paths(folder)] == ["a.png", "b.png", "broken.jpg", "c.png"]
    drawn = image_paths(folder, seed=1)
    assert drawn == image_paths(folder, seed=1)
    assert image_paths(folder, 2, seed=1) == drawn[:2]
    with pytest.raises(ImageError, match="not a folder"):
        image_paths(folder / "a.png")
    with pytest.raises(ImageError, match="no image in"):
        image_paths(Path(__file__).parent)


def test_images_are_streamed_and_what_is_no_image_is_told(folder, model):
    skipped = []
    found = list(survey(model, image_paths(folder), FEW, lambda path, error: skipped.append((path.name, str(error)))))
    assert [result.image for result in found] == [
        (folder / name).as_posix() for name in ("a.png", "b.png", "more/c.png")
    ]
    assert [name for name, _ in skipped] == ["broken.jpg"]
    assert set(found[0].areas) == {"attention", "relevance", CENTRE, RANDOM}
    assert found[0].areas[RANDOM][0] == pytest.approx(found[0].areas[RANDOM][1])
    again = areas_of(model, folder / "a.png", FEW)
    for name, areas in again.areas.items():
        assert areas == pytest.approx(found[0].areas[name])
    with pytest.raises(ImageError):
        list(survey(model, [folder / "broken.jpg"], FEW))


@pytest.mark.long
def test_the_command_writes_a_table_and_goes_on_where_it_stopped(folder, tmp_path, capsys):
    kept, out = tmp_path / "kept.jsonl", tmp_path / "table.csv"
    arguments = ["faithfulness", str(folder), "--model", "vit_tiny_patch16_224", "--weights", "random", "--size", "64"]
    arguments += ["--methods", "attention,legrad", "--steps", "2", "--keep", str(kept), "--out", str(out), "--quiet"]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "3 images." in first.out
    assert "broken.jpg left out" in first.err
    assert out.read_text().startswith("order,deletion,insertion")
    lines = kept.read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == ["a.png", "b.png", "more/c.png"]
    kept.write_text("\n".join(lines[1:]) + "\n" + lines[0][:40])  # stopped while it wrote
    assert main(arguments) == 0
    assert capsys.readouterr().out == first.out  # to the last digit, whatever came first
    assert len(kept.read_text().splitlines()) == 3
    for other in (["--methods", "attention"], ["--dtype", "bfloat16"], ["--steps", "3"], ["--size", "32"]):
        assert main([*arguments, *other]) == 1
        assert "other settings" in capsys.readouterr().err


def command(folder: Path, *more: str) -> list[str]:
    own = [
        "--model",
        "vit_tiny_patch16_224",
        "--weights",
        "random",
        "--size",
        "32",
        "--methods",
        "attention",
        "--steps",
        "2",
    ]
    return ["faithfulness", str(folder), *own, "--quiet", *more]


def test_two_images_of_one_name_in_two_folders_are_two_images(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("cat/001.png", "cat/002.png", "dog/001.png", "dog/002.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    kept = tmp_path / "kept.jsonl"
    arguments = command(tmp_path / "images", "--keep", str(kept))
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "4 images." in first
    kept.write_text("".join(kept.read_text().splitlines(keepends=True)[:2]))  # those of one folder
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert len(kept.read_text().splitlines()) == 4
    # another picture under a name that is known is another image
    Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / "cat" / "001.png")
    assert main(arguments) == 0
    assert len(kept.read_text().splitlines()) == 5
    assert capsys.readouterr().out != first


@pytest.mark.parametrize("readable", [0, 1])
def test_a_folder_that_cannot_be_read_is_an_error(readable, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "images" / name).write_bytes(b"no image")
    if readable:
        Image.new("RGB", (32, 32), "red").save(tmp_path / "images" / "d.png")
    out = tmp_path / "table.csv"
    assert main(command(tmp_path / "images", "--out", str(out))) == 1
    said = capsys.readouterr()
    assert f"{readable or 'None'} of the {3 + readable} files" in said.err
    assert said.out == "" and not out.exists()


def test_what_cannot_be_written_is_found_before_the_run(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vitviz.commands.faithfulness.loaded_model", lambda *_: pytest.fail("the run began"))
    (tmp_path / "taken").mkdir()
    missing, taken, file = str(tmp_path / "no" / "file.csv"), str(tmp_path / "taken"), str(tmp_path / "f")
    for options in (
        ["--out", missing],
        ["--keep", missing],
        ["--out", taken],
        ["--keep", taken],
        ["--out", file, "--keep", file],
    ):
        assert main(command(folder, *options)) == 1
        assert capsys.readouterr().err.startswith("vitviz: ")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_one_image_is_too_few_before_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vitviz.commands.faithfulness.loaded_model", lambda *_: pytest.fail("the run began"))
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert main(command(tmp_path)) == 1
    assert "at least two" in capsys.readouterr().err


def test_a_table_that_was_there_stays_until_the_new_one_is_whole(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "table.csv"
    out.write_text("what was there before")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitviz.survey.results.comma_separated", stop)
    assert main(command(folder, "--out", str(out))) == 130
    assert out.read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "magic"], "no explanation method is called 'magic'"),
        (["--steps", "1"], "at least 2"),
        (["--limit", "1"], "at least 2"),
    ],
)
def test_a_wrong_wish_is_one_sentence(folder, arguments, words, capsys):
    assert main(["faithfulness", str(folder), "--model", "vit_tiny_patch16_224", *arguments]) == 1
    assert words in capsys.readouterr().err
