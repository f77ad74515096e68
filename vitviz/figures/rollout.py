"""Rollout and per-head rollout as figures."""

from __future__ import annotations

from typing import Any

from vitviz.analysis.head_rollout import head_rollout
from vitviz.analysis.queries import Query, QueryLike, query_of
from vitviz.analysis.rollout import PAPER, Progress, RolloutOptions, rollout
from vitviz.draw import LIGHT, Scale, Theme, draw_heatmap
from vitviz.figure import Figure
from vitviz.figures.query_words import query_words
from vitviz.figures.subject import Subject, made
from vitviz.heatmap import Heatmap


def rollout_figure(
    subject: Subject,
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    *,
    heatmap: Heatmap | None = None,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
    progress: Progress | None = None,
) -> Figure:
    """Rollout over the photograph. `heatmap` is the same query's, where it is known already. Raises as `rollout`."""
    asked = query_of(subject.trace, query)
    heatmap = rollout(subject.trace, asked, options, progress) if heatmap is None else heatmap
    words = f"Attention rollout of {query_words(asked)}"
    line = (
        "heatmap = " + made("vitviz.rollout", "trace", query=str(asked))
        if options == PAPER
        else (
            f"options = {options_text(options)}\nheatmap = "
            + made("vitviz.rollout", "trace", query=str(asked))[:-1]
            + ", options=options)"
        )
    )
    return map_figure(
        subject,
        heatmap,
        words,
        line,
        robust=robust,
        theme=theme,
        width=width,
        query=asked,
        method="rollout",
        parameters=knobs(options),
    )


def head_rollout_figure(
    subject: Subject,
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
    line = "heatmap = " + made("vitviz.head_rollout", "trace", layer=layer, head=head, method=method, query=str(asked))
    if options != PAPER:
        line = f"options = {options_text(options)}\n{line[:-1]}, options=options)"
    return map_figure(
        subject, heatmap, words, line, robust=robust, theme=theme, width=width, query=asked, layer=layer, head=head,
        method=f"head rollout, {method.replace('_', ' ')}", parameters=knobs(options),
    )  # fmt: skip


def map_figure(
    subject: Subject,
    heatmap: Heatmap,
    words: str,
    line: str,
    *,
    robust: bool,
    theme: Theme,
    width: int,
    query: Query,
    method: str,
    **details: Any,
) -> Figure:
    """A heat map over what the model saw, complete; `line` is the Python that makes `heatmap` from `trace`."""
    scale = Scale.of(heatmap.values, robust=robust, signed=heatmap.signed)
    drawing = draw_heatmap(
        heatmap,
        image=subject.prepared.shown,
        scale=scale,
        query=query.cell,
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


def knobs(options: RolloutOptions) -> dict[str, Any]:
    """The knobs that are not as in the paper, alpha always."""
    standing = {name: getattr(options, name) for name in ("fusion", "discard", "first_layer", "last_layer")}
    return {"alpha": options.alpha} | {name: value for name, value in standing.items() if value != getattr(PAPER, name)}


def options_text(options: RolloutOptions) -> str:
    """The Python that makes these options."""
    return made("vitviz.RolloutOptions", **knobs(options))
