"""The Python half of two components: a picture whose patches can be read and chosen, and a board of small maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from PIL import Image

from vitviz.draw import Scale
from vitviz.draw.layer import Segment
from vitviz.heatmap import Heatmap
from vitviz.tokens import Cell
from vitviz.ui.components.mounting import Component, mount, registered
from vitviz.ui.context import PageContext
from vitviz.ui.selection import MAX_QUERY
from vitviz.ui.server.payloads import pack, pack_picture
from vitviz.ui.text import common as words

MOST_IN_A_ROW = 8
NUMBER_HEIGHT = 18  # CSS pixels of a board's numbers above its maps, as in `frontend/core/layout.js`
# CSS pixels of a window's height for what stands around a picture alone, and around one with a colour bar.
AROUND_PICTURE, AROUND_MAP = 240, 288


@dataclass(frozen=True)
class Paint:
    """Cells that are switched by clicking or drawing over them, in place of choosing one.

    Attributes:
        cells: Painted ones, counted row by row from 0.
        hint: A sentence below the component on what painting does.
        touch_hint: The same for touch screens.
        taken: Called with all painted cells, ascending, before the page runs again.
        hidden: Makes the picture with every cell painted, of which each painted cell shows its part.
        by: What `hidden` depends on besides the photograph.
    """

    cells: tuple[int, ...]
    hint: str
    taken: Callable[[tuple[int, ...]], None]
    hidden: Callable[[], Image.Image] | None = None
    by: Hashable = ""
    touch_hint: str = ""

    def receive(self, cells: Any, count: int) -> None:
        """Calls `taken` with a browser's report on a grid of `count` cells, unless the report is invalid."""
        if isinstance(cells, list) and all(type(cell) is int and 0 <= cell < count for cell in cells):
            self.taken(tuple(sorted(set(cells))))

    def message(self, context: PageContext, key: str) -> dict[str, Any]:
        """The painted cells in the data of the component `key`."""
        hidden, url = self.hidden, None
        if hidden is not None:
            url = context.offer(f"hidden {key}", lambda: pack_picture(hidden()), by=self.by)
        return {"cells": list(self.cells), "hint": self.hint, "touch_hint": self.touch_hint, "url": url}


@dataclass(frozen=True)
class GridLines:
    """What is drawn of a picture's grid of patches.

    Attributes:
        grid: (rows, cols) if there is no heat map and the grid is not the model's first one.
        line: Pixels of the cuts between patches.
        dim: How far all patches but the chosen one are dimmed, 0 to 1.
        borders: Of windows.
        contour: The lines around what the chosen patch can reach.
    """

    grid: tuple[int, int] | None = None
    line: float = 0
    dim: float = 0.0
    borders: Sequence[Segment] = ()
    contour: Sequence[Segment] = ()


@dataclass(frozen=True)
class PictureSize:
    """The space that a picture takes.

    Attributes:
        around: CSS pixels of the window's height for all else that is to be seen with it: the heading above, the lead and
            the row of controls below; where not given, as much as one picture at the top of a page leaves.
        widest: CSS pixels.
        stacked: How many pictures share that height, one above the other.
        above: Words over the picture, in the height of a board's numbers, so that it shares an edge with a board beside it.
    """

    around: int | None = None
    widest: int = 1200
    stacked: int = 1
    above: str = ""


@dataclass(frozen=True)
class MapScales:
    """The scales of several maps.

    Attributes:
        each: One for each map, in order.
        caption: What the colours stand for.
        shared: The one scale of all maps, where colours compare between them; otherwise None.
        ends: What the two ends of the colour bar stand for, where each map has its own scale.
    """

    each: Sequence[Scale]
    caption: str
    shared: Scale | None = None
    ends: tuple[str, str] = ("", "")

    @classmethod
    def of(
        cls, maps: np.ndarray, label: str, *, shared: bool = False, robust: bool = False, signed: bool = False
    ) -> MapScales:
        """Scales of maps (n, rows, cols): one for all, or each its own.

        Args:
            label: What the numbers are.
        """
        if shared:
            one = Scale.of(maps, robust=robust, signed=signed)
            return cls([one] * len(maps), words.SHARED_CAPTION.format(label=label, scale=one.label), one)
        caption = words.OWN_CAPTION.format(label=label, scale=words.SCALE_ROBUST if robust else words.SCALE_RAW)
        each = [Scale.of(one, robust=robust, signed=signed) for one in maps]
        return cls(each, caption, None, words.OWN_ENDS_ROBUST if robust else words.OWN_ENDS)


@dataclass(frozen=True)
class MapNames:
    """What the maps of a board are called, and the patches of one.

    Attributes:
        first: Number of the layer in the first row.
        wrapped: The heads of one layer, or the layers, broken into rows, each with its number above it.
        unit: Whether the maps are heads or layers.
        places: What the rows and the columns of a map are called, where they are not counted from 0.
    """

    first: int = 0
    wrapped: bool = False
    unit: Literal["head", "layer"] = "head"
    places: tuple[Sequence[int], Sequence[int]] = ((), ())


