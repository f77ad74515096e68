"""The survey over a folder: its statistics against slow counting, its table, its files, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitviz.__main__ import main
from vitviz.analysis.faithfulness import CENTRE, RANDOM
from vitviz.errors import ImageError
from vitviz.models import load_model
from vitviz.survey.bootstrap import mean_interval
from vitviz.survey.faithfulness import Areas, Settings, areas_of, summary, survey
from vitviz.survey.folder import image_paths
from vitviz.survey.results import append, comma_separated, markdown, read


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


FEW = Settings(("attention", "relevance"), steps=2, seeds=2)


def made(name: str, method: tuple[float, float], random: float, centre: tuple[float, float]) -> Areas:
    return Areas(name, 0, 0.9, {"method": method, CENTRE: centre, RANDOM: (random, random)})


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


def test_results_are_taken_up_again(tmp_path):
    path = tmp_path / "kept.jsonl"
    assert read(path, "s") == []
    one, two = made("a", (0.1, 0.2), 0.3, (0.4, 0.5)), made("b", (0.6, 0.7), 0.8, (0.9, 1.0))
    append(path, one, "s")
    append(path, two, "s")
    assert read(path, "s") == [one, two]
    with path.open("a") as file:
        file.write('{"image": "c", "set')  # the run was stopped while it wrote
    assert read(path, "s") == [one, two]
    with pytest.raises(ValueError, match="other settings"):
        read(path, "t")
    path.write_text("[1]\n" + json.dumps({}) + "\n")
    with pytest.raises(ValueError, match="line 1 of"):
        read(path, "s")


def test_tables_name_who_is_ahead():
    rows = summary([made(str(i), (0.1, 0.9), 0.5, (0.3, 0.6)) for i in range(3)])
    text = markdown(rows, 3)
    assert "| method | 0.100 | 0.900 | +0.400 [+0.400, +0.400] |" in text
    assert text.endswith("3 images. Ahead of both baselines on both curves, every interval above zero: method.")
    heads, first, *_ = comma_separated(rows).splitlines()
    assert len(heads.split(",")) == len(first.split(",")) == 15
    assert markdown(summary([made(str(i), (0.1, 0.2), 0.5, (0.3, 0.6)) for i in range(3)]), 3).endswith("no method.")


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
    assert [result.image for result in found] == ["a.png", "b.png", "c.png"]
    assert [name for name, _ in skipped] == ["broken.jpg"]
    assert set(found[0].areas) == {"attention", "relevance", CENTRE, RANDOM}
    assert found[0].areas[RANDOM][0] == pytest.approx(found[0].areas[RANDOM][1])
    again = areas_of(model, folder / "a.png", FEW)
    for name, areas in again.areas.items():
        assert areas == pytest.approx(found[0].areas[name])
    with pytest.raises(ImageError):
        list(survey(model, [folder / "broken.jpg"], FEW))


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
    assert len(lines) == 3
    kept.write_text("\n".join(lines[:2]) + "\n")
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0:3] == first.out.splitlines()[0:3]
    assert len(kept.read_text().splitlines()) == 3


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
