"""What if: changes to one forward pass of a model, described, composed, written as text and applied. Never imports
timm or streamlit.
"""

from __future__ import annotations

from vitviz.analysis.interventions.apply import intervene
from vitviz.analysis.interventions.effect import Effect, effect
from vitviz.analysis.interventions.kinds import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)
from vitviz.analysis.interventions.means import HeadMeans, head_means
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
