"""Positions: how a model encodes where a patch is."""

from __future__ import annotations

from vitviz.ui.pages.positions import text
from vitviz.ui.pages.registry import Page
from vitviz.ui.params import Choice, Number

PAGE = Page(
    name="positions",
    place=30,
    title=text.PAGE.title,
    question=text.PAGE.question,
    any_model=True,
    params={
        "bent": Choice(
            "signed", ("signed", "raw")
        ),  # whether similarities are shown from -1 to 1, or between their extremes
        # Layer and head of a rotary table, and of a bias by displacement.
        "turned_layer": Number(0, 0, 95, 1),
        "turned_head": Number(0, 0, 95, 1),
        "bias_layer": Number(0, 0, 95, 1),
        "bias_head": Number(0, 0, 95, 1),
    },
)
