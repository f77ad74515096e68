"""Choices by name: a widget holds the value that stands in links, and shows the words that people read.

And the one choice that several pages offer alike: where the colours end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from vitviz.ui import state
from vitviz.ui.text import common as words


def named(readings: Mapping[Any, str]) -> Callable[[Any], str]:
    """A widget's `format_func`: the words for a value, or the value itself where there are none."""
    return lambda value: readings.get(value, str(value))


def robust_or_raw(label: str = words.SCALE) -> None:
    """Whether colours end at the 99th percentile or at the largest value."""
    ends = {"robust": words.SCALE_ROBUST, "raw": words.SCALE_RAW}
    st.segmented_control(
        label, list(ends), format_func=named(ends), help=words.SCALE_HELP, required=True, **state.bound("scale")
    )
