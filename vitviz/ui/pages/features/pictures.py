"""Photographs in one model, one kind of vectors of their patches, and what is computed of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from vitviz.analysis.features import (
    STARTS,
    Correspondences,
    PatchComponents,
    PatchFeatures,
    cluster_patches,
    correspondences,
    principal_components,
)
from vitviz.analysis.masks import Annotation, coco, in_photograph, refine_labels
from vitviz.samples import samples
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.features import MOST_PHOTOGRAPHS, SourcePatch
from vitviz.ui.compute import consent, images, loading
from vitviz.ui.context import PageContext, open_context
from vitviz.ui.controls import objects
from vitviz.ui.controls.pickers import mark, marked_patch
from vitviz.ui.pages.features import text as words
from vitviz.ui.selection import UPLOAD
from vitviz.ui.text import common

T = TypeVar("T")

# The photograph beside which one of the gallery is first shown, and the first patch on it, as shares of height and width.
PARTNERS = {
    "motorcycle": "fire-engine",
    "fire-engine": "motorcycle",
    "cat": "dogs",
    "dogs": "cat",
    "koala": "panda",
    "panda": "koala",
    "coffee": "coins",
    "crocodile": "goldfish",
}
ALONE = "alone"  # in place of other photographs, where the selected one is shown alone
BEGINNINGS = {"motorcycle": (0.7, 0.17), "cat": (0.43, 0.33)}


def on(name: str) -> bool:
    """Whether a parameter of two values has its second one."""
    return str(state.value_of(name)) in ("shown", "object", "pixels")


def titles(context: PageContext) -> dict[str, str]:
    """Photographs that can be shown beside the selected one, the default first."""
    here = context.selection.image or samples()[0].id
    found = {sample.id: sample.title for sample in samples() if sample.id != here}
    own = {images.SECOND: words.OWN_SECOND, UPLOAD: words.OWN_FIRST}
    found |= {name: title for name, title in own.items() if name != here and images.has_upload(name)}
    partner = PARTNERS.get(here, "")
    return {partner: found[partner]} | found if partner in found else found


def others_of(context: PageContext) -> list[str]:
    """Names of the photographs beside the selected one."""
    known, wanted = titles(context), str(state.value_of("others"))
    if wanted == ALONE:
        return []
    chosen = [name for name in wanted.split(",") if name in known]
    return list(dict.fromkeys(chosen))[: MOST_PHOTOGRAPHS - 1] or [next(iter(known))]


def title_of(context: PageContext) -> str:
    """The title of a photograph."""
    own = {images.SECOND: words.OWN_SECOND, UPLOAD: words.OWN_FIRST}
    return ({sample.id: sample.title for sample in samples()} | own)[context.selection.image or samples()[0].id]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Photographs in one model, and the vectors that stand for their patches.

    Attributes:
        contexts: One a photograph, the selected one first.
        kind: "alike", "components" or "groups".
        facet, layer: Of the vectors.
    """

    contexts: tuple[PageContext, ...]
    kind: str
    facet: str
    layer: int

    @classmethod
    def opened(cls, context: PageContext, kind: str, facet: str, layer: int) -> Pictures:
        """The selected photograph and those beside it: one where patches are compared, all that were chosen otherwise."""
        names = others_of(context)
        contexts = [context]
        for name in names[:1] if kind == "alike" else names:
            wanted = replace(context.selection, image=name)
            contexts.append(open_context(wanted, loading.model_of(wanted), images.image_of(wanted))[0])
        return cls(tuple(contexts), kind, facet, layer)

    @property
    def together(self) -> PageContext:
        """The context for results of all of them: private if one of them is."""
        return objects.private_with(*self.contexts)

    @property
    def params(self) -> dict[str, Hashable]:
        """The parameters that every result of all of them depends on."""
        return {"facet": self.facet, "layer": self.layer, "others": tuple(each.key for each in self.contexts[1:])}

    def ask(self, what: str, work: Callable[[Any], T], operations: float = 0.0, /, **more: Hashable) -> T:
        """The result of `work`, as `PageContext.ask` gives it, for these pictures, facet and layer.

        Args:
            what: Name of the result.
            work: Computes it.
            operations: Estimated number of operations.
            **more: Further parameters that the result depends on.

        Returns:
            What `work` returns.
        """
        counted = consent.Operations(operations)
        return self.together.ask(what, work, common.COMPUTING, counted, **self.params, **more)

    def offer(self, what: str, build: Callable[[], bytes], **more: Hashable) -> str:
        return self.together.offer(what, build, **self.params, **more)

    def vectors(self) -> list[PatchFeatures]:
        """The features of each."""
        return [objects.features_of(each, self.facet, self.layer) for each in self.contexts]

    def pairs(self) -> Correspondences:
        """Mutual neighbours of the first two photographs, the most alike first."""
        one, two = self.vectors()[:2]
        operations = 2.0 * len(one.values) * two.values.size
        return self.ask("mutual pairs", lambda _: correspondences(one, two), operations)

    def components(self) -> PatchComponents:
        """Principal components of all of them together."""
        vectors, foreground = self.vectors(), on("foreground")
        width = vectors[0].values.shape[1]
        operations = 4.0 * width**3 + sum(4.0 * width * each.values.size for each in vectors)
        return self.ask(
            "joint components",
            lambda _: principal_components(vectors, 3, foreground),
            operations,
            foreground=foreground,
        )

    def groups(self) -> tuple[np.ndarray, ...]:
        """(rows, cols) int of each: the groups of all of them together."""
        vectors, count = self.vectors(), int(state.value_of("groups"))
        # k-means: several starts, some tens of rounds each, in which every vector is compared with every group's.
        operations = 2.0 * STARTS * 30 * count * sum(each.values.size for each in vectors)
        return self.ask("joint groups", lambda _: cluster_patches(vectors, count), operations, count=count)

    def drawn_groups(self, at: int) -> np.ndarray:
        """The groups of one photograph as they are drawn: (rows, cols) int, or along its edges (height, width)."""
        labels = self.groups()[at]
        if not on("edges"):
            return labels
        shown = np.asarray(self.contexts[at].shown.convert("RGB"))
        count = int(state.value_of("groups"))
        return self.ask(
            "groups along edges",
            lambda _: refine_labels(labels, shown).astype(np.int16),
            consent.operations_of_walk(shown.shape[0] * shown.shape[1], count),
            count=count,
            at=at,
        )

    def groups_coco(self, drawn: Sequence[np.ndarray]) -> dict[str, Any]:
        """Every group of every photograph as one annotation, in the photograph's own pixels.

        Args:
            drawn: `drawn_groups` of each.
        """
        sizes, found = {}, []
        for context, labels in zip(self.contexts, drawn, strict=True):
            photograph, name = context.image.image, context.traced.image_name.rpartition("/")[2]
            sizes[name] = (photograph.height, photograph.width)
            for group in np.unique(labels):
                mask = in_photograph(labels == group, context.traced.prepared.box, sizes[name])
                rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                if len(rows):
                    box = (float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))
                    found.append(Annotation(name, box, mask, words.GROUP_NAME.format(number=int(group) + 1)))
        return coco(sizes, found)

    def source(self) -> SourcePatch:
        """The chosen patch of the second photograph, else the marked one of the first, else one to begin with."""
        context = self.contexts[0]
        there = self.contexts[1].layout.cell_named(str(state.value_of("there"))) if len(self.contexts) > 1 else None
        if there is not None:
            return SourcePatch(1, cell_name(*there), True)
        marked = marked_patch(context)
        if marked is not None:
            return SourcePatch(0, cell_name(*marked), True)
        down, across = BEGINNINGS.get(context.selection.image or samples()[0].id, (0.5, 0.5))
        rows, cols = context.layout.grid
        return SourcePatch(0, cell_name(int(down * rows), int(across * cols)), False)

    def keep(self, chosen: SourcePatch | None) -> None:
        """Stores a choice of the browser: a patch of the selected photograph for all pages, of another one for this
        page alone.
        """
        context = self.contexts[0]
        if chosen is None:
            query = context.selection.query
            state.change(there="", pin="", query="" if context.layout.cell_named(query) else query)
        elif chosen.picture == 0 and (cell := context.layout.cell_named(chosen.cell)) is not None:
            mark(context, cell)
            state.change(there="")
        elif chosen.picture == 1:
            state.change(there=chosen.cell)
