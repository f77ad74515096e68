"""The data of the journey: addresses of arrays, the prediction read after every layer, the gallery."""

from __future__ import annotations

import base64
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from vitviz.analysis.attention import query_weights
from vitviz.analysis.features import principal_components
from vitviz.analysis.interventions import HidePatches, Interventions, intervene
from vitviz.analysis.prediction import logit_lens
from vitviz.analysis.question import Question
from vitviz.analysis.targets import default_target
from vitviz.capture.trace import Trace
from vitviz.draw.objects import paint_colours
from vitviz.draw.scale import number
from vitviz.errors import ImageError, UnsupportedError
from vitviz.figures.interventions import seen_picture
from vitviz.models.embedded import right_by_layer
from vitviz.outputs import OutputKind, has_classifier, output_name
from vitviz.samples import samples
from vitviz.tokens import TokenLayout, cell_name
from vitviz.tracing import trace_and_hidden_states, trace_input
from vitviz.ui.components.journey import LARGEST_UPLOAD
from vitviz.ui.components.microscope import layer_arrays
from vitviz.ui.compute import JobProgress, images
from vitviz.ui.context import PageContext
from vitviz.ui.controls.captions import caption_of, costs_of, page_of
from vitviz.ui.controls.objects import features_of, found_object, patches_in
from vitviz.ui.pages.start import position_map
from vitviz.ui.pages.start import text as words
from vitviz.ui.pages.start.opening import thumbnail, tile
from vitviz.ui.selection import MAX_SIZE, UPLOAD
from vitviz.ui.server.payloads import pack, pack_picture
from vitviz.ui.text import common

