"""Figures of attention weights and rollout: all heads, one head, rollout and per-head rollout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vitviz.analysis.attention import attention_map, head_maps
from vitviz.analysis.head_rollout import head_rollout
from vitviz.analysis.queries import Query, QueryLike, layers_with_query, query_of
from vitviz.analysis.rollout import PAPER, RolloutOptions, rollout
from vitviz.analysis.sinks import MapSinks, rollout_sinks
from vitviz.draw import LIGHT, Scale, Theme, draw_board, draw_heatmap
from vitviz.figure import Figure
from vitviz.figures.traced_image import Code, TracedImage, made, query_words
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress


def heads_figure(
    subject: TracedImage,
    query: QueryLike | None = None,
    *,
    maps: np.ndarray | None = None,
    chosen: tuple[int, int] | None = None,
    shared: bool = False,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """Attention of a query in every head of every layer as small multiples.

    `maps` are the (layers, heads, rows, cols) of `head_maps`, if computed already.

    Raises:
        UnsupportedError: As `head_maps`.
    """
    asked = query_of(subject.trace, query)
    maps = head_maps(subject.trace, asked) if maps is None else maps
    words = f"Attention of {query_words(asked)}"
    layers, heads = maps.shape[:2]
    strongest = np.unravel_index(maps.argmax(), maps.shape)
    return Figure(
        arrays={"maps": maps},
        drawing=draw_board(maps, shared=shared, robust=robust, chosen=chosen, width=width, theme=theme),
        alt=(
            f"{words} in all {layers} layers (rows) and {heads} heads (columns). The largest weight on a patch, "
            f"{maps.max():.3g}, is in layer {strongest[0]}, head {strongest[1]}."
        ),
        provenance=subject.provenance("attention weights", query=str(asked)),
        snippet=subject.snippet(
            "maps = " + made("vitviz.head_maps", "trace", query=str(asked)) + "  # (layers, heads, rows, cols)"
        ),
    )


def attention_figure(
    subject: TracedImage,
    layer: int,
    head: int | None,
    query: QueryLike | None = None,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """Attention of a query in one head, or in the mean of all heads of a layer.

    Raises:
        UnsupportedError: For an unknown query.
    """
    asked = query_of(subject.trace, query)
    heatmap = attention_map(layers_with_query(subject.trace, asked)[layer], asked, head)
    place = "the mean of all heads" if head is None else f"head {head}"
    words = f"Attention of {query_words(asked)} in {'pooling ' * asked.pools}layer {layer}, {place}"
    return map_figure(
        subject,
        heatmap,
        words,
        "heatmap = " + map_code("attention", asked, layer, head),
        robust=robust,
        theme=theme,
        width=width,
        query=asked,
        method="attention weights",
        layer=layer,
        head=head,
    )


def rollout_figure(
    subject: TracedImage,
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    *,
    heatmap: Heatmap | None = None,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
    progress: Progress | None = None,
) -> Figure:
    """Rollout over the photograph. `heatmap` is the rollout, if computed already. Raises as `rollout`."""
    asked = query_of(subject.trace, query)
    heatmap = rollout(subject.trace, asked, options, progress) if heatmap is None else heatmap
    words = f"Attention rollout of {query_words(asked)}"
    return map_figure(
        subject,
        heatmap,
        words,
        rollout_line("heatmap", "vitviz.rollout", options, query=str(asked)),
        robust=robust,
        theme=theme,
        width=width,
        query=asked,
        method="rollout",
        parameters=rollout_parameters(options),
    )


def rollout_without_sinks_figure(
    subject: TracedImage,
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    *,
    heatmap: Heatmap | None = None,
    found: MapSinks | None = None,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """Rollout with its sinks set to zero and framed; the scale is that of the other patches. Raises as `rollout`."""
    asked = query_of(subject.trace, query)
    heatmap = rollout(subject.trace, asked, options) if heatmap is None else heatmap
    found = rollout_sinks(subject.trace, heatmap, options) if found is None else found
    whole = rollout_line("rolled", "vitviz.rollout", options, query=str(asked))
    sinks = made("vitviz.rollout_sinks", "trace", "rolled", options=_given(options))
    return map_figure(
        subject,
        found.without_sinks,
        f"Attention rollout of {query_words(asked)}, without {len(found.cells)} sinks",
        f"{whole}\nheatmap = {sinks}.without_sinks",
        robust=robust,
        theme=theme,
        width=width,
        query=asked,
        marks=found.cells,
        method="rollout without sinks",
        parameters=rollout_parameters(options),
    )


def head_rollout_figure(
    subject: TracedImage,
    layer: int,
    head: int,
    method: str = "last_hop",
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    *,
    heatmap: Heatmap | None = None,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """One head's rollout over the photograph, by "last_hop" or "leave_one_in". Raises as `head_rollout`."""
    asked = query_of(subject.trace, query)
    heatmap = head_rollout(subject.trace, layer, head, method, asked, options) if heatmap is None else heatmap
    words = f"Rollout of layer {layer}, head {head} ({method.replace('_', ' ')}), for {query_words(asked)}"
    return map_figure(
        subject,
        heatmap,
        words,
        rollout_line(
            "heatmap", "vitviz.head_rollout", options, layer=layer, head=head, method=method, query=str(asked)
        ),
        robust=robust,
        theme=theme,
        width=width,
        query=asked,
        layer=layer,
        head=head,
        method=f"head rollout, {method.replace('_', ' ')}",
        parameters=rollout_parameters(options),
    )


