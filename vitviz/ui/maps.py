"""The maps of all explanation methods for one question, computed one by one so that each shows as soon as it is there."""

from __future__ import annotations

from vitviz.analysis.methods import METHODS, USUAL, explain
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.asking import Asked, fraction

SLOW = ("integrated_gradients", "occlusion")


def wanted() -> list[str]:
    """Keys of the methods that are shown now: the slow ones only once somebody has asked for them."""
    return [key for key in METHODS if key not in SLOW or state.value_of("slow") == "now"]


def map_of(about: Asked, key: str) -> Heatmap | None:
    """One method's map, or None where it is not defined for this model."""

    def work(question, progress):  # type: ignore[no-untyped-def]
        try:
            return explain(question, key, fraction(progress))
        except UnsupportedError:
            return ()  # kept like an answer, so that it is not asked again

    found = about.ask("explanation", work, METHODS[key].name, passes=_passes(about, key), method=key)
    return found if isinstance(found, Heatmap) else None


def _passes(about: Asked, key: str) -> float:
    """Forward passes that a method takes, about; see `Asked.ask`."""
    if key == "occlusion":
        return about.stage.layout.num_patches / USUAL.occlusion_stride**2
    return 3 * 2 * USUAL.integration_steps if key == "integrated_gradients" else 3


def all_maps(about: Asked) -> dict[str, Heatmap]:
    """Method's name -> map, of the methods shown now that this model supports."""
    found = {METHODS[key].name: map_of(about, key) for key in wanted()}
    return {name: heatmap for name, heatmap in found.items() if heatmap is not None}
