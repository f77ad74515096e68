"""The same patch in two scenes, as a figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vitviz.analysis.scenes import Paste, TwoScenes, two_scenes
from vitviz.draw import LIGHT, Theme, draw_curve
from vitviz.figure import Figure
from vitviz.figures.subject import Subject, literal, made
from vitviz.models import Prepared
from vitviz.tokens import cell_name

# Tick names that fit beside each other under a curve of the default width.
MOST_TICKS = 15


@dataclass(frozen=True, eq=False)
class Scene:
    """The picture that a patch is pasted into, prepared for the model of the picture it comes from.

    image_hash  names the picture by its pixels
    image_name  how a snippet of Python calls it
    """

    prepared: Prepared
    image_hash: str
    image_name: str

    @property
    def nbytes(self) -> int:
        """Without the model."""
        return self.prepared.input.nbytes + self.prepared.shown.width * self.prepared.shown.height * 3


def scenes_figure(
    subject: Subject,
    other: Scene,
    paste: Paste,
    found: TwoScenes | None = None,
    *,
    theme: Theme = LIGHT,
    width: int = 640,
    height: int = 400,
) -> Figure:
    """How alike one patch's token stays to itself, layer by layer, when it is pasted into another picture.

    subject  the scene the patch comes from; other: the scene it is pasted into
    found    where it is known already

    Raises as `two_scenes`.
    """
    found = two_scenes(subject.model, subject.trace.input, other.prepared.input, paste) if found is None else found
    itself, control = "itself", "other patches there"
    x = np.arange(len(found.itself))
    lowest = float(min(found.itself.min(), found.other_low.min()))
    drawing = draw_curve(
        x,
        {itself: found.itself, control: found.other},
        bands={control: (found.other_low, found.other_high)},
        x_label="layers passed (E: embedding)",
        y_label="cosine similarity",
        y_range=(min(0.0, lowest - 0.05), 1.05),
        names_above=True,
        theme=theme,
        width=width,
        height=height,
    )
    framing = "squash" if other.prepared.framing == "fit" else other.prepared.framing  # the size already has the shape
    step = -(-len(x) // MOST_TICKS)
    shown = [0, *range(1, len(x), step)]
    drawing.axes[0].set_xticks(shown, ["E", *(str(i - 1) for i in shown[1:])])
    (row, col), (to_row, to_col) = paste.source, paste.place
    return Figure(
        arrays={
            "itself": found.itself,
            "other": found.other,
            "other_low": found.other_low,
            "other_high": found.other_high,
        },
        drawing=drawing,
        alt=(
            f"The patch of row {row}, column {col} in another picture, at row {to_row}, column {to_col}: its token's "
            f"similarity with itself goes from {found.itself[0]:.2f} before the first layer to {found.itself[-1]:.2f} after "
            f"the last; any other patch there has {found.other[-1]:.2f} on average."
        ),
        provenance=subject.provenance(
            "the same patch in two scenes",
            query=cell_name(row, col),
            parameters={"into": cell_name(to_row, to_col), "block": paste.block, "other image": other.image_hash},
        ),
        snippet=subject.snippet(
            f"other = vitviz.load_image({other.image_name!r})",
            f"scene = vitviz.prepare(model, other, framing={framing!r})",
            "paste = " + made("vitviz.Paste", literal(paste.source), literal(paste.place), block=paste.block),
            "found = vitviz.two_scenes(model, trace.input, scene.input, paste)",
            "print(found.itself)  # embedded, with its position, then after each layer",
        ),
    )


def pasted_picture(subject: Subject, other: Scene, paste: Paste) -> Image.Image:
    """What the model is shown: the other scene with the block of this one in it."""
    layout = subject.trace.layout
    height, width = layout.patch_size
    picture = other.prepared.shown.copy()
    for (row, col), (to_row, to_col) in paste.cells(layout.grid):
        block = subject.prepared.shown.crop((col * width, row * height, (col + 1) * width, (row + 1) * height))
        picture.paste(block, (to_col * width, to_row * height))
    return picture