BARS = 5
# Bytes of queries and keys of all layers together, in half precision. Beyond, the server computes the shares of the one
# token that is pinned.
MOST_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass of the photograph, perhaps with patches hidden.

    Attributes:
        trace: Its attention; None where only the readings were wanted.
        values: (layers + 1, outputs): the output read before the first layer and after each; None without a classifier.
    """

    trace: Trace | None
    values: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return (0 if self.trace is None else int(self.trace.nbytes)) + (
            0 if self.values is None else self.values.nbytes
        )


def figure_data(
    context: PageContext, pinned: str, hiding: HidePatches, pages: dict[str, str], refused: str = ""
) -> dict[str, Any]:
    """The data of `frontend/views/journey.js`, as JSON.

    Args:
        refused: Why a photograph was not taken, once.
    """
    changes = Interventions((hiding,) if hiding.patches else ())
    passed = _passed(context, changes)
    hidden = (
        () if passed is None else hiding.patches
    )  # patches of a link are hidden only where the changed model was run
    trace = context.traced.trace if passed is None or passed.trace is None else passed.trace
    follow = _follow(context)
    mapped = pinned or follow
    layers = _layers(context, trace, mapped, changes.encode())
    layout = context.layout
    return {
        "question": f"{context.key.model}|{context.key.weights}|{context.key.image}|{context.key.size}|{context.key.framing}",
        "picture": context.offer("shown", lambda: pack_picture(context.shown)),
        "layout": {"prefix": list(layout.prefix), "grid": list(layout.grid), "patch_size": list(layout.patch_size)},
        "channels": context.model.channels,
        "alt": words.OWN_ALT if context.image.scope else _alt(context),
        "layers": layers,
        "mapped": mapped,
        "positions": position_map.kind_of(context),
        "position_map": position_map.offered(context),
        "captions": {
            "patches": caption_of(context, "cut").format(**costs_of(context)),
            "positions": caption_of(context, "positions") or words.NO_POSITIONS,
        },
        "story": _story(context, len(layers)),
        "answer": _answer(context, passed, hidden),
        "silent": "untrained" if not context.model.trained else "features",
        "features": _features(context),
        "follow": follow,
        "output_token": _output_token(context),
        "pinned": pinned,
        "mask": list(hidden),
        **_covers(context, hiding.fill),
        "object": _object(context),
        "hiding": passed is not None,
        "gallery": [*_own_tile(context), *(tile(sample) for sample in samples())],
        "image": context.selection.image or samples()[0].id,
        "own": context.image.scope is not None,
        "pages": pages,
        "upload": {"bytes": LARGEST_UPLOAD, "side": MAX_SIZE},
        "refused": refused,
    }


def _story(context: PageContext, layers: int) -> list[dict[str, str]]:
    """The sentences of each step that are true of this model, each with its page."""
    during = [step for step in ("context", "global", "parts", "price") if caption_of(context, step)]
    steps = ["translation", "order", *(during[layer * len(during) // layers] for layer in range(layers)), "uses"]
    return [{"text": caption_of(context, step), "page": page_of(step)} for step in steps]


def _passed(context: PageContext, changes: Interventions) -> Pass | None:
    """The pass with its readings; None where the model has no blocks in a row, so that nothing can be read or hidden here."""
    if not context.one_grid:
        return None
    return _run(context, changes, read=has_classifier(context.model) and context.model.trained)


def _run(context: PageContext, changes: Interventions, *, read: bool) -> Pass:
    pixels, model = context.trace.input, context.runs_on(1)
    target = default_target(model, context.trace.logits)

    def work(progress: JobProgress) -> Pass:
        with intervene(model, changes) as changed, torch.no_grad():
            question, hidden_states = Question(changed, pixels, target), context.hidden_states
            trace: Trace | None = None
            if changes:  # one pass for the trace and for what is read between its layers
                if read:
                    trace, hidden_states = trace_and_hidden_states(changed, pixels, progress=progress)
                else:
                    trace, hidden_states = trace_input(changed, pixels, progress=progress), None
            if hidden_states:
                question.reuse({"hidden_states": hidden_states})
            try:
                values = logit_lens(question).values.float().cpu().numpy() if read else None
            except UnsupportedError:
                values = None
        return Pass(trace, values)

    found: Pass = context.ask("journey", work, common.COMPUTING, 1, changes=changes.encode())
    return found


def _layers(context: PageContext, trace: Trace, mapped: str, changes: str) -> list[dict[str, Any]]:
    """Address and grid of every layer: queries and keys, which answer for any token, or `mapped`'s shares where those are too
    many or of several grids. Where they are too many for all layers, those of the layer on the screen may be sent ("rows").
    """
    layers, layout = trace.layers, context.layout
    direct = context.one_grid and sum(_bytes_of(layer) for layer in layers) <= MOST_BYTES
    # Maps of hidden patches are made when they are fetched, so that the new prediction does not wait for them.
    kept = weakref.ref(trace)
    offer: Callable[..., str] = context.offer_later if changes else context.offer

    def rows(layer: int) -> bytes | None:
        there = kept()
        return None if there is None else pack(*layer_arrays(there.sequence("This figure")[layer], half=True))

    def shares(layer: int) -> bytes | None:
        there = kept()
        return (
            None if there is None else pack({"shares": _shares(there.layers[layer], mapped, layout).astype(np.float32)})
        )

    offered = []
    for i, layer in enumerate(layers):
        if direct:
            url = offer("journey layer", partial(rows, i), layer=i, changes=changes)
        else:
            url = offer("journey shares", partial(shares, i), layer=i, changes=changes, token=mapped)
        sent = {"url": url, "grid": list(layer.key_layout.grid), "any": direct}
        if context.one_grid and not direct and _bytes_of(layer) <= MOST_BYTES:
            sent["rows"] = offer("journey layer", partial(rows, i), layer=i, changes=changes)
        offered.append(sent)
    return offered


def _bytes_of(layer: Any) -> int:
    explicit = getattr(layer, "explicit", None)
    if explicit is not None:
        return int(explicit.numel()) * 2
    return sum(int(t.numel()) * 2 for t in (layer.q, layer.k) if t is not None)


def _same_place(token: str, entrance: TokenLayout, layout: TokenLayout) -> str:
    """The name of the token at the same place in a layer's own grid, which may be coarser."""
    cell = entrance.cell_named(token)
    if cell is None:
        return token
    row, col = (
        int((index + 0.5) * there / here) for index, here, there in zip(cell, entrance.grid, layout.grid, strict=True)
    )
    return cell_name(row, col)


