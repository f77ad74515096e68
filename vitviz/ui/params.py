"""Parameters of the address beyond the selection that all pages share.

A parameter has a name, a type that reads its text, and a default, which no address contains. Those of several pages are
listed here; a page declares its own (see `pages/registry.py`), and `PARAMS` holds all of them once the pages are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from vitviz.tokens import CELL
from vitviz.ui.selection import Selection

Value = str | int | float

# Characters of a list of interventions in a link; servers and proxies refuse much longer addresses anyway.
MAX_INTERVENTIONS_TEXT = 8_000
# A number as `str` writes it in steps of 0.000001 or more: no exponent, no blanks, no digits of other scripts.
NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Choice:
    """A parameter with a fixed list of options.

    Attributes:
        default: The option of an address without this parameter.
        options: All options.
        former: Words of earlier versions of links -> the option that each is now.
    """

    default: str
    options: tuple[str, ...]
    former: Mapping[str, str] = field(default_factory=dict, hash=False)

    def read(self, text: str) -> str:
        """The value that a URL's text stands for.

        Raises:
            ValueError: For any other text.
        """
        text = self.former.get(text, text)
        if text not in self.options:
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Number:
    """A number in steps; whole where the step is."""

    default: float
    low: float
    high: float
    step: float

    def read(self, text: str) -> float:
        """The value that a URL's text stands for.

        Raises:
            ValueError: Outside the range, and for what is not a number.
        """
        if not NUMBER.fullmatch(text):
            raise ValueError("not a number as links have it")
        value = float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        steps = round((value - self.low) / self.step)
        value = round(self.low + steps * self.step, 6)
        return int(value) if isinstance(self.step, int) else value


@dataclass(frozen=True)
class Name:
    """A name that follows a pattern; "" where nothing was named."""

    pattern: re.Pattern[str]
    default: str = ""

    def read(self, text: str) -> str:
        """The name itself.

        Raises:
            ValueError: For what cannot be one.
        """
        if not self.pattern.fullmatch(text):
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Patches:
    """Patches counted row by row, as "3-7.12"; "" where there are none."""

    default: str = ""

    def read(self, text: str) -> str:
        """The same text in its one canonical form.

        Raises:
            ValueError: For what is no such list, or too long a one.
        """
        if len(text) > MAX_INTERVENTIONS_TEXT:
            raise ValueError("more patches than a link can hold")
        from vitviz.analysis.interventions.text import (  # with torch, which comes after the first visitor
            NumberReader,
            runs,
        )

        return runs(sorted(set(NumberReader().indices(text))))


@dataclass(frozen=True)
class InterventionList:
    """Interventions on the model in the text form of `Interventions`; "" where there are none."""

    default: str = ""

    def read(self, text: str) -> str:
        """The same text in its one canonical form.

        Raises:
            ValueError: For what is no list of interventions, or too long a one.
        """
        if len(text) > MAX_INTERVENTIONS_TEXT:
            raise ValueError("more interventions than a link can hold")
        from vitviz.analysis.interventions import Interventions  # as above

        return Interventions.decode(text).encode()


Param = Choice | Number | Name | Patches | InterventionList

PARAMS: dict[str, Param] = {
    # Whether the maps of several heads, or of two sides, share one scale.
    "colours": Choice("own", ("own", "shared")),
    # The output that is explained, and the one that it is compared with; -1: the predicted one, and none.
    "target": Number(-1, -1, 99999, 1),
    "against": Number(-1, -1, 99999, 1),
    # A patch that is marked while another token is the query.
    "pin": Name(CELL),
    # Which vectors of a layer stand for the patches.
    "facet": Choice("key", ("key", "query", "value", "token")),
    # Whether masks are whole patches or follow the edges of the photograph.
    "edges": Choice("patches", ("patches", "pixels")),
    # Whether the prediction stands above the pages, and whether a page is shown as a presenter's view.
    "answer": Choice("hidden", ("hidden", "shown")),
    "present": Number(0, 0, 1, 1),
}

# Names that links had before -> the parameter that each is now.
FORMER_NAMES = {"damage": "perturbation"}

_SHARED = "every page"
# Name of a field or parameter in addresses -> the page that declares it.
OWNERS = {field.name: _SHARED for field in fields(Selection)} | dict.fromkeys(PARAMS, _SHARED)


def declare(page: str, params: Mapping[str, Param]) -> None:
    """Adds a page's own parameters to `PARAMS`; the same page may do so again.

    Raises:
        ValueError: Where another page has one of that name, or all pages have.
    """
    for name, param in params.items():
        owner = OWNERS.setdefault(name, page)
        if owner != page:
            raise ValueError(
                f"the page {page!r} declares the parameter {name!r}, which {owner!r} has: rename one of them"
            )
        PARAMS[name] = param


def param_value(selection: Selection, name: str) -> Value:
    """The parameter's value in this selection."""
    return dict(selection.params).get(name, PARAMS[name].default)


def with_param(selection: Selection, name: str, value: Value) -> tuple[tuple[str, Value], ...]:
    """The selection's parameters with one of them set; one that is back at its default is left out."""
    params = {**dict(selection.params), name: value}
    return tuple(sorted((name, v) for name, v in params.items() if v != PARAMS[name].default))
