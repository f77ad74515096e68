"""The view that is shown, as one value: enough to show it again."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from vitviz.tokens import Query, TokenLayout

Framing = Literal["crop", "squash", "fit"]
Scaling = Literal["robust", "raw"]
Weights = Literal["trained", "random"]

# Names of models, samples and patches hold no more than this, so that none can be a path upwards or a piece of HTML.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}"
# A checkpoint of the server's folder is named after its file: letters of any script, digits, spaces and a few signs.
_FILE_NAME = r"\w(?:[\w .\-+=@()]{0,94}[\w.\-+=@()])?"
MODEL_NAME = re.compile(rf"{_NAME}|file:{_FILE_NAME}|(hf|hf-hub):{_NAME}(/{_NAME})?(@{_NAME})?")
IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")
# A query of several parts is longer than a name.
MAX_QUERY = 120

# What stands for a picture that is not in the gallery; its bytes stay with the session that uploaded it.
UPLOAD = "upload"
# Sides of the patch grid offered as input sizes: 224, 336, 448, 518, 1,036 and 2,072 pixels at patch 14. What the last two cost
# is said before they run.
GRID_SIDES = (16, 24, 32, 37, 74, 148)
# Pixels; the side of the largest input that a link can ask for: 148 patches of 16 pixels.
MAX_SIZE = 2368


@dataclass(frozen=True)
class Selection:
    """A view.

    Attributes:
        model: "embedded", "file:NAME" for a checkpoint of the server's folder, "hf:OWNER/NAME" or "hf-hub:OWNER/NAME" for a
            repository on the hub (never a folder, which would be the server's), or a name of timm's registry; which of these
            may be loaded is decided by `vitviz.models.names.require_published`.
        weights: "trained", or "random" for the untrained control.
        image: A sample's name, "" for the first of the gallery, UPLOAD for a picture of one's own.
        size: Side of the model input in pixels, 0 for the model's own.
        framing: How the picture is brought to that size, in the words of `vitviz.trace`.
        layer: Counted from 0; -1 is the last.
        head: Counted from 0; None is the mean of all heads.
        query: Text form of a `Query`: "cls", "r3c5", "mean" over all patches, "pool" for a pooling query, "cls+dist"; "" is
            what the output is computed from.
        scale: "robust" ends colours at the 99th percentile, "raw" at the extremes.
        params: Parameters of some pages, (name, value) in alphabetical order, those at their default left out.
    """

    model: str = "embedded"
    weights: Weights = "trained"
    image: str = ""
    size: int = 0
    framing: Framing = "crop"
    layer: int = -1
    head: int | None = None
    query: str = ""
    scale: Scaling = "robust"
    params: tuple[tuple[str, str | int | float], ...] = ()

    def within(
        self, layers: int, heads: int, layout: TokenLayout, learned: Collection[str] = ()
    ) -> tuple[Selection, tuple[str, ...]]:
        """The selection with whatever this model does not have put back to its default, and the names of those fields.

        Args:
            layers, heads: How many the model has, and the chosen layer.
            learned: Names of queries beyond those of `layout`.
        """
        lost: dict[str, object] = {}
        if not -1 <= self.layer < layers:
            lost["layer"] = -1
        if self.head is not None and not 0 <= self.head < heads:
            lost["head"] = None
        if self.query and self.query not in learned:
            try:
                Query.parse(self.query).weights(layout)
            except ValueError:
                lost["query"] = ""
        return (replace(self, **lost), tuple(lost)) if lost else (self, ())  # type: ignore[arg-type]

    def layer_of(self, layers: int) -> int:
        """The layer as an index from 0 among `layers`."""
        return self.layer if self.layer >= 0 else layers - 1

    def head_of(self, heads: int) -> int | None:
        """The head where a layer of so many has it; None for the mean of heads."""
        return self.head if self.head is not None and self.head < heads else None

    def patch_of(self, layout: TokenLayout) -> tuple[int, int]:
        """(row, col) of the selected patch: the query where it is a patch, else the one in the middle."""
        return layout.cell_named(self.query) or (layout.grid[0] // 2, layout.grid[1] // 2)
