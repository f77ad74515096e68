"""Rules of style beyond Streamlit's theme, from which all colours come, and the page's icon."""

from __future__ import annotations

from functools import cache

import streamlit as st
from PIL import Image

from vitviz.ui.server.route import NARROW_COOKIE

# Part of the page from the first moment.
CSS = """
/* A projector of 1024 x 768 has little height. */
[data-testid="stMainBlockContainer"] { padding: 0.3rem 2rem 2rem; max-width: 2100px; }
/* Room for the sidebar, which is drawn after the page has begun. */
@media (min-width: 769px) {
  [data-testid="stAppViewContainer"]:not(:has([data-testid="stSidebar"])) { padding-left: 272px; }
}
/* What is done with a mouse and keys is said where there are some, and what fingers do where they are all there is. */
.vv-touch { display: none; }
@media (hover: none) { .vv-mouse { display: none; } .vv-touch { display: inline; } }
/* What stands below a figure is not seen before the figure is there, since it would be pushed down. */
.stMain:not(:has(.vv-drawn)) :has(> :is(.st-key-lead, .st-key-controls, .st-key-below, .st-key-around, .st-key-along)),
.stMain:not(:has(.vv-drawn)) :has(> .st-key-controls) + *,
.stMain:not(:has(.vv-drawn)) .st-key-figure > :not([data-testid="stElementContainer"]:first-child)
  [data-testid="stCaptionContainer"],
.stMain:not(:has(.vv-drawn)) .st-key-figure > :not(:first-child):has(> [data-testid="stMarkdown"]) { display: none; }
/* Nor is a figure whose parts still have no scripts: they are 40 pixels high until then, whatever their place is. */
.stMain:not(:has(.vv-drawn)) .st-key-figure:has([data-testid="stSkeleton"]) { visibility: hidden; }
/* A control with a name above it is 68 pixels high, and its script may come after the buttons beside it. */
.st-key-controls:has([data-testid="stSkeleton"]) { min-height: 68px; }
/* Nothing is seen below an element whose script is still loading: its place may be too low until then. */
:is([data-testid="stSidebarUserContent"], [data-testid="stMain"])
  :is([data-testid="stElementContainer"], [data-testid="stLayoutWrapper"]):has([data-testid="stSkeleton"]) ~ * {
  display: none;
}
/* Nor what stands below open details before those are complete. */
.stMain :has(> .st-key-below details[open]):not(:has(.vv-detailed)) ~ * { display: none; }
/* What is waited for before a page is there lies where its figure will be, and moves nothing when it goes. */
:has(> .st-key-view):not(:has(> .st-key-view [data-testid="stAlert"])) {
  position: absolute; top: 7rem; left: 2rem; right: 2rem;
}
/* How far the server has started, and what is waited for where a figure stands already: in the corner. */
:has(> .st-key-starting),
.stMain:has(:is(.vv-drawn, .st-key-journey)) :has(> [class*="st-key-waiting-"]) { position: absolute; }
.st-key-starting, .stMain:has(:is(.vv-drawn, .st-key-journey)) [class*="st-key-waiting-"] {
  position: fixed; right: 1.5rem; bottom: 1rem; width: 20rem; max-width: calc(100vw - 3rem); z-index: 999990;
  background: var(--vv-paper, #fff); border-radius: 4px; padding: 0.2rem 0.6rem;
}
[data-testid="stApp"]:has(.st-key-starting) [data-testid="stStatusWidget"] { display: none; }
/* The line of input, answer and presenter's button stands in the height of Streamlit's own header, beside its buttons. */
[data-testid="stHeader"] { background: transparent; pointer-events: none; }
[data-testid="stHeader"] :is(button, a) { pointer-events: auto; }
.st-key-top { flex: none; height: 2.9rem; min-height: 2.9rem; padding-right: 2rem; }
[data-testid="stApp"]:has([data-testid="stExpandSidebarButton"]) .st-key-top { padding-left: 2rem; }
.st-key-answer { flex: 1 1 auto; min-width: 0; overflow: hidden; }
.st-key-answer > * { flex: none; }
.st-key-answer > :is(:has(.vv-prediction), :has([data-testid="stCaptionContainer"])) { flex: 0 1 auto; min-width: 0; }
.st-key-answer [data-testid="stCaptionContainer"] p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.st-key-top > :has(.st-key-answer) { flex: 1 1 0; min-width: 0; width: auto; }
.st-key-top > :has(.st-key-enter-presenter) { flex: none; margin-left: auto; width: auto; }
.st-key-figure { padding-top: 0.4rem; }
.st-key-journey { container-type: inline-size; } /* of its empty places, before it is there */
/* Streamlit's accent on its own tint has 3.7:1: frame and tint say what is chosen. A link is a target of 24 pixels. */
button[data-selected="true"]:is([data-variant="segmented_control"], [data-variant="pills"]) p { color: var(--vv-ink, #22252b); }
[data-testid="stPageLink-NavLink"] { min-height: 24px; }
[data-testid="stSidebarUserContent"] .stElementContainer:has(> [data-testid="stPageLink"]) { margin: -0.25rem 0; }
/* Side by side with lists, whose names else stood higher. */
.st-key-controls button:is([data-variant="segmented_control"], [data-variant="pills"]) { min-height: 35px; }
/* The name of a number is told in full. */
[data-testid="stMetricLabel"] :is(div, p) { overflow: visible; white-space: normal; }
/* Small print in Streamlit's grey has a contrast of 4.2:1. */
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] :is(p, li, abbr) { color: inherit; }
[data-testid="stCaptionContainer"] { opacity: 0.8; }
.st-key-answer img { border-radius: 3px; }
.st-key-top button p, .st-key-along p { white-space: nowrap; }
.st-key-along { border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent); padding-top: 0.6rem; }
.st-key-list-of-pages { display: none; }
/* A page's main figure is whole on the first screen; what of it is no component is bounded here. */
.st-key-figure { --vv-tallest: calc(100svh - 240px); }
.st-key-figure [data-testid="stImage"] img { max-height: var(--vv-tallest); object-fit: contain; object-position: left top; }
.st-key-lead p { text-wrap: pretty; }
/* Three sizes of type: of headings, of text (`baseFontSize`), of small print. */
:root { --vv-large: 20px; --vv-small: 0.875rem; }
[data-testid="stMainBlockContainer"] h2 { padding: 0; font-size: var(--vv-large); line-height: 1.5rem; }
[data-testid="stMainBlockContainer"] h3 { padding: 0.6rem 0 0; font-size: 1rem; }
[data-testid="stCode"] code { font-size: var(--vv-small); }
/* No boxes: what can be pressed has a ground of its own, and a part of a page has space above it. */
[data-testid="stExpander"] details { border: 0; }
[data-testid="stExpander"] details > * { padding-left: 0; padding-right: 0; }
:is([data-testid="stBaseButton-secondary"], [data-testid="stPopoverButton"],
[data-testid="stBaseButton-segmented_control"], [data-testid="stBaseButton-pills"]) {
  background: color-mix(in srgb, currentColor 7%, transparent); border-color: transparent;
}
[data-testid="stSidebarUserContent"] [data-testid="stButtonGroup"] button { padding-left: 0.6rem; padding-right: 0.6rem; }
[data-testid="stHeader"] { height: 2.5rem; min-height: 2.5rem; }
[data-testid="stSidebarUserContent"] h3 { padding: 0.2rem 0 0; font-size: 1rem; }
[data-testid="stSidebarHeader"] { height: 2rem; }
/* What is to be compared stays side by side on a phone too. */
@media (max-width: 640px) {
  .st-key-side-by-side [data-testid="stHorizontalBlock"] { gap: 0.75rem; }
  .st-key-side-by-side [data-testid="stColumn"] { flex: 1 1 calc(50% - 0.75rem); min-width: calc(50% - 0.75rem); }
  .st-key-side-by-side [data-testid="stColumn"] [data-testid="stColumn"] { min-width: 100%; }
}
.vv-note {
  position: fixed; left: 1rem; bottom: 4rem; z-index: 1000000; max-width: 20rem; padding: 0.6rem 0.8rem; border-radius: 4px;
  background: #22252b; color: #fff;
}
.vv-note:empty { display: none; }
.vv-prediction { display: flex; gap: 0.4rem; overflow: hidden; align-items: center; white-space: nowrap; }
.vv-chip {
  padding: 0.05rem 0.5rem; font-size: var(--vv-small); border-radius: 0.5rem; white-space: nowrap;
  font-variant-numeric: tabular-nums; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  background: linear-gradient(
    to right, color-mix(in srgb, var(--st-primary-color, #007ea3) 28%, transparent) calc(100% * var(--share)), transparent 0
  );
}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 0.3rem 1rem 5rem; }
  .st-key-answer .vv-chip:not(:first-child), .st-key-answer .vv-prediction > span:not(.vv-chip) { display: none; }
  .st-key-answer > :has([data-testid="stPopover"]), .st-key-enter-presenter { display: none; }
  .st-key-answer-hidden p { display: none; } /* the eye says it */
  .st-key-answer [data-testid="stCaptionContainer"] p { white-space: normal; line-height: 1.2; }
  /* What is waited for stands above the bar of pages, and a row of controls has the whole width. */
  .st-key-starting, .stMain:has(:is(.vv-drawn, .st-key-journey)) [class*="st-key-waiting-"] { bottom: 3.8rem; }
  /* What stands below the first picture of a figure waits for it, too. */
  .stMain:not(:has(.vv-drawn)) .st-key-figure > :has([data-testid="stColumn"]) ~ :has([data-testid="stColumn"]),
  .stMain:not(:has(.vv-drawn)) .st-key-figure [data-testid="stColumn"]:not(:first-child):not(.st-key-side-by-side *) {
    display: none;
  }
  .st-key-controls { flex-wrap: wrap; }
  .st-key-controls > :first-child { flex: 1 1 100%; }
  /* The way from page to page within reach of a thumb. */
  .st-key-along {
    position: fixed; inset: auto 0 0; z-index: 999980; padding: 0.2rem 0.75rem calc(0.2rem + env(safe-area-inset-bottom));
    background: var(--vv-paper, #fff); flex-wrap: nowrap;
  }
  .st-key-list-of-pages { display: flex; }
  .st-key-along > * { min-width: 0; flex: 0 1 auto; }
  .st-key-along [data-testid="stPageLink"] p { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  :root { font-size: 16px; } /* a phone enlarges the page where what is typed into is smaller */
  [data-testid="stMainBlockContainer"] h2 { line-height: 1.3; }
}
"""


