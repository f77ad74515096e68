"""The page of supported models: every name of the registry once, and never stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitviz.models.registry import architectures
from vitviz.support import Support, support_of
from vitviz.support.registry import write_page

PAGE = Path(__file__).parents[2] / "docs" / "supported-models.md"
PARTS = 64  # of the registry, about twenty names each


def on_the_page() -> list[Support]:
    """What the page says: (verdict, reason and what else to do) of each name; nothing else of a `Support` is on it."""
    found, verdict = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            verdict = line.split()[1].lower()
        elif "<br>" in line:
            reason, _, names = line.removeprefix("- ").partition("<br>")
            found += [Support(name.strip("`"), verdict, reason, "", False, False, ()) for name in names.split(", ")]
    return found


def test_the_page_has_every_name_of_the_registry_once_and_counts_them():
    supports = on_the_page()
    assert sorted(support.name for support in supports) == sorted(architectures())
    assert PAGE.read_text(encoding="utf-8") == write_page(supports)


@pytest.mark.registry
@pytest.mark.parametrize("part", range(PARTS))
def test_the_page_says_of_a_model_what_the_code_says_now(part):
    """Every name of the registry in all parts together; minutes of computing. `vitviz support --write` writes the page."""
    said = {support.name: (support.verdict, support.reason) for support in on_the_page()}
    for name in architectures()[part::PARTS]:
        now = support_of(name)
        assert said[name] == (now.verdict, f"{now.reason} {now.instead}".rstrip()), name
