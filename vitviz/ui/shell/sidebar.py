"""The sidebar: which photograph, which model, how large."""

from __future__ import annotations

import re
from collections.abc import Iterable

import streamlit as st

from vitviz.models import Model
from vitviz.models.preparation import takes_other_sizes
from vitviz.models.registry import curated, search
from vitviz.samples import samples
from vitviz.ui import state
from vitviz.ui.compute import images, loading
from vitviz.ui.controls import edits
from vitviz.ui.controls.pickers import named
from vitviz.ui.escape import escaped
from vitviz.ui.selection import GRID_SIDES, MAX_SIZE, MODEL_NAME, UPLOAD
from vitviz.ui.server.settings import settings
from vitviz.ui.shell import text as words
from vitviz.ui.text import common

# How many names a search offers, and the one that is shown before a search.
FOUND, FIRST = 60, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
# What a name of the hub begins with, which no search in timm's registry finds.
HUB = ("hf:", "hf-hub:")
_SOURCE, _FOLLOWED, _KIND, _FORGOTTEN = "picture source", "picture followed", "model kind", "times forgotten"


def choose_picture() -> None:
    """Sample, upload or camera, and how it is brought to the model's size."""
    st.subheader(words.PICTURE, anchor=False)
    _follow_picture(state.selection().image)
    source = st.segmented_control(
        words.SOURCE,
        list(words.SOURCES),
        format_func=named(words.SOURCES),
        key=_SOURCE,
        required=True,
        label_visibility="collapsed",
        on_change=_source_chosen,
    )
    if source == "gallery":
        gallery = {sample.id: sample for sample in samples()}
        shown = state.selection().image or next(iter(gallery))
        titles = {name: sample.title for name, sample in gallery.items()}
        names = [*titles] if shown in titles else [shown, *titles]  # a link may name a sample that does not exist
        credit = gallery[shown].credit if shown in gallery else None
        given = state.bound("image", shown) | {"on_change": _sample_chosen}
        st.selectbox(words.GALLERY, names, format_func=named(titles), help=credit, **given)
    elif source == "upload":
        key = f"upload {times}" if (times := st.session_state.get(_FORGOTTEN, 0)) else "upload"
        st.file_uploader(words.UPLOAD, key=key, help=words.UPLOAD_HELP, on_change=_taken, args=(key,))
    else:
        st.camera_input(words.CAMERA, key="camera", on_change=_taken, args=("camera",))
    if state.selection().image == UPLOAD:
        st.caption(words.OWN_PICTURE)
        st.button(words.FORGET, on_click=_forget, icon=":material/delete:", type="tertiary")
    st.selectbox(
        words.FRAMING,
        list(common.FRAMINGS),
        format_func=named(common.FRAMINGS),
        help=words.FRAMING_HELP,
        **state.bound("framing"),
    )


def _follow_picture(image: str) -> None:
    """Sets the source to that of a newly chosen picture.

    Until then it stays as the visitor set it, who may be about to upload.
    """
    if st.session_state.get(_FOLLOWED) == image and _SOURCE in st.session_state:
        return
    st.session_state[_FOLLOWED] = image
    if image != UPLOAD:
        st.session_state[_SOURCE] = "gallery"
    elif st.session_state.get(_SOURCE, "gallery") == "gallery":
        st.session_state[_SOURCE] = "upload"


def _source_chosen() -> None:
    source = st.session_state[_SOURCE]
    if source == "gallery" and state.selection().image == UPLOAD:
        edits.show_all(image="")
    elif source == "upload" and images.has_upload():
        edits.show_all(image=UPLOAD)


def _sample_chosen() -> None:
    edits.show_all(image=st.session_state["choice of image"])


def _taken(key: str) -> None:
    file = st.session_state[key]
    if file is not None and images.keep_upload(file.getvalue(), scaled=_scaled(file.name)):
        edits.show_all(image=UPLOAD)


def _scaled(name: str) -> tuple[int, int] | None:
    """(width, height) of the picture before `SCALE_DOWN` made it smaller, from the name that it gave the file."""
    found = re.search(r"\((\d{1,6})x(\d{1,6}) pixels\)", name)
    return (int(found[1]), int(found[2])) if found else None


def _forget() -> None:
    images.forget_uploads()
    st.session_state[_FORGOTTEN] = st.session_state.get(_FORGOTTEN, 0) + 1  # a new control: the old one holds the file
    edits.show_all(image="")


