"""Patch features and the objects found in them, as pages ask for them; and the object as patches that can be hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from vitviz.analysis.features import FACETS, FeatureMaps, PatchFeatures, feature_maps
from vitviz.analysis.localization import FoundObject, lost, mask_cut, region_around, token_cut
from vitviz.errors import UnsupportedError
from vitviz.tokens import Cell
from vitviz.ui import state
from vitviz.ui.compute import consent
from vitviz.ui.context import PageContext
from vitviz.ui.controls.pickers import choose_layer, named
from vitviz.ui.text import common as words

CUSTOMARY = "key"  # what objects are looked for in
METHODS = ("tokencut", "lost", "maskcut")
MOST_CUT = 1400  # patches among which an object is looked for: more take seconds


def choose_facet(context: PageContext, customary: str = CUSTOMARY) -> None:
    """Layer and facet.

    Args:
        customary: The facet that the papers use for what the page shows.
    """
    readings = {facet: words.FACETS[facet] for facet in FACETS}
    readings[customary] = words.CUSTOMARY.format(facet=readings[customary])
    st.selectbox(
        words.FACET, list(readings), format_func=named(readings), help=words.FACET_HELP, **state.bound("facet")
    )
    choose_layer(len(context.layers), layer_of(context))


def layer_of(context: PageContext) -> int:
    """The chosen layer among those that relate patches."""
    return min(context.layer, len(context.layers) - 1)


def features_of(context: PageContext, facet: str, layer: int) -> PatchFeatures:
    """The patches' features. Queries and keys are in the trace; for values and tokens the model runs once more.

    Raises:
        UnsupportedError: Where the model has none of this kind.
    """
    if facet in ("key", "query"):
        maps = FeatureMaps(context.layers, (), context.layout)
        return context.ask("patch features", lambda _: maps.facet(facet, layer), facet=facet, layer=layer)

    model = context.runs_on(1)

    def work(_: object) -> tuple[PatchFeatures, ...]:
        maps = feature_maps(model, context.trace.input)
        return tuple(maps.facet(facet, index) for index in range(maps.num_layers))

    return context.ask("patch features of all layers", work, words.COMPUTING, 1, facet=facet)[layer]


def found_objects(
    context: PageContext,
    method: str = "tokencut",
    facet: str = CUSTOMARY,
    layer: int | None = None,
    count: int = 1,
    centred: bool = True,
) -> tuple[FoundObject, ...]:
    """What a method of `METHODS` finds in the picture.

    Args:
        count: Number of objects; used by "maskcut" alone.

    Raises:
        UnsupportedError: Where the model has no such features, or has too many patches.
    """
    layer = len(context.layers) - 1 if layer is None else layer
    features = features_of(context, facet, layer)

    def work(_: object) -> tuple[FoundObject, ...]:
        if method == "maskcut":
            return mask_cut(features, count, centred=centred)
        return ((lost if method == "lost" else token_cut)(features, centred=centred),)

    given = {"facet": facet, "layer": layer, "centred": centred}
    patches = len(features.values)
    products = consent.Operations(2 * patches * features.values.size)  # LOST is one product of all pairs
    operations = products if method == "lost" else consent.operations_of_cuts(patches, count)
    more = {"count": count} if method == "maskcut" else {}
    return context.ask(method, work, words.COMPUTING, operations, **given, **more)


def found_object(context: PageContext) -> FoundObject | None:
    """The object that TokenCut finds in the keys of the last layer; None where none is found."""
    if not context.model.trained or not _divisible(context):
        return None
    try:
        return found_objects(context)[0]
    except UnsupportedError:
        return None


def region_at(context: PageContext, cell: Cell) -> np.ndarray | None:
    """(rows, cols) boolean: the patches around one that are like it in the keys of the last layer; None without keys."""
    if not _divisible(context):
        return None
    try:
        return region_around(features_of(context, CUSTOMARY, len(context.layers) - 1), cell)
    except UnsupportedError:
        return None


def _divisible(context: PageContext) -> bool:
    return context.one_grid and context.layout.num_patches <= MOST_CUT


def patches_in(mask: np.ndarray) -> tuple[int, ...]:
    """A mask (rows, cols) as patches counted row by row."""
    return tuple(int(patch) for patch in np.flatnonzero(mask))


def private_with(context: PageContext, *others: PageContext) -> PageContext:
    """The context for questions about all these pictures together: their answers are private where one of them is."""
    scopes = [each.key.scope for each in (context, *others) if each.key.scope is not None]
    return replace(context, key=replace(context.key, scope=scopes[0] if scopes else None))
