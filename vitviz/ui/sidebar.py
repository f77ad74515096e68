"""The sidebar: which photograph, which model, how large."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from vitviz.models import Model
from vitviz.models.catalogue import curated, search
from vitviz.samples import samples
from vitviz.ui import loading, photo, state
from vitviz.ui.choices import named
from vitviz.ui.selection import GRID_SIDES, MAX_SIZE, MODEL_NAME, UPLOAD, Selection
from vitviz.ui.text import sidebar as words

# How many names a search offers, and the one that stands there before anything was searched for.
FOUND, FIRST = 60, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
# What a name of the hub begins with, which no search in timm's registry finds.
HUB = ("hf:", "hf-hub:")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>$:~])")
_SOURCE, _KIND = "picture source", "model kind"


def choose_picture() -> None:
    """Sample, upload or camera, and how it is brought to the model's size."""
    st.subheader(words.PICTURE, anchor=False)
    st.session_state.setdefault(_SOURCE, "upload" if state.selection().image == UPLOAD else "gallery")
    source = st.segmented_control(
        words.SOURCE, list(words.SOURCES), format_func=named(words.SOURCES), key=_SOURCE, required=True,
        label_visibility="collapsed", on_change=_source_chosen,
    )  # fmt: skip
    if source == "gallery":
        titles = {sample.id: sample.title for sample in samples()}
        names = list(titles)
        shown = state.selection().image
        shown = shown if shown in names else names[0]
        credit = photo.sample_named(shown).credit
        st.selectbox(words.GALLERY, names, format_func=named(titles), help=credit, **state.bound("image", shown))
    elif source == "upload":
        st.file_uploader(
            words.UPLOAD,
            key="upload",
            help=words.UPLOAD_HELP,
            on_change=_taken,
            args=("upload",),
        )
    else:
        st.camera_input(words.CAMERA, key="camera", on_change=_taken, args=("camera",))
    if state.selection().image == UPLOAD:
        st.caption(words.OWN_PICTURE)
    st.selectbox(
        words.FRAMING, list(words.FRAMINGS), format_func=named(words.FRAMINGS), help=words.FRAMING_HELP,
        **state.bound("framing"),
    )  # fmt: skip


def _source_chosen() -> None:
    source = st.session_state[_SOURCE]
    if source == "gallery" and state.selection().image == UPLOAD:
        state.change(image="")
    elif source == "upload" and photo.has_upload():
        state.change(image=UPLOAD)


def _taken(key: str) -> None:
    file = st.session_state[key]
    if file is not None:
        photo.keep_upload(file.getvalue())
        state.change(image=UPLOAD)


def choose_model() -> None:
    """Which architecture with which weights."""
    st.subheader(words.MODEL, anchor=False)
    chosen = state.selection().model
    st.session_state[_KIND] = st.session_state.get(_KIND) or _kind_of(chosen)
    kinds = [kind for kind in words.MODEL_KINDS if kind != "file" or loading.checkpoints()]
    kind = st.selectbox(
        words.MODEL_KIND, kinds, format_func=named(words.MODEL_KINDS), key=_KIND, on_change=_kind_chosen
    )
    if kind == "known":
        known = {entry.name: entry for entry in curated()}
        shown = chosen if chosen in known else next(iter(known))
        st.selectbox(words.KNOWN, list(known), format_func=lambda n: known[n].family, **state.bound("model", shown))
        st.caption(known[shown].why)
    elif kind == "any":
        wanted = st.text_input(words.SEARCH, key="model search", placeholder=words.SEARCH_EXAMPLE, help=words.ANY_HELP)
        on_hub = wanted.startswith(HUB) and MODEL_NAME.fullmatch(wanted)
        names = [wanted] if on_hub else [entry.name for entry in search(wanted, FOUND)]
        names = names if chosen in names else [chosen, *names]
        st.selectbox(words.ANY, names, **state.bound("model", chosen))
    elif kind == "file":
        files = [loading.FILE + name for name in loading.checkpoints()]
        st.selectbox(
            words.FILE, files, format_func=lambda name: name.removeprefix(loading.FILE),
            **state.bound("model", chosen if chosen in files else files[0]),
        )  # fmt: skip
    untrained = state.selection().weights == "random"
    st.toggle(
        words.UNTRAINED, help=words.UNTRAINED_HELP,
        **state.bound("weights", untrained, lambda on: "random" if on else "trained"),
    )  # fmt: skip
    if untrained:
        st.badge(words.UNTRAINED_NOTE, color="orange")


def _kind_of(model: str) -> str:
    if model == "embedded":
        return "embedded"
    if model.startswith(loading.FILE):
        return "file"
    return "known" if any(entry.name == model for entry in curated()) else "any"


def _kind_chosen() -> None:
    kind = st.session_state[_KIND]
    first = {
        "embedded": "embedded",
        "known": curated()[0].name,
        "any": FIRST,
        "file": loading.FILE + next(iter(loading.checkpoints()), ""),
    }[kind]
    state.change(model=first, size=0, weights="trained")


def choose_size(own: Model) -> None:
    """The input size, in steps that the model's patches allow. own: the model at its own size."""
    patch = own.layout.patch_size[0]
    sides = [0] if own.input_size[0] != own.input_size[1] else _sizes(own.input_size[0], patch)
    if len(sides) < 2:
        return
    shown = state.selection().size
    st.segmented_control(
        words.SIZE, sides, help=words.SIZE_HELP, required=True,
        format_func=lambda side: str(side or own.input_size[0]),
        **state.bound("size", shown if shown in sides else 0),
    )  # fmt: skip


def _sizes(own: int, patch: int) -> list[int]:
    """0 for the model's own size, and the others that a grid of whole patches can have, in rising order of pixels."""
    sides = {patch * side for side in GRID_SIDES if patch * side <= MAX_SIZE}
    return sorted((sides - {own}) | {0}, key=lambda side: side or own)


def say(sentences: Iterable[str]) -> None:
    """What had to be assumed of the picture or the model: sentences that may quote a file, and are no Markdown."""
    for sentence in sentences:
        st.caption(_MARKUP.sub(r"\\\1", sentence))


def plain_model(selection: Selection) -> Selection:
    """The same model at its own size."""
    return replace(selection, size=0)
