"""The stepper: the figure of "one head by hand", one step at a time (the Python half of `frontend/views/by_hand.js`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from vitviz.analysis.by_hand import EmbeddedToken
from vitviz.draw import Scale
from vitviz.figures.by_hand import LARGEST, all_scores
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.heatmap import scale_message
from vitviz.ui.components.mounting import Component, mount, registered
from vitviz.ui.pages.by_hand import text as words
from vitviz.ui.pages.by_hand.steps import Worksheet, channels_of, corner_of, four, no_position
from vitviz.ui.selection import MAX_QUERY
from vitviz.ui.server.payloads import pack, pack_picture
from vitviz.ui.text import common

STEPS = tuple(words.STEP_NAMES)


@cache
def _component() -> Component:
    return registered("by_hand", "by_hand.css", common.FETCH_WORDS | words.FIGURE)


def show(sheet: Worksheet, start: EmbeddedToken | None) -> None:
    """Shows the stepper of one head.

    Args:
        sheet: The head, query and key.
        start: The steps before the first layer; None if they are not shown.
    """
    context, hand = sheet.context, sheet.hand
    layout, kind = hand.layout, str(state.value_of("matrix"))
    whose = {"layer": hand.layer, "head": hand.head, "query": hand.query}
    written = {**whose, "key": hand.key, "component": sheet.component, "shown": sheet.shown}
    matrices = layout.num_tokens if layout.num_tokens <= LARGEST else 0
    wanted = str(state.value_of("step")) == "matrices" and matrices > 0
    robust = sheet.context.robust
    data = {
        "picture": context.offer("shown", lambda: pack_picture(context.shown)),
        "numbers": context.offer("numbers by hand", lambda: pack(*arrays_of(sheet, start)), **written),
        "matrix": context.offer("matrix by hand", lambda: pack(*_matrix(sheet, kind)), kind=kind, key=hand.key, **whose)
        if wanted
        else None,
        "matrices": matrices,
        "rows": layout.grid[0],
        "cols": layout.grid[1],
        "ratio": context.shown.width / context.shown.height,
        "prefix": [{"name": name, "label": common.token(name)} for name in layout.prefix],
        "query": layout.name_of(hand.query),
        "step": str(state.value_of("step")),
        "steps": _captions(sheet, start),
        "scales": {
            name: _scale(layout.patches(values.astype(np.float32)), label, robust and name == "weights")
            for name, values, label in (
                ("scores", hand.scores, words.SCORE),
                ("weights", hand.weights, words.WEIGHT),
            )
        },
        "alt": words.PICTURE_ALT.format(query=sheet.name(hand.query), layer=hand.layer, head=hand.head),
    }
    # As high as the view makes itself on a wide screen, where the first screen ends below it.
    slot = "height: clamp(400px, 100svh - 278px, 712px);"
    mount(_component(), "by hand", data, lambda report: take_report(report, layout), slot=slot)


def take_report(report: Any, layout: TokenLayout) -> None:
    """Applies a report of the browser, which may be anything: the step, and the token that is followed."""
    step, query = (report.get(name) for name in ("step", "query")) if isinstance(report, Mapping) else ("", "")
    if step not in STEPS or not isinstance(query, str) or len(query) > MAX_QUERY:
        return
    try:
        layout.token_named(query)
    except ValueError:
        return
    state.change(step=step, query=query)


def _scale(patches: np.ndarray, label: str, robust: bool) -> dict[str, Any]:
    scale = Scale.of(patches, robust=robust)
    counted = scale.counting(patches)
    return scale_message(scale, words.TO_PERCENTILE.format(label=label) if robust else label, counted)


def arrays_of(sheet: Worksheet, start: EmbeddedToken | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name and the single numbers beside them, as `frontend/core/by_hand.js` takes them."""
    hand, shown, c = sheet.hand, list(sheet.shown), sheet.component
    others = np.setdiff1d(np.arange(hand.weights.size), shown)
    shares = hand.weights[:, None] * hand.values  # (tokens, value_dim)
    rest = shares[others].sum(0, keepdims=True)  # (1, value_dim)
    arrays: dict[str, np.ndarray | None] = {
        "entered": hand.residual,
        "given": hand.given,
        "q": hand.q.result,
        "k": hand.k.result,
        "v": hand.v.result,
        "dot": hand.q.result * hand.k.result,
        "bias": hand.bias,
        "scores": hand.scores,
        "exps": hand.exps,
        "weights": hand.weights,
        "shares": np.concatenate([shares[shown], rest]),  # (shown + 1, value_dim)
        "output": hand.output,
    }
    meta: dict[str, Any] = {
        "component": c,
        "layer": hand.layer,
        "cell": hand.layout.cell_of(hand.query),
        "norm": hand.norm is not None,
        "rms": hand.norm is not None and hand.norm.kind == "rms",
        "mean": 0.0 if hand.norm is None else float(hand.norm.mean),
        "deviation": 1.0 if hand.norm is None else float(hand.norm.deviation),
        "dot": float(hand.dots[hand.key]),
        "factor": hand.factor,
        "maximum": hand.maximum,
        "total": hand.total,
        "shown": [_key(sheet, token) for token in shown],
        "written": _key(sheet, hand.key),
        "rest": None,
    }
    if others.size:
        sums = {"exp": float(hand.exps[others].sum()), "weight": float(hand.weights[others].sum())}
        meta["rest"] = {"name": words.REST.format(count=others.size), **sums}
    if start is not None:
        arrays |= {"embedding": start.embedding, "position": start.position, "token": start.token}
        arrays["sum"] = start.embedding if start.position is None else start.embedding + start.position
        pixels = start.pixels
        if pixels is not None:
            arrays |= {"pixels": pixels, "corner": corner_of(sheet, pixels)}
            meta |= {"patch": pixels.shape, "channels": channels_of(pixels)}
            if start.filters is not None and start.filter_bias is not None:
                products = start.filters[c] * pixels  # (channels, height, width)
                arrays |= {"filter": start.filters[c], "product": products}
                meta |= {"products": float(products.sum()), "filterBias": float(start.filter_bias[c])}
    return {name: np.asarray(each, np.float32) for name, each in arrays.items() if each is not None}, meta


