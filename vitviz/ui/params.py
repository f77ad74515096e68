"""The knobs that only some pages have: what each may be set to, and where it stands at first.

They are listed in one place because they share the URL with everything else that is selected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitviz.analysis.interventions import Interventions
from vitviz.tokens import CELL
from vitviz.ui.selection import IMAGE_NAME, MODEL_NAME, Selection

Value = str | int | float

# A rectangle of patches by two opposite corners, or its first corner alone.
RECTANGLE = re.compile(rf"{CELL.pattern}(-{CELL.pattern})?")
# Characters of a list of interventions in a link; servers and proxies refuse much longer addresses anyway.
MAX_SWITCHED = 8_000
# A number as `str` writes it in steps of 0.000001 or more: no exponent, no blanks, no digits of other scripts.
NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    default: str
    options: tuple[str, ...]

    def read(self, text: str) -> str:
        """The value that a URL's text stands for. Raises ValueError for any other."""
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
        """The value that a URL's text stands for. Raises ValueError outside the range, and for what is not a number."""
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
        """The name itself. Raises ValueError for what cannot be one."""
        if not self.pattern.fullmatch(text):
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Switched:
    """What is switched in the model, in the text form of `Interventions`; "" where nothing is."""

    default: str = ""

    def read(self, text: str) -> str:
        """The same text as it is written here. Raises ValueError for what is no list of interventions."""
        if len(text) > MAX_SWITCHED:
            raise ValueError("more is switched than a link can hold")
        return Interventions.decode(text).encode()


Knob = Choice | Number | Name | Switched

KNOBS: dict[str, Knob] = {
    # Patches
    "cut": Number(2, 0, 8, 1),
    "dim": Number(0.0, 0.0, 0.9, 0.1),
    # Positions
    "bent": Choice("signed", ("signed", "raw")),
    "turned_layer": Number(0, 0, 95, 1),
    "turned_head": Number(0, 0, 95, 1),
    "bias_layer": Number(0, 0, 95, 1),
    "bias_head": Number(0, 0, 95, 1),
    # Rollout
    "fusion": Choice("mean", ("mean", "max", "min")),
    "discard": Number(0.0, 0.0, 0.95, 0.05),
    "alpha": Number(0.5, 0.0, 0.95, 0.05),
    "first": Number(0, 0, 95, 1),
    "last": Number(95, 0, 95, 1),  # 95 is as far as the model goes
    "through": Choice("last_hop", ("last_hop", "leave_one_in")),
    "board": Choice("attention", ("attention", "last_hop", "leave_one_in")),
    "colours": Choice("own", ("own", "shared")),
    # Who looks at whom
    "heads": Choice("all", ("all", "chosen")),
    "direction": Choice("at", ("at", "by")),
    "measure": Choice("weight", ("weight", "value")),
    "links": Choice("hidden", ("hidden", "shown")),
    # One head by hand
    "component": Number(0, 0, 255, 1),
    "pair": Number(0, 0, 20, 1),
    "temperature": Number(1.0, 0.1, 5.0, 0.1),
    "matrix": Choice("scores", ("scores", "weights", "output")),
    # Prediction
    "part": Choice("forming", ("forming", "methods", "trust", "mark")),
    "target": Number(-1, -1, 99999, 1),  # -1: the predicted class
    "against": Number(-1, -1, 99999, 1),  # -1: no other class
    "after": Number(95, 0, 95, 1),  # 95 is as far as the model goes
    "slow": Choice("later", ("later", "now")),
    "tested": Choice("later", ("later", "now")),
    "forget": Choice("later", ("later", "now")),
    "object": Name(RECTANGLE),
    # What if
    "what": Switched(),
    "switch": Choice("hide", ("hide", "order", "heads", "cut", "worth", "sinks")),
    "hide_by": Choice("mean", ("mean", "blur", "removed")),
    "head_by": Choice("zero", ("zero", "mean")),
    "beside": Choice("attention", ("attention", "rollout")),
    "weighed": Choice("later", ("later", "now")),
    "norm_times": Number(3.0, 1.5, 20.0, 0.5),
    "mass_times": Number(10.0, 2.0, 50.0, 1.0),
    # Compare
    "compared": Choice("attention", ("attention", "rollout", "positions", "scenes")),
    "differs": Choice("model", ("model", "picture", "layer")),
    "other_model": Name(MODEL_NAME),  # "": the same architecture, untrained where this one is trained
    "other_image": Name(IMAGE_NAME),  # "": the next photograph of the gallery
    "other_layer": Number(-1, -1, 95, 1),  # -1: the same as on the first side
    "other_head": Number(-2, -2, 95, 1),  # -2: the same; -1: the mean of heads
    "difference": Choice("hidden", ("hidden", "shown")),
    "pin": Name(CELL),
    "into": Name(CELL),  # "": the patch goes to the same place
    "block": Number(1, 1, 7, 2),
}


def knob_value(selection: Selection, name: str) -> Value:
    """Where the knob stands."""
    return dict(selection.knobs).get(name, KNOBS[name].default)


def turned(selection: Selection, name: str, value: Value) -> tuple[tuple[str, Value], ...]:
    """The selection's knobs with one of them set; one that is back at its default is left out."""
    knobs = {**dict(selection.knobs), name: value}
    return tuple(sorted((name, v) for name, v in knobs.items() if v != KNOBS[name].default))
