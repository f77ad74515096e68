"""The prediction page while it computes: what is said at every moment, not only at the end."""

from __future__ import annotations

import re

import pytest

from vitviz.ui.pages.prediction import text as words

SMALL = "model=vit_tiny_patch16_224.augreg_in21k&weights=random&size=64"  # 16 patches
# Counts, whenever anything on the page changes, the paragraphs that say which map comes out first.
WATCH = """() => {
  window.most = 0;
  const said = /^(Of|None of) \\d+ maps/;
  const count = () => [...document.querySelectorAll("[data-testid=stMain] p")].filter((p) => said.test(p.textContent)).length;
  new MutationObserver(() => (window.most = Math.max(window.most, count()))).observe(document.body, {
    childList: true, subtree: true, characterData: true });
}"""


@pytest.mark.long
def test_one_verdict_only_from_the_coarse_curves_to_the_fine_ones(tab):
    shown = tab(f"prediction?part=trust&answer=shown&{SMALL}")
    shown.page.evaluate(WATCH)
    shown.page.get_by_role("button", name=words.TEST).click()
    verdict = shown.page.locator("[data-testid=stMain] p", has_text=re.compile(r"^(Of|None of) \d+ maps"))
    shown.expect(verdict).to_have_count(1)
    shown.settled()
    shown.expect(verdict).to_have_count(1)
    assert shown.page.evaluate("window.most") == 1
    assert shown.page.get_by_text(words.COARSE).count() == 0
    assert shown.errors() == []
