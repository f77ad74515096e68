"""What the microscope says, under Node.js: names, values and ranks of the weights that Python computes."""

from __future__ import annotations

import pytest

from tests.browser.microscope_cases import CASES
from tests.frontend.conftest import Run
from vitviz.ui.pages.microscope.text import MICROSCOPE

IMPORTS = """import { decode } from "./data/source.js";
import { AttentionMaps, LayerWeights } from "./core/weights.js";
import { Words } from "./core/words.js";
"""


def named(layout, token: int) -> str:
    if (cell := layout.cell_of(token)) is not None:
        return MICROSCOPE["patch"].format(row=cell[0], col=cell[1])
    name = layout.name_of(token)
    return MICROSCOPE["register"].format(index=name[3:]) if name.startswith("reg") else MICROSCOPE["cls"]


@pytest.mark.parametrize("head", [3, "mean"])
def test_the_strongest_and_the_rank_are_those_of_the_weights(run: Run, head: int | str) -> None:
    case = CASES["registers"]
    layout, source, target = case.layout, 40, 2
    body = """
    const words = new Words(given.sentences);
    const view = { direction: 'at', measure: 'weight', scale: 'robust', shared: false };
    const answer = new AttentionMaps(new LayerWeights(decode(buffers[0])), given.source, view);
    return [words.strongest(answer, given.head), words.value(answer, given.head, given.target),
      words.alternative(answer, { ...view, head: given.head, layer: 1 }, true)];"""
    given = {"source": source, "target": target, "head": head, "sentences": dict(MICROSCOPE)}
    strongest, value, alternative = run(IMPORTS, body, case.payload(1), **given)
    weights = case.layer(1).row(source)  # (heads, keys)
    row = weights.mean(0) if head == "mean" else weights[head]
    whose = MICROSCOPE["mean"] if head == "mean" else MICROSCOPE["head"].format(head=head)
    places = [strongest.index(f"{named(layout, token)} (") for token in row.topk(3).indices.tolist()]
    assert places == sorted(places)
    assert whose in strongest
    rank = 1 + int((row > row[target]).sum())
    assert f"{named(layout, target)}: " in value
    assert f"rank {rank} of {layout.num_tokens}" in value
    assert "16 rows and 16 columns" in alternative
    assert named(layout, source) in alternative
