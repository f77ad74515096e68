"""What counts as a right answer when the accuracy of the embedded models is measured."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_accuracy.py"
NAN = float("nan")


def test_neither_nan_nor_a_tie_is_a_right_answer():
    places_of = runpy.run_path(str(SCRIPT))["places_of"]
    logits = torch.tensor(
        [
            [0.1, 0.9, 0.3],  # the largest
            [0.1, 0.2, 0.3],  # the second
            [NAN, NAN, NAN],
            [0.1, NAN, 0.3],  # the right one is no number
            [NAN, 0.9, 0.3],  # another is no number, so that nobody knows which would be largest
            [0.5, 0.5, 0.5],
            [0.1, float("inf"), 0.3],
        ]
    )
    assert places_of(logits, torch.ones(len(logits), dtype=torch.int64)).tolist() == [0, 1, 2, 2, 1, 2, 0]
