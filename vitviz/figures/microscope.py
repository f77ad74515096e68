"""The figure of the microscope: one token's attention in a layer over the photograph, its strongest links, and every head."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from vitviz.analysis.sinks import value_norms
from vitviz.draw import LIGHT, Scale, Theme, draw_board, draw_heatmap
from vitviz.draw.heatmap import Link
from vitviz.draw.sheet import column
from vitviz.errors import checked_index
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, made
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout

LINKS = 8  # strongest links that are drawn


@dataclass(frozen=True)
class TokenAttention:
    """Which attention of one token is shown.

    Attributes:
        layer: Counted from 0; -1 is the last.
        token: Name of a patch or prefix token.
        head: One head, "mean", or "all" for the mean and each head.
        direction: "at" for the token's weights as query, "by" for its weights as key of every query.
        measure: "weight", or "value" for weights times the norms of the projected values.

    Raises:
        ValueError: For a direction or a measure that does not exist.
    """

    layer: int
    token: str
    head: int | str = "all"
    direction: str = "at"
    measure: str = "weight"

    def __post_init__(self) -> None:
        if self.direction not in ("at", "by") or self.measure not in ("weight", "value"):
            raise ValueError(
                f"a direction is 'at' or 'by', a measure 'weight' or 'value', not {self.direction!r} and {self.measure!r}"
            )

    @property
    def place(self) -> str:
        return "mean of heads" if self.head in ("all", "mean") else f"head {self.head}"

    @property
    def quantity(self) -> str:
        return "attention weight" if self.measure == "weight" else "weight times length of the projected value"

    @property
    def verb(self) -> str:
        return "looks at" if self.direction == "at" else "is looked at by"

    def layouts(self, subject: TracedImage) -> tuple[TokenLayout, TokenLayout]:
        """Of the token, and of the tokens that the numbers belong to."""
        attention = subject.trace.layers[self.layer]
        queries, keys = attention.query_layout, attention.key_layout
        return (queries, keys) if self.direction == "at" else (keys, queries)

    def values(self, subject: TracedImage) -> np.ndarray:
        """(heads, tokens)

        Raises:
            ValueError: For a token that does not exist.
            UnsupportedError: If norms of values are not defined for the layer.
        """
        attention, source = subject.trace.layers[self.layer], self.layouts(subject)[0]
        at = source.token_named(self.token)
        values = attention.row(at) if self.direction == "at" else attention.column(at)  # (heads, tokens)
        if self.measure == "value":
            norms = value_norms(subject.model, subject.trace.input)[self.layer]  # (heads, keys)
            values = values * (norms if self.direction == "at" else norms[:, at, None])
        return values.float().cpu().numpy()


def microscope_figure(
    subject: TracedImage,
    shown: TokenAttention,
    *,
    links: bool = True,
    shared: bool = False,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """One token's attention in a layer: over the photograph with its strongest links, and with "all" one map for each head.

    Args:
        subject: The traced image.
        shown: Which attention.
        links: Whether the strongest links are drawn.
        shared: One scale for all heads.
        robust: Scales end at the 99th percentile.
        theme: Colours and font size.
        width: Pixels.

    Raises:
        ValueError: For a token that does not exist.
        UnsupportedError: If norms of values are not defined for the layer, and for a model whose layers are no sequence.
    """
    layer = range(len(subject.trace.sequence("The microscope")))[shown.layer]
    shown = replace(shown, layer=layer)
    numbers = shown.values(subject)
    source, target = shown.layouts(subject)
    at, head = source.token_named(shown.token), shown.head
    row = numbers.mean(0) if head in ("all", "mean") else numbers[checked_index(int(head), len(numbers), "head")]
    maps = np.stack([target.patches(each) for each in numbers])  # (heads, rows, cols)
    heatmap = Heatmap(target.patches(row), f"{shown.quantity}, {shown.place}")
    pieces = [
        draw_heatmap(
            heatmap,
            image=subject.prepared.shown,
            scale=Scale.of(maps if shared else heatmap.values, robust=robust),
            query=source.cell_of(at) if source.grid == target.grid else None,
            links=_links(row, at, source, target, shown.direction) if links else [],
            width=width,
            theme=theme,
        )
    ]
    if head == "all":
        board = maps[None]  # (layers, heads, rows, cols)
        label = shown.quantity
        pieces.append(
            draw_board(board, label=label, shared=shared, robust=robust, first_layer=layer, width=width, theme=theme)
        )
    best_row, best_col, value = heatmap.peak
    line = made("vitviz.plot.microscope", "trace", **asdict(shown), links=links, shared=shared, robust=robust)
    return Figure(
        arrays={"maps": maps, "values": heatmap.values},
        drawing=column(pieces, theme),
        alt=(
            f"Where {shown.token} {shown.verb} in layer {layer}, {shown.place}, over the photograph. "
            f"Strongest at row {best_row}, column {best_col}, with {value:.3g}."
        ),
        provenance=subject.provenance(
            "attention weights",
            query=shown.token,
            layer=layer,
            parameters={"direction": shown.direction, "measure": shown.measure},
        ),
        snippet=subject.snippet(f"figure = {line}", 'figure.image().save("attention.png")'),
    )


def _links(row: np.ndarray, at: int, source: TokenLayout, target: TokenLayout, direction: str) -> list[Link]:
    """The strongest links of `row` (tokens,), from query to key, in ascending order."""
    strongest = np.argsort(row, kind="stable")[-LINKS:]
    most = max(float(row[strongest[-1]]), 1e-30)
    here = _place(source, at)
    ends = [(here, _place(target, int(token)), float(row[token]) / most) for token in strongest]
    return ends if direction == "at" else [(there, one, strength) for one, there, strength in ends]


def _place(layout: TokenLayout, token: int) -> tuple[float, float]:
    """(down, across) relative to the picture's sides: a patch's centre; prefix tokens are at the upper edge."""
    cell = layout.cell_of(token)
    if cell is None:
        return 0.0, (token + 0.5) / layout.num_prefix
    return (cell[0] + 0.5) / layout.grid[0], (cell[1] + 0.5) / layout.grid[1]
