"""Shuffled patches against pixels that changed places."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.interventions.edits import (
    AVERAGING,
    PLAIN,
    REGISTERS,
    SIGLIP,
    answer,
    by_loop,
    far,
    made,
    plainly,
)
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import ShufflePatches
from vitviz.analysis.interventions.shuffle_patches import permutation


@pytest.mark.parametrize(
    "family", [PLAIN, SIGLIP, AVERAGING, REGISTERS, *[f for f in FAMILIES if "relpos_small" in f.architecture]], ids=str
)
def test_shuffled_patches_changed_places(family):
    model, x = made(family)
    order = permutation(model.layout, 7)
    places = list(by_loop(x, model.layout))
    edited = x.clone()
    for place, source in enumerate(order):
        edited[:, :, *places[place]] = x[:, :, *places[source]]
    assert far(edited, x)
    torch.testing.assert_close(answer(model, x, ShufflePatches(7)), plainly(model.module, edited))
