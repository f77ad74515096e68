"""Rules of style hold where they are meant to: by the colours of the theme, and over the rules that they replace."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import vitviz.frontend
from vitviz.ui.controls import tables
from vitviz.ui.shell import presenter, styles

THEME = tomllib.loads(Path(".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]


def test_the_papers_are_the_themes():
    assert f"--vv-paper: {THEME['dark']['backgroundColor']};" in styles.DARK
    papers = re.findall(r"background: var\(--vv-paper, (#\w+)\)", styles.CSS)
    assert set(papers) == {"#fff"} and THEME["light"]["backgroundColor"] == "#ffffff"
    assert "--st-background-color" not in styles.CSS, "components alone are told it"


def test_there_are_three_sizes_of_type_in_the_app_and_in_its_figures():
    """In pixels, or in parts of the size of text; 16 on a phone, where text is that large."""
    assert THEME["baseFontSize"] == 14
    sheets = [each.read_text(encoding="utf-8") for each in vitviz.frontend.STYLES.glob("*.css")]
    found = re.findall(r"font(?:-size)?: ([^;}]*)", " ".join([styles.CSS, tables.STYLE, *sheets]))
    names = {"var(--vv-small)": "0.875rem", "var(--vv-large)": "20px"}
    sizes = {
        number
        for each in found
        for number in re.findall(r"[0-9.]+(?:px|rem)(?!/)", names.get(each, each).split("/")[0])
    }
    assert sizes == {"12px", "14px", "16px", "18px", "20px", "0.875rem", "1rem"}, found
    assert "border: 1px solid" not in " ".join(sheets), "no boxes in figures"


def test_the_presenters_rules_win_over_the_pages_which_stand_later():
    rules = re.sub(r"/\*.*?\*/|</?style>", "", presenter.CSS, flags=re.DOTALL)
    selectors = [rule.partition("{")[0].strip() for rule in rules.split("}") if rule.strip()]
    assert len(selectors) > 5
    assert all(each == ":root" or each.startswith("body ") for each in selectors), selectors