@cache
def _component(name: str) -> Component:
    return registered(name, "picture.css", words.PICTURE_WORDS)


def show_picture(
    context: PageContext,
    key: str,
    *,
    alt: str,
    on_pick: Callable[[str], None] | None = None,
    heatmap: Heatmap | None = None,
    scale: Scale | None = None,
    label: str = "",
    among: np.ndarray | None = None,
    params: Sequence[tuple[str, Hashable]] = (),
    chosen: str = "",
    prefix: Iterable[str] = (),
    marks: Iterable[Cell] = (),
    tag: str = "",
    lines: GridLines = GridLines(),
    size: PictureSize = PictureSize(),
    link: str = "",
    shown: Image.Image | None = None,
    one_of_many: bool = False,
    captioned: bool = True,
    plain: bool = False,
    places: tuple[Sequence[str], Sequence[str]] = ((), ()),
    paint: Paint | None = None,
) -> None:
    """Shows the model's input as a picture, below `heatmap` where one is given.

    Args:
        on_pick: Called with a token's name before the page runs again.
        scale: Of `heatmap`, or what the colours of `shown` stand for.
        label: Text under the colour bar of `shown`.
        among: (rows, cols) bool: the patches that the scale covers, all of them where not given.
        params: What the heat map depends on: while they stay, the browser keeps its numbers.
        chosen: Name of the token to frame.
        prefix: Names offered beside the picture.
        marks: Patches framed thinly.
        tag: A word beside each of them.
        link: Name of a group of pictures that share one cursor: a patch pointed at or chosen in one is marked in all.
        one_of_many: Without its own hint and slider, because the page or a linked picture has them.
        captioned: With what its colours stand for and where its scale ends in words; the numbers stand there in any case.
        plain: The heat map alone, which is not about this photograph.
        places: What its rows and columns are called, where they are not counted from 0.
        shown: What lies below the grid, where that is not the model's input; `params` have to name it too.
        paint: Where patches are painted and none is chosen.
    """
    rows, cols = lines.grid or (
        context.layout.grid if heatmap is None else heatmap.grid
    )  # a later stage's grid is coarser
    heat: dict[str, Any] | None = None
    if heatmap is not None:
        ends = scale or Scale.of(heatmap.values, signed=heatmap.signed)
        values = heatmap.values
        counted = ends.counting(values if among is None else values[among])
        url = context.offer(f"heat {key}", lambda: pack({"values": np.asarray(values, np.float32)}), **dict(params))
        # Beside others it has one line: that values lie beyond its ends stands on the bar in any case.
        said = re.split("[,:;]", counted.label)[0] if one_of_many or link else counted.label
        heat = {"url": url, **scale_message(ends, f"{heatmap.label} · {said}" if captioned else "", counted)}

    if heat is not None and not captioned:
        heat["ticks"] = [tick for tick in heat["ticks"] if tick[0] in (0, 1)]  # a small picture has space for the ends

    bar = scale_message(scale, label, scale) if scale is not None and heatmap is None else None

    def picked(token: Any) -> None:
        if paint is not None:
            paint.receive(token, rows * cols)
        elif on_pick is not None and isinstance(token, str) and len(token) <= MAX_QUERY:
            on_pick(token)

    data = {
        "url": _photograph(context, key, shown, dict(params)),
        "rows": rows,
        "cols": cols,
        "ratio": context.shown.width / context.shown.height,
        "widest": size.widest,
        "around": size.around or (AROUND_MAP if heat or bar else AROUND_PICTURE),
        "stacked": size.stacked,
        "above": size.above,
        "link": link,
        "one_of_many": one_of_many,
        "chosen": chosen,
        "prefix": [{"name": name, "label": words.token(name)} for name in prefix],
        "marks": [list(cell) for cell in marks],
        "tag": tag,
        "grid": {
            "line": lines.line,
            "dim": lines.dim,
            "borders": list(lines.borders),
            "contour": list(lines.contour),
        },
        "heat": heat,
        "bar": bar,
        "plain": plain,
        "places": [list(side) for side in places],
        "paint": paint and paint.message(context, key),
        "alt": alt,
    }
    mount(_component("picture"), key, data, picked, slot=_room(data))


