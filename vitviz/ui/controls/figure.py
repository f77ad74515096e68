"""A figure on a page, with its exports: "download PNG" and "copy as Python"."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.image_utils import MAXIMUM_CONTENT_WIDTH

from vitviz.figure import Figure
from vitviz.ui.components.mounting import reserve
from vitviz.ui.context import PageContext
from vitviz.ui.text import common as words

# On a projector of 1024 x 768 half a page is 336 pixels wide and a whole one 654: small print of 16 pixels is 12 there.
HALF, _WHOLE = 420, 840
SHARP = 960  # a picture without words is drawn finer than it is shown


def whole(context: PageContext) -> int:
    """The width in pixels at which a picture as wide as the page is drawn."""
    return HALF if context.phone else _WHOLE


@dataclass(frozen=True)
class Rendered:
    """A figure without its arrays, so that many can be kept."""

    png: bytes
    shown: bytes  # the same, or smaller: what Streamlit sends as it is
    alt: str
    snippet: str
    size: tuple[int, int]  # pixels: (width, height)

    @property
    def nbytes(self) -> int:
        return len(self.png) + (len(self.shown) if self.shown is not self.png else 0)


@dataclass(frozen=True)
class _Recipe:
    """How to draw one figure, and the name under which it is kept once drawn."""

    context: PageContext
    name: str
    make: Callable[[], Figure]
    params: Mapping[str, Hashable]

    @property
    def _appearance(self) -> dict[str, Hashable]:
        return {"theme": self.context.theme.name, "phone": self.context.phone}

    def drawn(self) -> Rendered:
        return self.context.ask(f"figure {self.name}", self._draw, **self._appearance, **self.params)

    def png(self) -> bytes:
        """For a download: called outside the runs of pages."""
        return self.context.fetch(f"figure {self.name}", self._draw, **self._appearance, **self.params).png

    def show(self, image: Callable[..., object]) -> None:
        drawn = self.drawn()
        # Left as it is: for any other format or width Streamlit would make another file in every run.
        image(drawn.shown, width="stretch", output_format="PNG", alt=drawn.alt)

    def _draw(self, _: object) -> Rendered:
        figure = self.make()
        png = figure.png()  # once: a chart takes as long to draw as a pass of a small model
        drawn = Image.open(io.BytesIO(png))
        return Rendered(png, _as_sent(drawn) or png, figure.alt, figure.snippet, drawn.size)


def _as_sent(drawn: Image.Image) -> bytes:
    """A picture that is wider than Streamlit sends, scaled down once and not in every run; empty for any other."""
    if drawn.width <= MAXIMUM_CONTENT_WIDTH:
        return b""
    height = round(drawn.height * MAXIMUM_CONTENT_WIDTH / drawn.width)
    file = io.BytesIO()
    drawn.resize((MAXIMUM_CONTENT_WIDTH, height), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def show(
    context: PageContext,
    name: str,
    make: Callable[[], Figure],
    *,
    width: int | None = None,
    exported: bool = True,
    **params: Hashable,
) -> None:
    """Shows the figure.

    Args:
        width: CSS pixels, the full width where not given.
        exported: Whether its exports stand below it; those of a page's main figure stand among the details.
    """
    recipe = _Recipe(context, name, make, params)
    wide, high = recipe.drawn().size
    # The browser knows a picture's shape only once it has the file.
    across = f"{width}px" if width else "100%"
    place = f"picture of {name}"
    reserve(place, f"width: {across}; max-width: 100%; aspect-ratio: {wide} / {high}; max-height: var(--vv-tallest);")
    with st.container(key=place):
        recipe.show(st.image)
    if exported:
        exports(context, name, make, **params)


def show_in(
    place: DeltaGenerator, context: PageContext, name: str, make: Callable[[], Figure], **params: Hashable
) -> None:
    """The figure alone, in a place for one element (`st.empty`), where it takes the place of what stood there."""
    _Recipe(context, name, make, params).show(place.image)


def exports(
    context: PageContext, name: str, make: Callable[[], Figure], *, label: Hashable = "", **params: Hashable
) -> None:
    """Download and code, for a figure or for a component that shows the same numbers; drawn when it is asked for.

    Args:
        label: Says which figure, where they do not stand below it.
    """
    recipe = _Recipe(context, name, make, params)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if label:
            st.caption(str(label))
        file = f"{words.NAME}-{name.replace(' ', '-')}.png"
        st.download_button(
            words.DOWNLOAD_PNG,
            recipe.png,
            file,
            "image/png",
            key=f"download {name}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
        code = st.popover(
            words.COPY_PYTHON, type="tertiary", icon=":material/code:", key=f"code of {name}", on_change="rerun"
        )
        if code.open:
            with code:
                st.caption(words.SNIPPET_HELP)
                st.code(recipe.drawn().snippet)