# Streamlit does not know how wide a window is. Pictures are drawn for the width that it had when the session began.
WIDTH_SCRIPT = f"""
{{
  const narrow = matchMedia("(max-width: 640px)");
  const tell = () => {{ document.cookie = `{NARROW_COOKIE}=${{Number(narrow.matches)}}; path=/; SameSite=Lax`; }};
  narrow.addEventListener("change", tell);
  tell();
}}
"""

# Streamlit gives its colours to components alone. It writes white on a primary button, which the accent of the dark theme is
# too light for (1.6:1).
DARK = """<style>
:root { --vv-paper: #0e1117; --vv-ink: #f2f4f8; }
[data-testid="stBaseButton-primary"]:not(:disabled) { color: #0e1117; }
</style>"""


def apply() -> None:
    """Applies the colours of the theme that the browser uses."""
    if st.context.theme.type == "dark":
        st.html(DARK)


# CSS pixels; on a phone Streamlit hides the sidebar behind a button whatever its width.
SIDEBAR_WIDTH = 272


# Rows of patches in colours of the light theme's maps: reading those takes matplotlib, which comes after the first visitor.
ICON = (
    ("#2e0a5a", "#801f6b", "#cc4148", "#500d6c"),
    ("#801f6b", "#fb9d06", "#f5f891", "#a02a62"),
    ("#500d6c", "#d94d3d", "#f9c32a", "#801f6b"),
    ("#0f092d", "#500d6c", "#902468", "#2e0a5a"),
)


@cache
def icon() -> Image.Image:
    """The page's icon: a small grid of patches in the colours of a heat map. Made here, because named icons are fetched."""
    picture = Image.new("RGB", (64, 64), "white")
    for row, colours in enumerate(ICON):
        for col, colour in enumerate(colours):
            picture.paste(colour, (col * 16 + 1, row * 16 + 1, col * 16 + 15, row * 16 + 15))
    return picture
