"""Rollout: attention through all layers, and head by head."""

from __future__ import annotations

from vitviz.ui.pages.registry import Page
from vitviz.ui.pages.rollout import text
from vitviz.ui.params import Choice, Number

PAGE = Page(
    name="rollout",
    place=70,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "of": Choice("model", ("model", "head")),
        "fusion": Choice("mean", ("mean", "max", "min")),
        "discard": Number(0.0, 0.0, 0.95, 0.05),
        "alpha": Number(0.5, 0.0, 0.95, 0.05),
        "first": Number(0, 0, 95, 1),
        "last": Number(95, 0, 95, 1),  # 95 is as far as the model goes
        "through": Choice("last_hop", ("last_hop", "leave_one_in")),  # of older links; no widget sets it
        "board": Choice("attention", ("attention", "last_hop", "leave_one_in")),
    },
)