def _room(data: dict[str, Any]) -> str:
    """CSS of the space that a picture takes, as `frontend/views/picture.js` sizes it: the canvas, and what stands around it."""
    scale = data["heat"] or data["bar"]
    shares = data["one_of_many"] and scale and scale["caption"]  # the reading takes the place of the words
    around = 25 * (not shares) + 35 * bool(data["prefix"]) + NUMBER_HEIGHT * bool(data["above"])  # CSS pixels
    if scale:
        around += 53 if scale["caption"] else 37
    ratio, tallest = data["ratio"], f"max(240px, 100svh - {data['around']}px)"
    # One under the other on a phone, they need not be seen at once, and lines of words break.
    on_phone = "max(0px, (640px - 100vw) * 99)"
    high = f"max({tallest} / {data['stacked']}, min({tallest}, {on_phone}))"
    if data["paint"]:
        broken = f"min(25px, {on_phone})"
    elif data["heat"] and not data["one_of_many"] and not data["plain"]:
        broken = "max(0px, min(70px, 300px - 100%))"
    else:
        broken = "0px"
    width = f"min(100%, {data['widest']}px, {high} * {ratio})"
    return f"width: {width}; aspect-ratio: {ratio}; margin-bottom: calc({around}px + {broken});"


def _photograph(context: PageContext, key: str, shown: Image.Image | None, params: dict[str, Hashable]) -> str:
    if shown is None:
        return context.offer("shown", lambda: pack_picture(context.shown))
    return context.offer(f"shown {key}", lambda: pack_picture(shown), **params)


def show_board(
    context: PageContext,
    key: str,
    maps: np.ndarray,
    scales: MapScales,
    *,
    alt: str,
    params: Sequence[tuple[str, Hashable]],
    chosen: tuple[int, int | None] | None,
    facts: Mapping[str, np.ndarray] = MappingProxyType({}),
    names: MapNames = MapNames(),
    on_pick: Callable[[int, int], None] | None = None,
    tallest: int = 600,
    paint: Paint | None = None,
) -> None:
    """Shows (layers, heads, rows, cols) maps as small multiples.

    Args:
        scales: In the order of the maps, row by row.
        params: What maps, scales and facts depend on: while they stay, the browser keeps its numbers.
        chosen: (layer, head), head None for the whole layer; None where nothing is.
        facts: Name -> (layers, heads): numbers read out beside each head.
        tallest: CSS pixels aimed at in a window of 768; in a higher one it is as much higher.
        paint: Where heads, counted row by row, are switched and none is chosen.
    """

    def build() -> bytes:
        arrays = {
            "values": np.asarray(maps, np.float32),
            "facts": np.stack([*facts.values()], axis=-1).astype(np.float32) if facts else np.zeros(0, np.float32),
        }
        ends = [[scale.low, scale.high, scale.noise] for scale in scales.each]
        return pack(arrays, {"facts": list(facts), "scales": ends})

    def picked(at: Any) -> None:
        if paint is not None:
            paint.receive(at, maps.shape[0] * maps.shape[1])
            return
        inside = isinstance(at, list) and len(at) == 2 and all(type(index) is int for index in at)
        if on_pick is not None and inside and 0 <= at[0] < maps.shape[0] and 0 <= at[1] < maps.shape[1]:
            on_pick(at[0], at[1])

    heat = scale_message(scales.shared or scales.each[0], scales.caption, scales.shared)
    if scales.shared is None:
        heat["ticks"] = [[0, scales.ends[0]], [1, scales.ends[1]]]
    data = {
        "url": context.offer(f"board {key}", build, **dict(params)),
        "shape": [int(count) for count in maps.shape[:2]],
        "chosen": None if chosen is None else list(chosen),
        "wrapped": names.wrapped,
        "unit": names.unit,
        "places": [[int(place) for place in side] for side in names.places],
        "heat": heat,
        "alt": alt,
        "tallest": tallest,
        "first": names.first,
        "paint": paint and paint.message(context, key),
    }
    layers, heads, rows, cols = maps.shape
    ratio = heads * cols / (layers * rows)  # of the board without its margins
    numbers = (layers - 1) * NUMBER_HEIGHT * names.wrapped  # of all rows but the first, where each has its own
    high = f"(max(240px, {tallest}px + 100svh - 768px) - {numbers}px)"
    phone = "max(0px, (600px - 100vw) * 99)"  # its whole width, however high that is
    slot = f"width: min(100%, max({high} * {ratio}, {phone})); aspect-ratio: {ratio}; margin-bottom: {95 + numbers}px;"
    mount(_component("board"), key, data, picked, slot=slot)


def scale_message(scale: Scale, caption: str, numbered: Scale | None) -> dict[str, Any]:
    """A scale as the browser gets it.

    Args:
        numbered: The scale whose ends are written beside the colour bar; None if each map has its own.
    """
    ticks = numbered.ticks() if numbered is not None else []
    return {
        "low": scale.low,
        "high": scale.high,
        "noise": scale.noise,
        "signed": scale.signed,
        "flat": numbered is not None and numbered.flat,
        "ticks": [list(tick) for tick in ticks],
        "caption": caption,
    }


def in_a_row(heads: int) -> int:
    """How many heads are in one row of the board, so that all rows are full."""
    fitting = [count for count in range(1, MOST_IN_A_ROW + 1) if heads % count == 0]
    return max(fitting) if max(fitting) >= min(heads, 4) else heads