def _key(sheet: Worksheet, token: int) -> dict[str, Any]:
    return {"token": token, "name": sheet.short(token), "cell": sheet.hand.layout.cell_of(token)}


def _matrix(sheet: Worksheet, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All queries at once, in 256 shades: the browser paints it, and the figure under Details has the numbers."""
    opened, hand = sheet.opened, sheet.hand
    if kind == "scores":
        values = all_scores(opened, hand)  # (tokens, tokens)
    else:
        weights = opened.attention.weights(hand.head).double().cpu().numpy()  # (tokens, tokens)
        values = weights if kind == "weights" else weights @ hand.values  # (tokens, tokens or value_dim)
    signed = kind == "output"
    scale = Scale.of(values, signed=True) if signed else Scale.of(values, robust=kind == "weights")
    shades = np.clip((values - scale.low) / max(scale.high - scale.low, 1e-30), 0, 1)
    rows, cols = values.shape
    marks = {"row": hand.query, "col": hand.key, "low": four(scale.low), "high": four(scale.high)}
    marks |= {"name": words.MATRIX_NAMES[kind], "rows": rows, "cols": cols}
    levels = np.round(255 * shades).astype(np.uint8)
    return {"matrix": levels}, {"scale": {"low": 0, "high": 255, "signed": signed}, "marks": marks}


def _captions(sheet: Worksheet, start: EmbeddedToken | None) -> list[dict[str, str]]:
    """Name, title and caption of every step, those that are true of this model and token."""
    hand = sheet.hand
    d, _ = hand.q.slice.weight.shape
    written = words.NOT_WRITTEN
    captions = dict.fromkeys(("pixels", "embedding", "position"), written)
    if start is not None:
        captions = _before(sheet, start)
    norm = hand.norm
    blanks = {} if norm is None else {"mean": four(norm.mean), "deviation": four(norm.deviation)}
    normalised = words.CAPTION_NORM["none" if norm is None else "rms" if norm.kind == "rms" else "layer"]
    later = words.CAPTION_LATER.format(layers=hand.layer) if hand.layer else ""
    extras = [words.CAPTION_QK_NORM] * (hand.q.norm is not None) + [words.CAPTION_ROTATE] * hand.rotates
    plain = bool(np.isclose(hand.factor * np.sqrt(hand.head_dim), 1))
    scaled = words.CAPTION_SCORES if plain else words.CAPTION_SCORES_FACTOR
    bias = [words.CAPTION_BIAS] if hand.bias is not None else []
    captions |= {
        "norm": f"{later} {normalised.format(**blanks)}".strip(),
        "qkv": " ".join([words.CAPTION_QKV.format(d=d), *extras]),
        "scores": " ".join([scaled.format(d=hand.head_dim, factor=four(hand.factor)), *bias]),
        "softmax": words.CAPTION_SOFTMAX.format(tokens=hand.weights.size),
        "output": words.CAPTION_OUTPUT.format(head=hand.head),
        "matrices": words.CAPTION_MATRICES.format(tokens=hand.weights.size),
    }
    titles = words.TITLES | {"norm": words.ENTERS.format(layer=hand.layer)}
    return [
        {"step": step, "name": words.STEP_NAMES[step], "title": titles[step], "caption": captions[step]}
        for step in STEPS
    ]


def _before(sheet: Worksheet, start: EmbeddedToken) -> dict[str, str]:
    """The captions of the steps before the first layer."""
    query, width = sheet.name(sheet.hand.query), start.embedding.size
    if start.position is not None:
        position = words.CAPTION_POSITION.format(width=width)
    else:
        position = no_position(sheet)
    if start.pixels is None:
        prefix = words.CAPTION_NO_PIXELS.format(query=query, width=width)
        return {"pixels": prefix, "embedding": words.CAPTION_NO_EMBEDDING.format(query=query), "position": position}
    channels, height, across = start.pixels.shape
    count = start.pixels.size
    blanks = {"query": query, "height": height, "width": across, "channels": words.COUNTED[channels], "count": count}
    made = words.CAPTION_EMBEDDING.format(count=count, width=width, component=sheet.component)
    return {
        "pixels": words.CAPTION_PIXELS.format(**blanks),
        "embedding": words.EMBED_OTHER if start.filters is None else made,
        "position": position,
    }