def map_figure(
    subject: TracedImage,
    heatmap: Heatmap,
    words: str,
    line: str,
    *,
    robust: bool,
    theme: Theme,
    width: int,
    query: Query,
    method: str,
    marks: Iterable[tuple[int, int]] = (),
    **details: Any,
) -> Figure:
    """A figure of a heat map over the model input; `line` is the Python that computes `heatmap` from `trace`."""
    scale = Scale.of(heatmap.values, robust=robust, signed=heatmap.signed)
    drawing = draw_heatmap(
        heatmap,
        image=subject.prepared.shown,
        scale=scale,
        query=query.cell,
        marks=marks,
        width=width,
        theme=theme,
    )
    row, col, value = heatmap.peak
    return Figure(
        arrays={"values": heatmap.values},
        drawing=drawing,
        alt=f"{words}, over the photograph. Strongest at row {row}, column {col}, with {value:.3g}.",
        provenance=subject.provenance(method, query=str(query), **details),
        snippet=subject.snippet(line, "print(heatmap.peak)  # (row, column, value) of the strongest patch"),
    )


def rollout_parameters(options: RolloutOptions) -> dict[str, Any]:
    """Options that differ from the paper's, and always alpha."""
    standing = {name: getattr(options, name) for name in ("fusion", "discard", "first_layer", "last_layer")}
    return {"alpha": options.alpha} | {name: value for name, value in standing.items() if value != getattr(PAPER, name)}


def options_text(options: RolloutOptions) -> str:
    """The Python expression for these options."""
    return made("vitviz.RolloutOptions", **rollout_parameters(options))


def rollout_line(name: str, function: str, options: RolloutOptions, **given: Any) -> str:
    """The Python that assigns a function's result to a variable; options other than the paper's are on a separate line.

    Args:
        name: The variable.
        function: The function, "vitviz.rollout".
        options: Options of rollout.
        **given: Further arguments of the function, as in `made`.
    """
    line = f"{name} = " + made(function, "trace", **given, options=_given(options))
    return line if options == PAPER else f"options = {options_text(options)}\n{line}"


def _given(options: RolloutOptions) -> Code | None:
    return None if options == PAPER else Code("options")


def map_code(
    kind: str, query: QueryLike, layer: int | None = None, head: int | None = None, trace: str = "trace"
) -> str:
    """The Python call that computes one map.

    Args:
        kind: "rollout" or "attention".
        query: The map's query.
        layer: Of "attention", counted from 0.
        head: Of "attention"; None for the mean of the layer's heads.
        trace: The Python expression of the trace.
    """
    if kind == "rollout":
        return made("vitviz.rollout", trace, query=str(query))
    layers = "pooling" if Query.parse(str(query)).pools else "layers"
    return made("vitviz.attention_map", f"{trace}.{layers}[{layer}]", query=str(query), head=head)
