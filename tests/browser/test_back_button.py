"""Back, Forward, the menu and links: the view is always the one that the address stands for."""

from __future__ import annotations

import re

import pytest

from vitviz.ui.pages.patches import text as patches
from vitviz.ui.pages.rollout import text as rollout
from vitviz.ui.pages.start import text as start
from vitviz.ui.text import common


def choose_layer(shown, layer: int) -> None:
    box = shown.page.get_by_label(common.LAYER, exact=True)
    box.fill(str(layer))
    box.press("Enter")
    shown.wait_for_parameter("layer", str(layer))


def shows(shown, path: str, question: str, layer: int | None = None) -> None:
    """The address ends in `path`, and the page is the one of that question, at that layer."""
    shown.page.wait_for_url(re.compile(re.escape(path) + "$"))
    shown.expect(shown.page.locator("h2")).to_have_text(question)
    if layer is not None:
        shown.expect(shown.page.get_by_label(common.LAYER, exact=True)).to_have_value(str(layer))
    shown.settled()


@pytest.mark.long
def test_back_and_forward_through_layers_and_pages(tab):
    shown = tab("rollout?of=head")
    choose_layer(shown, 4)
    shown.page.get_by_role("link", name=patches.PAGE.title, exact=True).click()
    shows(shown, "/patches?layer=4&of=head", patches.PAGE.question)
    # One step back is one view back, at once and without a page in between that nobody has seen.
    shown.page.go_back()
    shows(shown, "/rollout?layer=4&of=head", rollout.PAGE.question, 4)
    shown.page.go_back()
    shows(shown, "/rollout?of=head", rollout.PAGE.question, 11)
    shown.page.go_forward()
    shows(shown, "/rollout?layer=4&of=head", rollout.PAGE.question, 4)
    shown.page.go_forward()
    shows(shown, "/patches?layer=4&of=head", patches.PAGE.question)
    assert shown.errors() == []


@pytest.mark.long
def test_back_to_where_one_was_a_moment_ago_is_no_echo(tab):
    shown = tab("rollout?layer=2&of=head")
    for layer in (3, 4):
        choose_layer(shown, layer)
    for layer in (3, 2):
        shown.page.go_back()
        shows(shown, f"/rollout?layer={layer}&of=head", rollout.PAGE.question, layer)
    # A choice from here goes on from here, and the address says so.
    shown.page.get_by_label(common.HEAD, exact=True).click()
    shown.page.get_by_role("option", name="5", exact=True).click()
    shown.wait_for_parameter("head", "5")
    assert shown.parameters() == {"layer": "2", "head": "5", "of": "head"}


@pytest.mark.long
def test_back_during_a_run_leaves_address_and_view_at_one(tab):
    shown = tab("rollout?image=cat&of=head")
    choose_layer(shown, 6)
    # A change and the button at once: which of both comes last is the network's affair, but the address says what is shown.
    box = shown.page.get_by_label(common.LAYER, exact=True)
    box.fill("8")
    box.press("Enter")
    shown.page.go_back()
    shown.settled()
    shown.page.wait_for_timeout(1500)  # nothing that was under way comes after
    shown.settled()
    asked = shown.parameters()
    assert (asked.pop("image"), asked.pop("of")) == ("cat", "head")
    assert asked in ({}, {"layer": "6"}, {"layer": "8"})
    shown.expect(box).to_have_value(asked.get("layer", "11"))
    assert shown.errors() == []


@pytest.mark.long
def test_the_menu_carries_the_view_into_a_new_tab(tab):
    shown = tab("?image=cat&layer=7")
    href = shown.page.get_by_role("link", name=rollout.PAGE.title, exact=True).first.get_attribute("href")
    other = tab(href)
    shows(other, "/rollout?image=cat&layer=7", rollout.PAGE.question, 7)
    other.page.get_by_role("link", name=start.TITLE, exact=True).first.click()
    shows(other, "/?image=cat&layer=7", start.HEADING)
    other.page.get_by_role("link", name=patches.PAGE.title, exact=True).first.click()
    shows(other, "/patches?image=cat&layer=7", patches.PAGE.question)
    assert other.errors() == shown.errors() == []


@pytest.mark.parametrize(("width", "stays"), [(390, False), (1024, True)])
@pytest.mark.long
def test_the_menu_gets_out_of_the_way_on_a_phone(tab, width, stays):
    shown = tab("rollout", width=width)
    if not stays:
        shown.page.locator("[data-testid=stExpandSidebarButton]").click()
    shown.page.get_by_role("link", name=patches.PAGE.title, exact=True).click()
    shows(shown, "/patches", patches.PAGE.question)
    menu = shown.page.get_by_role("link", name=patches.PAGE.title, exact=True)
    (shown.expect(menu).to_be_in_viewport if stays else shown.expect(menu).not_to_be_in_viewport)()
    assert common.TRY_THIS in shown.page.inner_text("[data-testid=stMain]")