def _shares(layer: Any, token: str, entrance: TokenLayout) -> np.ndarray:
    """(rows, cols) float: the mean of the heads; NaN outside of the token's window, and everywhere for a token
    that this layer does not have.
    """
    grid = layer.key_layout.grid
    try:
        weights = query_weights(layer, _same_place(token, entrance, layer.query_layout)).mean(0)
    except (UnsupportedError, ValueError):
        return np.full(grid, np.nan, np.float32)
    return weights.float().cpu().numpy()[layer.key_layout.num_prefix :].reshape(grid)  # (keys,) -> (rows, cols)


def _answer(context: PageContext, passed: Pass | None, hidden: tuple[int, ...]) -> dict[str, Any] | None:
    """The bars after every layer; None where there is nothing to read."""
    if not context.model.trained:
        return None
    now = context.traced.trace if passed is None or passed.trace is None else passed.trace
    if passed is not None and passed.values is not None:
        right = right_by_layer(context.model)
        bars = [_bars(context, row) for row in passed.values]
        steps = [
            {
                "name": row[0]["name"],
                "length": row[0]["length"],
                "right": None if right is None or len(right) != len(bars) else right[i],
            }
            for i, row in enumerate(bars)
        ]
    elif has_classifier(context.model):  # its layers cannot be read: only its output
        bars, steps = [*([] for _ in now.layers), _bars(context, _outputs(context, now))], []
    else:
        return None
    curves = {} if passed is None or passed.values is None else _curves(context, passed.values)
    whole = None
    if hidden:
        before = _outputs(context, context.traced.trace)  # (outputs,)
        index = int(before.argmax())
        place = {bar["name"]: bar for bar in _bars(context, before, len(before))}
        for bar in bars[-1]:
            bar["before"] = place[bar["name"]]["length"]
        whole = {"name": _name(context, index), "text": _text(context, float(before[index]))}
    return {
        "bars": bars,
        "steps": steps,
        "curves": curves,
        "uncertain": not hidden and _uncertain(context),
        "probability": context.model.output_kind.is_probability,
        "whole": whole,
    }


def _curves(context: PageContext, values: np.ndarray) -> dict[str, list[float]]:
    """The lengths of the bars of every class that is among the first after some layer, before the first layer and after each.

    Args:
        values: (layers + 1, outputs).
    """
    first = {int(i) for row in values for i in np.argsort(-row, kind="stable")[:BARS]}
    scale = 1.0 if context.model.output_kind.is_probability else np.maximum(np.abs(values).max(1, keepdims=True), 1e-12)
    lengths = np.maximum(values / scale, 0).round(4)  # (layers + 1, outputs)
    return {_name(context, i): lengths[:, i].tolist() for i in sorted(first)}


def _features(context: PageContext) -> str:
    """The picture of what a trained model without a classifier ends with: three principal components of its last layer's tokens
    as colours. "" for other models.
    """
    if has_classifier(context.model) or not context.model.trained or not context.one_grid:
        return ""

    def build() -> bytes:
        vectors = features_of(context, "token", len(context.layers) - 1)
        (colours,) = principal_components([vectors], 3).colours()  # (rows, cols, 3)
        return pack_picture(paint_colours(colours, colours.shape[1], colours.shape[0]))

    return context.offer("journey features", build)


# Of photographs as they were read, so that one is made small once; it goes with its photograph.
_small: weakref.WeakKeyDictionary[images.InputImage, str] = weakref.WeakKeyDictionary()


