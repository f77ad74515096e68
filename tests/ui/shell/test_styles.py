"""Rules of style hold where they are meant to: by the colours of the theme, and over the rules that they replace."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from vitviz.ui.shell import presenter, styles

THEME = tomllib.loads(Path(".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]


def test_the_papers_are_the_themes():
    assert f"--vv-paper: {THEME['dark']['backgroundColor']};" in styles._DARK
    papers = re.findall(r"background: var\(--vv-paper, (#\w+)\)", styles.CSS)
    assert set(papers) == {"#fff"} and THEME["light"]["backgroundColor"] == "#ffffff"
    assert "--st-background-color" not in styles.CSS, "components alone are told it"


def test_the_presenters_rules_win_over_the_pages_which_stand_later():
    rules = re.sub(r"/\*.*?\*/|</?style>", "", presenter._CSS, flags=re.DOTALL)
    selectors = [rule.partition("{")[0].strip() for rule in rules.split("}") if rule.strip()]
    assert len(selectors) > 5
    assert all(each == ":root" or each.startswith("body ") for each in selectors), selectors
