"""Rules of style beyond Streamlit's theme, from which all colours come, and the page's icon."""

from __future__ import annotations

from functools import cache

import numpy as np
import streamlit as st
from PIL import Image

from vitviz.draw import LIGHT
from vitviz.draw.scale import table

_CSS = """<style>
/* A projector of 1024 x 768 has no room to give away. */
[data-testid="stMainBlockContainer"] { padding: 2.75rem 2rem 2rem; max-width: 1200px; }
/* A page's main figure is whole on the first screen; what of it is no component is bounded here. */
.st-key-figure [data-testid="stImage"] img { max-height: calc(100vh - 15rem); object-fit: contain; object-position: left top; }
.st-key-lead p { text-wrap: pretty; }
[data-testid="stMainBlockContainer"] h2 { padding: 0; font-size: 1.7rem; }
[data-testid="stMainBlockContainer"] h3 { padding: 0.6rem 0 0; font-size: 1.25rem; }
[data-testid="stCode"] code { font-size: 0.75rem; }
[data-testid="stSidebarUserContent"] [data-testid="stButtonGroup"] button { padding-left: 0.6rem; padding-right: 0.6rem; }
[data-testid="stHeader"] { height: 2.5rem; min-height: 2.5rem; }
[data-testid="stSidebarUserContent"] h3 { padding: 0.2rem 0 0; font-size: 1.1rem; }
[data-testid="stSidebarHeader"] { height: 2rem; }
/* What is to be compared stays side by side on a phone too. */
@media (max-width: 640px) {
  .st-key-side-by-side [data-testid="stHorizontalBlock"] { gap: 0.75rem; }
  .st-key-side-by-side [data-testid="stColumn"] { flex: 1 1 calc(50% - 0.75rem); min-width: calc(50% - 0.75rem); }
  .st-key-side-by-side [data-testid="stColumn"] [data-testid="stColumn"] { min-width: 100%; }
}
.vv-prediction { display: flex; flex-wrap: wrap; gap: 0.3rem 0.4rem; }
.vv-chip {
  padding: 0.05rem 0.5rem; font-size: 0.8125rem; border-radius: 0.5rem; white-space: nowrap; font-variant-numeric: tabular-nums;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  background: linear-gradient(
    to right, color-mix(in srgb, var(--st-primary-color, #d6006c) 28%, transparent) calc(100% * var(--share)), transparent 0
  );
}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 3rem 1rem 1.5rem; }
  [data-testid="stMainBlockContainer"] h2 { font-size: 1.4rem; }
}
</style>"""


# Streamlit writes white on a primary button, which the accent of the dark theme is too light for (2.8:1).
_DARK = """<style>
[data-testid="stBaseButton-primary"]:not(:disabled) { color: #0e1117; }
</style>"""


def apply() -> None:
    st.html(_CSS + _DARK if st.context.theme.type == "dark" else _CSS)


# CSS pixels; on a phone Streamlit hides the sidebar behind a button whatever its width.
SIDEBAR_WIDTH = 272


@cache
def icon() -> Image.Image:
    """The page's icon: a small grid of patches in the colours of a heat map. Made here, because named icons are fetched."""
    places = np.array([[40, 90, 140, 60], [90, 200, 250, 110], [60, 150, 220, 90], [20, 60, 100, 40]], np.uint8)
    pixels = np.full((64, 64, 3), 255, np.uint8)
    for (row, col), value in np.ndenumerate(places):
        pixels[row * 16 + 1 : row * 16 + 15, col * 16 + 1 : col * 16 + 15] = table(LIGHT.sequential)[value]
    return Image.fromarray(pixels)
