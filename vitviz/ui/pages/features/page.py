"""Which patches are similar to the model? Similarity to one patch, principal components as colours, and groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from PIL import Image

from vitviz.analysis.features import FACETS, feature_maps
from vitviz.analysis.masks import upsampled
from vitviz.draw.objects import paint_clusters, paint_colours
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.features import clusters_figure, components_figure, similarity_figure
from vitviz.ui import state
from vitviz.ui.components.features import MOST_PHOTOGRAPHS, Photograph, features
from vitviz.ui.compute import images
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure, objects, tables
from vitviz.ui.controls.captions import caption
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import named
from vitviz.ui.pages.features import text as words
from vitviz.ui.pages.features.pictures import ALONE, PARTNERS, Pictures, on, others_of, title_of, titles
from vitviz.ui.server.payloads import pack, pack_picture
from vitviz.ui.text import common
from vitviz.ui.text.common import PageText

PAIRS_DRAWN = 24
MOST_COMPARED = 2_000  # patches: the similarities of 20,000 would take gigabytes
SMOOTH_SCALE = 3  # pixels of smooth colours for one of the model's input
SECOND_UPLOAD = "second upload"


def render(context: PageContext) -> None:
    kind = str(state.value_of("shows"))
    with page(_text(context, kind), context) as its:
        if not context.trace.layers:
            st.info(words.NO_LAYERS)
            return
        customary = "token" if kind == "components" else objects.CUSTOMARY
        with its.controls():
            _choices(context, kind)
        with its.settings():
            if kind == "components":
                _toggle(words.FOREGROUND, words.FOREGROUND_HELP, "foreground", ("all", "object"))
                _toggle(words.SMOOTH, words.SMOOTH_HELP, "edges", ("patches", "pixels"))
            elif kind == "groups":
                _toggle(words.REFINED, words.REFINED_HELP, "edges", ("patches", "pixels"))
            objects.choose_facet(context, customary)
            caption(words.CUSTOMARY[kind])
            st.file_uploader(words.UPLOAD_SECOND, key=SECOND_UPLOAD, on_change=_taken)
        with its.figure(), guarded("features"):
            pictures = Pictures.opened(context, kind, str(state.value_of("facet")), objects.layer_of(context))
            {"alike": _alike, "components": _components, "groups": _groups}[kind](pictures)
            details = its.details()
            if details.open:
                with details:
                    _details(pictures)


def _text(context: PageContext, kind: str) -> PageText:
    """The page's texts; `try_this` names the second photograph where it is the motorcycle's partner."""
    text = words.PAGES[kind]
    if kind != "alike":
        return text
    wheels = words.WHEELS_OF_BOTH if others_of(context)[:1] == [PARTNERS["motorcycle"]] else words.WHEELS
    return replace(text, try_this=wheels + text.try_this)


def _taken() -> None:
    file = st.session_state[SECOND_UPLOAD]
    if file is not None and images.keep_upload(file.getvalue(), images.SECOND):
        state.change(others=images.SECOND)


def _choices(context: PageContext, kind: str) -> None:
    st.segmented_control(
        words.SHOWS,
        list(words.SHOWN),
        format_func=named(words.SHOWN),
        required=True,
        label_visibility="collapsed",
        **state.bound("shows"),
    )
    known, others = titles(context), others_of(context)
    if kind == "alike":
        known |= {ALONE: words.ALONE}

        def read(name: str) -> str:  # the others are kept for the other views
            return name if name == ALONE else ",".join(dict.fromkeys([name, *others[1:]]))

        st.selectbox(
            words.SECOND, list(known), format_func=named(known), **state.bound("others", [*others, ALONE][0], read)
        )
        if others:
            _toggle(words.PAIRS, words.PAIRS_HELP, "pairs", ("hidden", "shown"))
        return
    st.multiselect(
        words.PHOTOGRAPHS,
        list(known),
        format_func=named(known),
        max_selections=MOST_PHOTOGRAPHS - 1,
        width=140 if kind == "groups" else 190,
        **state.bound("others", others, lambda names: ",".join(names) or ALONE, part="together"),
    )
    if kind == "groups":
        st.slider(words.GROUPS, 2, 12, width=100, **state.bound("groups"))


def _toggle(label: str, explained: str, name: str, values: tuple[str, str]) -> None:
    st.toggle(label, help=explained, **state.bound(name, on(name), lambda chosen: values[int(chosen)]))


# The figure


def _photograph(context: PageContext, **addresses: str) -> Photograph:
    rows, cols = context.layout.grid
    picture = context.offer("shown", lambda: pack_picture(context.shown))
    return Photograph(title_of(context), rows, cols, context.shown.width / context.shown.height, picture, **addresses)


def _mounted(
    pictures: Pictures, shown: Sequence[Photograph], pairs: str | None = None, sizes: Sequence[int] = ()
) -> None:
    features(
        shown,
        pictures.source(),
        pictures.keep,
        words=words.FIGURE,
        alt=words.ALT[pictures.kind],
        pairs=pairs,
        sizes=sizes,
        key="features",
    )


def _alike(pictures: Pictures) -> None:
    vectors = pictures.vectors()
    pairs = None
    if on("pairs") and len(vectors) > 1:
        found = pictures.pairs()

        def build() -> bytes:
            ends = {"source": found.source, "target": found.target}
            return pack({name: each[:PAIRS_DRAWN].astype(np.int32) for name, each in ends.items()})

        pairs = pictures.offer("mutual pairs", build)

    def address(at: int) -> str:
        build = lambda: pack({"features": vectors[at].packed()})  # noqa: E731
        return pictures.contexts[at].offer("packed features", build, facet=pictures.facet, layer=pictures.layer)

    _mounted(pictures, [_photograph(of, features=address(at)) for at, of in enumerate(pictures.contexts)], pairs)


def _components(pictures: Pictures) -> None:
    found, smooth, foreground = pictures.components(), on("edges"), on("foreground")
    colours = found.colours()

    def painted(at: int) -> bytes:
        of = colours[at]  # (rows, cols, 3)
        if not smooth:
            return pack_picture(paint_colours(of, of.shape[1], of.shape[0]))
        width, height = (SMOOTH_SCALE * side for side in pictures.contexts[at].shown.size)
        return pack_picture(paint_colours(upsampled(of, (height, width)), width, height))

    def numbers(at: int) -> bytes:
        values = found.values[at]
        return pack({"values": values.reshape(-1, values.shape[-1])})  # (rows, cols, 3) -> (patches, 3)

    def shown(at: int, of: PageContext) -> Photograph:
        return _photograph(
            of,
            painted=pictures.offer(
                "painted components", lambda: painted(at), at=at, smooth=smooth, foreground=foreground
            ),
            numbers=pictures.offer("components", lambda: numbers(at), at=at, foreground=foreground),
        )

    _mounted(pictures, [shown(at, of) for at, of in enumerate(pictures.contexts)])


def _groups(pictures: Pictures) -> None:
    labels, source = pictures.groups(), pictures.source()
    count, refined = int(state.value_of("groups")), on("edges")
    cell = pictures.contexts[source.picture].layout.cell_named(source.cell)
    alone = int(labels[source.picture][cell]) if source.chosen and cell is not None else None
    drawn = [pictures.drawn_groups(at) for at in range(len(labels))]

    def painted(at: int) -> bytes:
        of = drawn[at] if alone is None else np.where(drawn[at] == alone, drawn[at], -1)
        return pack_picture(_clusters(pictures.contexts[at].shown, of))

    def numbers(at: int) -> bytes:
        return pack({"values": labels[at].reshape(-1, 1).astype(np.float32)})  # (rows, cols) -> (patches, 1)

    def shown(at: int, of: PageContext) -> Photograph:
        return _photograph(
            of,
            painted=pictures.offer(
                "painted groups", lambda: painted(at), at=at, refined=refined, alone=alone, count=count
            ),
            numbers=pictures.offer("groups", lambda: numbers(at), at=at, count=count),
        )

    sizes = np.bincount(np.concatenate([each.ravel() for each in labels])).tolist()
    _mounted(pictures, [shown(at, of) for at, of in enumerate(pictures.contexts)], sizes=sizes)


def _clusters(picture: Image.Image, labels: np.ndarray) -> Image.Image:
    """The groups over the picture, enlarged first, so that borders of patches stay sharp on the page."""
    width, height = (SMOOTH_SCALE * side for side in picture.size)
    return paint_clusters(picture.resize((width, height), Image.Resampling.LANCZOS), labels)


# Numbers and exports


def _details(pictures: Pictures) -> None:
    if pictures.kind == "alike":
        _facets(pictures)
        if len(pictures.contexts) > 1:
            found = len(pictures.pairs().source)
            caption(words.COUNTED_PAIRS, count=found, shown=min(PAIRS_DRAWN, found))
    elif pictures.kind == "components":
        parts = pictures.components()
        kept = sum(int(each.sum()) for each in parts.foreground)
        total = sum(each.size for each in parts.foreground)
        caption(words.EXPLAINED, share=float(parts.explained.sum()), kept=kept, total=total)
    else:
        drawn = [pictures.drawn_groups(at) for at in range(len(pictures.contexts))]
        st.download_button(
            common.DOWNLOAD_COCO,
            lambda: json.dumps(pictures.groups_coco(drawn)),  # on request: large photographs have large masks
            f"{common.NAME}-groups.json",
            "application/json",
            key="download groups",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
    _exports(pictures)


def _facets(pictures: Pictures) -> None:
    """The spread of similarities for each kind of vectors: cosines of different kinds are not comparable."""
    context, layer = pictures.contexts[0], pictures.layer
    rows = []
    for facet in FACETS:
        try:
            rows.append((common.FACETS[facet], *quartiles(context, facet, layer)))
        except UnsupportedError:  # a model that gives weights alone
            continue
    caption(words.DIFFER, layer=layer)
    tables.show(tables.STYLE)
    names, low, high = zip(*rows, strict=True)
    columns = (names, [f"{value:.2f}" for value in low], [f"{value:.2f}" for value in high])
    tables.show(tables.numbers([*map(tables.Column, words.DIFFER_COLUMNS, columns)]))


def quartiles(context: PageContext, facet: str, layer: int) -> tuple[float, float]:
    """Between which two values half of the similarities of different patches lie; of every nth patch where there are many."""
    own = objects.features_of(context, facet, layer)

    def work(_: object) -> tuple[float, float]:
        some = own.unit[:: -(-len(own.values) // MOST_COMPARED)]
        similar = some @ some.T
        low, high = np.percentile(similar[~np.eye(len(similar), dtype=bool)], (25, 75))
        return float(low), float(high)

    return context.ask("spread of similarity", work, facet=facet, layer=layer)


FIGURES = {"alike": "similar patches", "components": "principal components", "groups": "patch groups"}


def _exports(pictures: Pictures) -> None:
    foreground, smooth, count = on("foreground"), on("edges"), int(state.value_of("groups"))
    source, of = pictures.source(), pictures
    cell = pictures.contexts[source.picture].layout.cell_named(source.cell)
    assert cell is not None  # `source` names an existing patch
    edges = [of.drawn_groups(at) for at in range(len(of.contexts))] if smooth and of.kind == "groups" else []

    def make() -> Figure:
        given = [(each.subject, feature_maps(each.model, each.trace.input)) for each in of.contexts]
        (subject, maps), others = given[0], given[1:]
        if of.kind == "components":
            return components_figure(subject, maps, of.facet, of.layer, foreground, smooth, others=others)
        if of.kind == "groups":
            return clusters_figure(subject, maps, count, of.facet, of.layer, others=others, along_edges=edges)
        if source.picture:
            (subject, maps), others = given[1], given[:1]
        return similarity_figure(subject, maps, cell, of.facet, of.layer, of.together.theme, others=others)

    arguments = {**of.params, "foreground": foreground, "smooth": smooth, "count": count, "source": source}
    figure.exports(of.together, FIGURES[of.kind], make, label="", **arguments)