def choose_model() -> None:
    """Which architecture with which weights."""
    st.subheader(words.MODEL, anchor=False)
    chosen = state.selection().model
    possible = _kinds_of(chosen)
    if st.session_state.get(_KIND) not in possible:
        st.session_state[_KIND] = possible[0]
    there = {"embedded": True, "known": bool(_known()), "any": settings().any_model, "file": bool(_files())}
    kinds = [kind for kind in words.MODEL_KINDS if there[kind] or kind in possible]
    kind = st.selectbox(
        words.MODEL_KIND, kinds, format_func=named(words.MODEL_KINDS), key=_KIND, on_change=_kind_chosen
    )
    if kind == "known":
        known = {entry.name: entry for entry in curated() if entry.name == chosen or loading.may_load(entry.name)}
        st.selectbox(words.KNOWN, list(known), format_func=lambda n: known[n].family, **state.bound("model", chosen))
        st.caption(known[chosen].why)
    elif kind == "any":
        wanted = st.text_input(words.SEARCH, key="model search", placeholder=words.SEARCH_EXAMPLE, help=words.ANY_HELP)
        on_hub = wanted.startswith(HUB) and MODEL_NAME.fullmatch(wanted)
        found = [wanted] if on_hub else [entry.name for entry in search(wanted, FOUND)]
        names = [name for name in found if loading.may_load(name)]
        names = names if chosen in names else [chosen, *names]
        st.selectbox(words.ANY, names, **state.bound("model", chosen))
    elif kind == "file":
        files = _files()
        files = files if chosen in files else [chosen, *files]
        st.selectbox(
            words.FILE, files, format_func=lambda name: name.removeprefix(loading.FILE), **state.bound("model", chosen)
        )
        if left_out := loading.checkpoints_left_out():
            st.caption(words.FILES_LEFT_OUT.format(count=left_out))
    untrained = state.selection().weights == "random"
    st.toggle(
        words.UNTRAINED,
        help=words.UNTRAINED_HELP,
        **state.bound("weights", untrained, lambda on: "random" if on else "trained"),
    )
    if untrained:
        st.caption(f":orange[{words.UNTRAINED_NOTE}]")  # a badge is cut where it is wider than the sidebar


def _known() -> list[str]:
    return [entry.name for entry in curated() if loading.may_load(entry.name)]


def _files() -> list[str]:
    return [name for name in map(loading.FILE.__add__, loading.checkpoints()) if loading.may_load(name)]


def _first_of_any() -> str:
    named = [name for name in settings().models if MODEL_NAME.fullmatch(name)]
    return next((name for name in (FIRST, *named) if loading.may_load(name)), "embedded")


def _kinds_of(model: str) -> tuple[str, ...]:
    """The lists that contain a model, the shortest first."""
    if model == "embedded":
        return ("embedded",)
    if model.startswith(loading.FILE):
        return ("file",)
    return ("known", "any") if any(entry.name == model for entry in curated()) else ("any",)


def _kind_chosen() -> None:
    kind = st.session_state[_KIND]
    first = {
        "embedded": "embedded",
        "known": next(iter(_known()), "embedded"),
        "any": _first_of_any(),
        "file": next(iter(_files()), loading.FILE),
    }[kind]
    state.change(model=first, size=0, weights="trained")


def choose_size(own: Model) -> None:
    """The input size: the model's own, the steps that its patches allow, and the one that a link asked for.

    Args:
        own: The model at its own size.
    """
    chosen = state.selection().size
    shown = 0 if (chosen, chosen) == own.input_size else chosen
    sides = sorted({*_sizes(own), shown}, key=lambda side: side or own.input_size[0])
    if len(sides) < 2:
        return
    height, width = own.input_size
    names = {0: str(height) if height == width else f"{height}×{width}"}
    st.segmented_control(
        words.SIZE, sides, help=words.SIZE_HELP, required=True, format_func=named(names), **state.bound("size", shown)
    )


def _sizes(own: Model) -> set[int]:
    """0 for the model's own size, and the others that a grid of whole patches can have."""
    height, width = own.input_size
    if height != width or not takes_other_sizes(own):
        return {0}
    patch = own.layout.patch_size[0]
    return {0} | {patch * side for side in GRID_SIDES if patch * side <= min(MAX_SIZE, settings().max_size)} - {height}


def show_notes(sentences: Iterable[str]) -> None:
    """Assumptions about the picture or the model: sentences that may quote a file, and are no Markdown."""
    for sentence in sentences:
        st.caption(escaped(sentence))
