"""The one place that turns a selection into URL parameters and back. A URL comes from outside: every part is validated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from vitviz.tokens import Query
from vitviz.ui.params import FORMER_NAMES, PARAMS
from vitviz.ui.selection import IMAGE_NAME, MAX_QUERY, MAX_SIZE, MODEL_NAME, Framing, Scaling, Selection, Weights


def _name(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(text)
        return text

    return read


def _one_of(options: tuple[Any, ...]) -> Callable[[str], Any]:
    known = {str(option): option for option in options}

    def read(text: str) -> Any:
        if text not in known:
            raise ValueError(text)
        return known[text]

    return read


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MAX_SIZE):
        raise ValueError(text)
    return int(text)


def _query(text: str) -> str:
    if len(text) > MAX_QUERY:
        raise ValueError("too long for a query")
    return str(Query.parse(text))


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise ValueError(text)
    return int(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "model": _name(MODEL_NAME),
    "weights": _one_of(get_args(Weights)),
    "image": _name(IMAGE_NAME),
    "size": _size,
    "framing": _one_of(get_args(Framing)),
    "layer": _index,
    "head": _index,
    "query": _query,
    "scale": _one_of(get_args(Scaling)),
}


def to_parameters(selection: Selection) -> dict[str, str]:
    """The URL's parameters; what stands at its default is left out, so that plain views have plain addresses."""
    plain = Selection()
    fields = {name: getattr(selection, name) for name in _READERS}
    chosen = {name: str(value) for name, value in fields.items() if value != getattr(plain, name)}
    return chosen | {name: str(value) for name, value in selection.params}


def from_parameters(parameters: Mapping[str, str]) -> tuple[Selection, tuple[str, ...]]:
    """The selection that a URL asks for, and the names of parameters that could not be followed and were passed over.

    Never raises: a broken link opens as much of its view as can be understood.
    """
    fields: dict[str, Any] = {}
    params: dict[str, str | int | float] = {}
    ignored: list[str] = []
    for name, text in parameters.items():
        try:
            if name in _READERS:
                fields[name] = _READERS[name](text)
            elif (now := FORMER_NAMES.get(name, name)) in PARAMS:
                value = PARAMS[now].read(text)
                if value != PARAMS[now].default:
                    params[now] = value
            else:
                raise ValueError(name)
        except (ValueError, OverflowError):
            ignored.append(name)
    return Selection(**fields, params=tuple(sorted(params.items()))), tuple(ignored)
