"""The presenter's view: a figure alone in large type, arrow keys from page to page, a dot that follows the pointer."""

from __future__ import annotations

import streamlit as st

from vitviz.ui import state
from vitviz.ui.shell import text as words

# Keys and the dot act while a page has the mark of this view. Left and right are left to a focused element that uses them;
# Page Up and Page Down, which a remote control sends, always change the page. The journey answers "vitviz-step" where it has a
# further step; its Escape, which takes back the choice of a patch, is handled first.
SCRIPT = """
{
  const presenting = () => document.querySelector(".st-key-presenting");
  const press = (place) => document.querySelector(`.st-key-${place} :is(a, button)`)?.click();
  const inUse = (event) => event.composedPath().some((node) =>
    node.matches?.("input, textarea, select, [contenteditable=true], [role=slider], [role=tab], [role=radio]"));
  addEventListener("keydown", (event) => {
    if (!presenting() || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") return press("leave-presenter");
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (!by || (event.key.startsWith("Arrow") && inUse(event))) return;
    event.preventDefault();
    const news = new CustomEvent("vitviz-step", { detail: by, cancelable: true });
    if (document.dispatchEvent(news)) press(by > 0 ? "next-page" : "previous-page");
  });
  const dot = document.createElement("div");
  dot.className = "vv-laser";
  dot.hidden = true;
  document.body.append(dot);
  addEventListener("pointermove", ({ clientX, clientY, pointerType }) => {
    dot.hidden = !presenting() || pointerType === "touch";
    dot.style.transform = `translate(${clientX}px, ${clientY}px)`;
  }, { passive: true });
  document.addEventListener("pointerleave", () => { dot.hidden = true; });
}
"""

# `body` puts these before the rules of `styles.CSS`, which stand later in the page and would win.
CSS = """<style>
:root { font-size: 21px; --vv-type: 1.25; --vv-gallery: none; --vv-controls: none; --vv-spare: 90px; }
body :is([data-testid="stSidebar"], [data-testid="stHeader"], [data-testid="stExpandSidebarButton"], .st-key-answer,
.st-key-lead, .st-key-controls, .st-key-below, .st-key-around, .st-key-along) { display: none !important; }
body [data-testid="stMainBlockContainer"] { padding: 0.6rem 2.5rem; max-width: none; }
body .st-key-top { height: 0; min-height: 0; margin-bottom: -1rem; }
body .st-key-leave-presenter { position: fixed; top: 0.5rem; right: 1.5rem; width: auto; z-index: 999990; opacity: 0.7; }
body [data-testid="stMainBlockContainer"] h2 { font-size: 1.9rem; }
body .st-key-figure { --vv-tallest: calc(100svh - 6rem); }
body .st-key-figure :is([data-testid="stButton"], [data-testid="stButtonGroup"], [data-testid="stCaptionContainer"]) {
  display: none !important;
}
body .vv-laser {
  position: fixed; left: -9px; top: -9px; width: 18px; height: 18px; border-radius: 50%; pointer-events: none; z-index: 1000000;
  background: radial-gradient(circle, #ff2d2d 35%, #ff2d2d88 55%, #ff2d2d00 72%);
}
body .vv-laser[hidden] { display: none; }
</style>"""


def is_on() -> bool:
    return bool(state.value_of("present"))


def button() -> None:
    """The button that opens or leaves the view."""
    on = is_on()
    with st.container(key="presenting" if on else "enter-presenter", width="content", gap=None):
        if on:
            with st.container(key="leave-presenter"):
                st.button(
                    words.LEAVE_PRESENTER,
                    key="leave",
                    on_click=_change,
                    args=(0,),
                    type="tertiary",
                    icon=":material/close_fullscreen:",
                )
            st.html(CSS)
        else:
            st.button(
                words.PRESENT,
                key="present",
                on_click=_change,
                args=(1,),
                type="tertiary",
                icon=":material/slideshow:",
                help=words.PRESENT_HELP,
            )


def _change(value: int) -> None:
    state.change(present=value)
