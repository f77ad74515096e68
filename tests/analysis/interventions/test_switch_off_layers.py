"""Layers switched off against blocks that return their input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.analysis.interventions.edits import answer, made, plainly
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import SwitchOffLayers


class HandOn(nn.Module):
    def forward(self, x, *_args, **_kwargs):
        return x


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_layers_switched_off_hand_on_what_they_get(family):
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    edited.blocks[1] = HandOn()
    torch.testing.assert_close(answer(model, x, SwitchOffLayers((1,))), plainly(edited, x))
