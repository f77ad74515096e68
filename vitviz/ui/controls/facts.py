"""What is true of the model and picture on the screen, by the names with which texts say when they hold."""

from __future__ import annotations

from collections.abc import Callable

from vitviz.analysis.layers import COLLECTING, GLOBAL, POOLED, SHIFTED, SPREAD, WINDOWS, layer_kind
from vitviz.analysis.patches import is_cut
from vitviz.analysis.positions import position_kinds
from vitviz.capture.modules import patch_filters
from vitviz.models import Model
from vitviz.outputs import OutputKind
from vitviz.samples import samples
from vitviz.ui.context import PageContext, prepared_context


def kinds_of_positions(context: PageContext) -> tuple[str, ...]:
    """How this model encodes the positions of patches, as `position_kinds`; asked once."""
    found: tuple[str, ...] = context.of_model.ask("position kinds", _position_kinds(context))
    return found


def prepare_first_view(model: Model) -> None:
    """Computes what the start page shows of the gallery's first photograph, before anybody asks."""
    context = prepared_context(model)
    context.of_model.fetch("position kinds", _position_kinds(context))


def _position_kinds(context: PageContext) -> Callable[[object], tuple[str, ...]]:
    def work(_: object) -> tuple[str, ...]:
        with context.model.lock:
            return position_kinds(context.model, context.layout)

    return work


def _kinds_of_layers(context: PageContext) -> set[str]:
    trace = context.traced.trace
    return {layer_kind(layer) for layer in (*trace.layers, *trace.pooling)}


def _grids(context: PageContext) -> int:
    return len({layer.query_layout.grid for layer in context.traced.trace.layers if layer.query_layout.num_patches})


def _one_of(*kinds: str) -> Callable[[PageContext], bool]:
    return lambda context: bool(_kinds_of_layers(context) & set(kinds))


def _placed(*kinds: str) -> Callable[[PageContext], bool]:
    return lambda context: bool(set(kinds_of_positions(context)) & set(kinds))


FACTS: dict[str, Callable[[PageContext], bool]] = {
    # what people have at hand: the browser alone knows, and shows one of the two
    "mouse": lambda context: True,
    "touch": lambda context: True,
    # the picture
    "motorcycle": lambda context: (context.selection.image or samples()[0].id) == "motorcycle",
    # the weights and what comes out
    "trained": lambda context: context.model.weights != "random",
    "classes": lambda context: context.model.output_kind is OutputKind.CLASSES,
    "answers": lambda context: context.model.output_kind is not OutputKind.FEATURES,
    # the entrance
    "cuts": lambda context: is_cut(context.model, context.layout),
    "filters": lambda context: patch_filters(context.model.module) is not None,
    # the sequence
    "class token": lambda context: "cls" in context.layout.prefix,
    # positions
    "added": _placed("learned", "sin-cos"),
    "learned positions": _placed("learned"),
    "sin-cos": _placed("sin-cos"),
    "rotary": _placed("rotary"),
    "relative": _placed("relative"),
    # layers
    "only global": lambda context: (
        GLOBAL in (kinds := _kinds_of_layers(context)) and kinds <= {GLOBAL, COLLECTING} and _grids(context) < 2
    ),
    "stages": lambda context: _grids(context) > 1,
    "windows": _one_of(WINDOWS, SHIFTED, SPREAD),
    "shifted": _one_of(SHIFTED),
    "spread": _one_of(SPREAD),
    "pooled": _one_of(POOLED),
    "collecting": _one_of(COLLECTING),
}


class Facts:
    """The facts of one page context, each found out when it is first asked for: `"rotary" in Facts(context)`."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._known: dict[str, bool] = {}

    def __contains__(self, fact: object) -> bool:
        if fact not in self._known:
            self._known[str(fact)] = FACTS[str(fact)](self._context)
        return self._known[str(fact)]
