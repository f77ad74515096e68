"""Results of a survey on disk, taken up again and never mixed, and its tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vitviz.analysis.faithfulness import CENTRE, RANDOM
from vitviz.survey.faithfulness import Areas, summary
from vitviz.survey.results import append, comma_separated, markdown, read

SAME = {"dtype": "float32", "steps": 8}


def made(name: str, method: tuple[float, float], random: float, centre: tuple[float, float]) -> Areas:
    return Areas(name, 0, 0.9, {"method": method, CENTRE: centre, RANDOM: (random, random)})


def test_results_are_taken_up_again(tmp_path):
    path = tmp_path / "kept.jsonl"
    assert read(path, SAME) == []
    one, two = made("a", (0.1, 0.2), 1 / 3, (0.4, 0.5)), made("b", (0.6, 0.7), 0.8, (0.9, 1.0))
    append(path, one, SAME)
    append(path, two, SAME)
    assert read(path, SAME) == [one, two]
    with pytest.raises(ValueError, match="other settings \\(dtype float32 and not bfloat16; steps 8 and not None\\)"):
        read(path, {"dtype": "bfloat16"})
    path.write_text("[1]\n" + json.dumps({}) + "\n")
    with pytest.raises(ValueError, match="line 1 of"):
        read(path, SAME)


def test_a_line_cut_off_anywhere_costs_that_image_alone(tmp_path):
    path = tmp_path / "kept.jsonl"
    results = [made(name, (0.1, 0.2), 0.3, (0.4, 0.5)) for name in ("a", "bé", "c", "d")]
    for result in results[:2]:
        append(path, result, SAME)
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for cut in range(second, len(whole)):
        path.write_bytes(whole[:cut])
        assert read(path, SAME) == results[:1]
        append(path, results[2], SAME)
        append(path, results[3], SAME)
        assert read(path, SAME) == [results[0], *results[2:]]


@pytest.mark.parametrize("content", [b"no line at all", b"\xff\xd8\xff\xe0 a photograph", b"one\ntwo"])
def test_a_file_of_another_kind_is_left_as_it_is(content, tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"kept\.jsonl"):
        read(path, SAME)
    with pytest.raises(ValueError, match=r"kept\.jsonl"):
        append(path, made("a", (0.1, 0.2), 0.3, (0.4, 0.5)), SAME)
    assert path.read_bytes() == content


def test_tables_name_who_is_ahead():
    results = [made(str(i), (0.1, 0.9), 0.5, (0.3, 0.6)) for i in range(3)]
    rows = summary(results)
    text = markdown(rows, results)
    assert "| method | 0.100 | 0.900 | +0.400 [+0.400, +0.400] |" in text
    assert text.endswith("3 images. Ahead of both baselines on both curves, every interval above zero: method.")
    heads, first, *_ = comma_separated(rows).splitlines()
    assert len(heads.split(",")) == len(first.split(",")) == 15
    worse = [made(str(i), (0.1, 0.2), 0.5, (0.3, 0.6)) for i in range(3)]
    assert markdown(summary(worse), worse).endswith("no method.")
    gaps = [replace(worse[0], incomplete=("integrated_gradients",)), *worse[1:]]
    assert "integrated_gradients do not add up within 5% of the score difference on 1 of them" in markdown(
        summary(gaps), gaps
    )
