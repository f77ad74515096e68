"""What a sentence of the app rests on: every text that users read is tagged where it is written.

instruction  what to do, or the name of a thing to operate or to look at
definition   what a word or a number means here, or what follows from how it is made: true for every model it is shown with
computed     filled with numbers of what is on the screen; `by` names the function that computes them
reference    a finding of others; `to` names works of `vitviz.references`

`a + b` of two tagged texts is both, one after the other, each with its own tag. A piece that is true of some models only says
so with `when`, names of facts (`FACTS` in `vitviz.ui.controls.captions`), and is left out for others. A piece for a mouse and a
keyboard has `when="mouse"`, one for a touch screen `when="touch"`: the browser shows one of them. A text that only lists keys, or
names them to screen readers, has `when="keyboard"`. A test refuses a text without a tag, and one that mentions a mouse or keys
without `when`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

INSTRUCTION, DEFINITION, COMPUTED, REFERENCE = KINDS = ("instruction", "definition", "computed", "reference")

# The pointing devices that a piece can be for.
POINTERS = ("mouse", "touch")

T = TypeVar("T")


@dataclass(frozen=True)
class Basis:
    """What a piece of text rests on.

    Attributes:
        kind: One of KINDS.
        sources: Dotted names of functions for "computed", keys of `vitviz.references.PUBLICATIONS` for "reference", else empty.
        text: The piece.
        when: Facts that must hold of the model and picture, "!fact" for one that must not; empty where it is always true.
    """

    kind: str
    sources: tuple[str, ...]
    text: str
    when: tuple[str, ...] = ()


class Text(str):
    """A string with the `Basis` of each of its pieces."""

    bases: tuple[Basis, ...]

    def __new__(cls, text: str, bases: tuple[Basis, ...] = ()) -> Text:
        made = super().__new__(cls, text)
        made.bases = bases
        return made

    def __add__(self, other: str) -> str:
        if isinstance(other, Text):
            return Text(f"{self!s} {other!s}", self.bases + other.bases)
        return str(self) + other


def instruction(text: T, when: str = "") -> T:
    """Tags a text, or every text of a mapping or tuple, as what to do or what to operate.

    Args:
        when: Facts (`ui.controls.captions.FACTS`) that the text is true for, separated by commas; "" for every model.
    """
    return _tagged(text, INSTRUCTION, (), when)


def definition(text: T, when: str = "") -> T:
    """Tags what a word or number means here, or what follows from how it is made.

    Args:
        when: As `instruction`.
    """
    return _tagged(text, DEFINITION, (), when)


def computed(text: T, *by: str, when: str = "") -> T:
    """Tags sentences filled with numbers of what is on the screen.

    Args:
        *by: Dotted names of the functions that compute them.
    """
    return _tagged(text, COMPUTED, by, when)


def reference(text: T, *to: str, when: str = "") -> T:
    """Tags a finding of others.

    Args:
        *to: Keys of `vitviz.references.PUBLICATIONS`.
        when: As `instruction`.
    """
    return _tagged(text, REFERENCE, to, when)


def _tagged(text: Any, kind: str, sources: tuple[str, ...], when: str) -> Any:
    if isinstance(text, Text):
        return text  # tagged before, on its own
    if isinstance(text, str):
        return Text(text, (Basis(kind, sources, text, tuple(when.split(","))) if when else Basis(kind, sources, text),))
    if isinstance(text, Mapping):
        return {key: _tagged(value, kind, sources, when) for key, value in text.items()}
    return tuple(_tagged(value, kind, sources, when) for value in text)


def true_of(text: str, facts: Container[str]) -> str:
    """The pieces of a text whose conditions hold, one after the other; a text without pieces as it is."""
    bases = getattr(text, "bases", ())
    if not any(piece.when for piece in bases):
        return text
    return " ".join(_for_pointer(piece) for piece in bases if holds(piece.when, facts))


def _for_pointer(piece: Basis) -> str:
    """The piece; one for a mouse or for touch alone as HTML that is shown with such a device only (`ui/shell/styles.py`)."""
    pointers = [each for each in POINTERS if each in piece.when]
    return f'<span class="vv-{pointers[0]}">{piece.text}</span>' if pointers else piece.text


def holds(when: Iterable[str], facts: Container[str]) -> bool:
    """Whether all of `when` are among the facts, and those with "!" in front are not."""
    return all((fact.removeprefix("!") in facts) != fact.startswith("!") for fact in when)


def texts_in(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """(name, text) of every string inside a value: a text, a mapping, a sequence, or a dataclass of them; no names of an enum."""
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from texts_in(each, f"{name}[{key}]")
    elif isinstance(value, tuple | list):
        for place, each in enumerate(value):
            yield from texts_in(each, f"{name}[{place}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from texts_in(getattr(value, part.name), f"{name}.{part.name}")
