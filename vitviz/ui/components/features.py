"""Photographs and the similarity of their patches, shown in the browser (the Python half of `frontend/views/features.js`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache

from vitviz.tokens import cell_of_name
from vitviz.ui.components.mounting import Component, mount, registered

MOST_PHOTOGRAPHS = 6


@dataclass(frozen=True)
class Photograph:
    """One photograph of the figure; everything large is the address of a payload.

    Attributes:
        title: What it is called.
        rows, cols: Its grid of patches.
        ratio: Width over height.
        picture: Of `pack_picture`: what the model saw.
        features: `PatchFeatures.packed()` as "features".
        painted: Of `pack_picture`: what stands beside it, one pixel a patch or as many as the picture has.
        numbers: "values" (patches, numbers) float32, to be read out.
    """

    title: str
    rows: int
    cols: int
    ratio: float
    picture: str
    features: str | None = None
    painted: str | None = None
    numbers: str | None = None


@dataclass(frozen=True)
class SourcePatch:
    """The patch that the others are compared with.

    Attributes:
        picture: Index of its photograph.
        cell: Its name, "r3c5".
        chosen: Whether it was chosen; otherwise the patch under the pointer takes its place.
    """

    picture: int
    cell: str
    chosen: bool

    @classmethod
    def reported(cls, report: object, grids: Sequence[tuple[int, int]]) -> SourcePatch | None:
        """A browser's report, None where it is invalid: a browser may send anything."""
        if not isinstance(report, Mapping):
            return None
        picture, cell = report.get("picture"), report.get("cell")
        if type(picture) is not int or not 0 <= picture < len(grids) or not isinstance(cell, str):
            return None
        return cls(picture, cell, True) if cell_of_name(cell, grids[picture]) is not None else None


@cache
def _component(words: tuple[tuple[str, str], ...]) -> Component:
    return registered("features", "features.css", dict(words))


def features(
    photographs: Sequence[Photograph],
    source: SourcePatch,
    on_change: Callable[[SourcePatch | None], None],
    *,
    words: Mapping[str, str],
    alt: str,
    pairs: str | None = None,
    sizes: Sequence[int] = (),
    key: str,
) -> None:
    """Mounts the figure.

    Args:
        photographs: One to `MOST_PHOTOGRAPHS`; with features, two at most, or painted all of them.
        source: The patch that the others are compared with.
        on_change: Called with the chosen patch, None where the choice was taken back, before the page runs again.
        words: Its sentences.
        alt: The text alternative of a photograph.
        pairs: Address of a payload with "source" and "target" int32: patches of the first and second photograph that are
            joined by lines.
        sizes: Patches of each group, where numbers are groups.
    """

    def taken(report: object) -> None:
        chosen = SourcePatch.reported(report, [(each.rows, each.cols) for each in photographs])
        if report is None or chosen is not None:
            on_change(chosen)

    data = {
        "mode": "alike" if photographs[0].features else "painted",
        "pictures": [asdict(each) for each in photographs],
        "pairs": pairs,
        "source": asdict(source),
        "sizes": list(sizes) or None,
        "alt": alt,
    }
    mount(_component(tuple(sorted(words.items()))), key, data, taken, slot=_room(photographs))


def _room(photographs: Sequence[Photograph]) -> str:
    """CSS of the space that photographs will take: `panelsFor` in `frontend/core/layout.js`."""
    across, between = sum(each.ratio for each in photographs), len(photographs) - 1
    if not photographs[0].features:
        # In one row beside what is painted of them or, on a phone, above it; elsewhere the browser decides.
        beside = f"min(100svh - 292px, (100% - {16 * (2 * between + 1)}px) / {2 * across})"
        above = f"min(100svh - 292px, (100% - {16 * between}px) / {across} * 2 + 4px, max(0px, (640px - 100vw) * 99))"
        return f"padding-bottom: max({beside}, {above}); margin-bottom: 62px;"
    below = 78 - 48 * between / across  # title, bar and reading, less what the gap takes of the height
    return (
        f"width: 100%; aspect-ratio: {across}; max-height: calc(100svh - 302px); margin-bottom: {below:.0f}px; "
        "min-height: min(100svh - 300px, max(0px, (640px - 100vw) * 99));"
    )