def _own_tile(context: PageContext) -> list[dict[str, Any]]:
    """This browser's own photograph, as a picture of the gallery; none where it has sent none."""
    if not images.has_upload():
        return []
    try:
        own = images.image_of(replace(context.selection, image=UPLOAD))
    except ImageError:
        return []
    if own not in _small:
        _small[own] = f"data:image/jpeg;base64,{base64.b64encode(thumbnail(own.image)).decode()}"
    return [{"id": UPLOAD, "title": words.OWN_TITLE, "alt": words.OWN_ALT, "note": "", "url": _small[own]}]


def _outputs(context: PageContext, trace: Trace) -> np.ndarray:
    """(outputs,): probabilities or plain numbers, by the kind of the outputs."""
    values: np.ndarray = context.model.output_kind.read(trace.logits[None])[0].float().cpu().numpy()
    return values


def _uncertain(context: PageContext) -> bool:
    """Whether the first name is uncertain: for classes by a measured threshold, for labels below a half."""
    kind, logits, detector = context.model.output_kind, context.traced.trace.logits, context.model.ood_detector
    if kind is OutputKind.LABELS:
        return bool(kind.read(logits[None]).max() < 0.5)
    return detector is not None and bool(detector.is_ood(logits))


def _bars(context: PageContext, values: np.ndarray, count: int = BARS) -> list[dict[str, Any]]:
    """The largest outputs, largest first: name, words for the value, and how long its bar is, 0 to 1."""
    scale = 1.0 if context.model.output_kind.is_probability else max(float(np.abs(values).max()), 1e-12)
    order = np.argsort(-values, kind="stable")[:count]
    return [
        {
            "name": _name(context, int(i)),
            "text": _text(context, float(values[i])),
            "length": max(0.0, float(values[i]) / scale),
        }
        for i in order
    ]


def _name(context: PageContext, index: int) -> str:
    return output_name(context.model.labels, index, context.model.output_kind)


def _text(context: PageContext, value: float) -> str:
    return f"{value:.1%}" if context.model.output_kind.is_probability else number(value)


def _follow(context: PageContext) -> str:
    """The patch that is shown until another is chosen: the middle of the object, or of the picture."""
    found = found_object(context)
    rows, cols = context.layout.grid
    if found is None:
        return cell_name(rows // 2, cols // 2)
    inside = np.argwhere(found.mask)  # (patches, 2): row and column
    return cell_name(*inside[((inside - inside.mean(0)) ** 2).sum(1).argmin()])


def _object(context: PageContext) -> list[int] | None:
    """Patches of the object, counted row by row; None where it cannot be separated from its surroundings."""
    found = found_object(context)
    return None if found is None else list(patches_in(found.mask))


def _output_token(context: PageContext) -> str | None:
    """The token that the output is read from, where it is one."""
    if not context.one_grid or context.trace.output_query is None:
        return None
    name = str(context.trace.output_query)
    return name if name in context.layout.prefix else None


def _covers(context: PageContext, fill: str) -> dict[str, str]:
    """The input where patches are hidden: a colour, or a picture with the pixels that replace each patch."""

    def covered() -> Image.Image:
        everything = HidePatches(tuple(range(context.layout.num_patches)), fill)
        return seen_picture(context.traced, Interventions((everything,)))

    def colour(_: object) -> str:
        return "#{:02x}{:02x}{:02x}".format(*np.asarray(covered())[0, 0].tolist())

    if fill == "blur":
        return {"fill": "", "covered": context.offer("covered by blur", lambda: pack_picture(covered()))}
    found: str = context.ask("colour of what is hidden", colour, fill=fill)
    return {"fill": found, "covered": ""}


def _alt(context: PageContext) -> str:
    return next((sample.alt for sample in samples() if sample.id == (context.selection.image or samples()[0].id)), "")
