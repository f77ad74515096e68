"""Choices by name: a widget holds the value that stands in links, and shows the words that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def named(words: Mapping[Any, str]) -> Callable[[Any], str]:
    """A widget's `format_func`: the words for a value, or the value itself where there are none."""
    return lambda value: words.get(value, str(value))
