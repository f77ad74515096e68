"""Lettering fits where it is put, and draw keeps to its own side of the walls."""

from __future__ import annotations

import subprocess
import sys

from vitviz.draw import LIGHT
from vitviz.draw.theme import fitting, font, paragraph, shortened, wrapped


def test_every_character_that_numbers_and_labels_use_is_in_the_font() -> None:
    missing = font(20).getmask("\U000f0000").getbbox()  # what an unknown character looks like
    unknown = bytes(font(20).getmask("\U000f0000"))
    assert missing is not None
    for character in "0123456789.,×⁰¹²³⁴⁵⁶⁷⁸⁹⁻−≤≥…·↓→éüßĲ":
        assert bytes(font(20).getmask(character)) != unknown, character


def test_wrapped_lines_fit_and_lose_no_word() -> None:
    text = "every map has its own scale so colours do not compare between maps"
    lines = wrapped(text, 150, 16)
    assert " ".join(lines) == text and len(lines) > 2
    assert all(font(16).getlength(line) <= 150 for line in lines)
    assert paragraph(text, 150, LIGHT).width == 150


def test_a_word_too_wide_is_shortened_with_an_ellipsis() -> None:
    word = "Donaudampfschifffahrtsgesellschaft"
    short = shortened(word, 120, 16)
    assert short.endswith("…") and word.startswith(short[:-1])
    assert font(16).getlength(short) <= 120 + font(16).getlength("…")
    assert shortened("cat", 120, 16) == "cat"


def test_the_largest_fitting_size_is_found() -> None:
    size = fitting("1369", 30, 20)
    assert font(size).getlength("1369") <= 30 < font(size + 1).getlength("1369")
    assert fitting("1369", 5, 20) == 0


def test_draw_and_figure_import_nothing_that_computes_or_serves() -> None:
    code = (
        "import sys, vitviz.draw, vitviz.figure, vitviz.heatmap;"
        "bad = {'torch', 'timm', 'streamlit', 'matplotlib.pyplot'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
