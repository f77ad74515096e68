"""Interventions: changes to a forward pass, which can be combined, written as text and applied.

One file for each kind of intervention. All files of this package are imported, which registers each kind by its code.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from vitviz.analysis.interventions.application import Effect, effect, intervene
from vitviz.analysis.interventions.base import Intervention
from vitviz.analysis.interventions.change_positions import ChangePositions
from vitviz.analysis.interventions.cut_tokens import CutTokens
from vitviz.analysis.interventions.hide_patches import HidePatches
from vitviz.analysis.interventions.shuffle_patches import ShufflePatches
from vitviz.analysis.interventions.switch_off_heads import HeadMeans, SwitchOffHeads, head_means
from vitviz.analysis.interventions.switch_off_layers import SwitchOffLayers
from vitviz.analysis.interventions.text import Interventions

__all__ = [
    "ChangePositions",
    "CutTokens",
    "Effect",
    "HeadMeans",
    "HidePatches",
    "Intervention",
    "Interventions",
    "ShufflePatches",
    "SwitchOffHeads",
    "SwitchOffLayers",
    "effect",
    "head_means",
    "intervene",
]


def find_kinds() -> None:
    """Imports every file of this package."""
    for found in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{found.name}")


find_kinds()
