"""Waiting in a real browser: progress, a place in the queue, and a button that stops the computation on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.ui.pages.rollout import text as rollout
from vitviz.ui.pages.what_if import text as what_if
from vitviz.ui.text import common

from .serving import served

WORTH = "what_if?switch=worth&weighed=now"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served(Path(__file__).with_name("watched_app.py")) as address:
        yield address


@pytest.fixture(autouse=True)
def nothing_left_running(browser, server: str) -> Iterator[None]:
    """A test may count on queues with nothing in them."""
    yield
    context = browser.new_context()
    until(context.new_page(), server, lambda names: not names)
    context.close()


def computing(page, server: str, which: str) -> list[str]:
    """Names of what the server has "under way", or of what is "known"."""
    return page.request.get(f"{server}/computing").json()[which]


def until(page, server: str, holds) -> list[str]:
    """Waits until `holds(names)`; pytest's own timeout ends what never comes."""
    while not holds(names := computing(page, server, "under way")):
        page.wait_for_timeout(100)
    return names


def progress_of(shown):
    return shown.page.locator("[data-testid=stProgress]")


def how_far(shown) -> int:
    return int(progress_of(shown).locator("[role=progressbar]").get_attribute("aria-valuenow"))


def begin(shown, path: str) -> None:
    """Opens a page that computes for a while, and does not wait for it."""
    shown.page.goto(f"{shown.server}/{path}")


@pytest.mark.long
def test_progress_is_seen_and_stopping_really_stops(tab):
    shown = tab("what_if?image=koala")
    begin(shown, f"{WORTH}&image=koala")
    shown.expect(progress_of(shown)).to_contain_text(what_if.WORTH_RUNNING)
    shown.page.wait_for_function(
        "() => +(document.querySelector('[data-testid=stProgress] [role=progressbar]')?.ariaValueNow ?? 0) > 5"
    )
    shown.screenshot("waiting")
    assert "head importance" in computing(shown.page, shown.server, "under way")

    shown.page.get_by_role("button", name=common.CANCEL).click()
    shown.expect(shown.page.get_by_text(common.CALLED_OFF)).to_be_visible()
    shown.settled()
    # The work is gone, and not because it was through: it left no answer behind.
    until(shown.page, shown.server, lambda names: "head importance" not in names)
    assert "head importance" not in computing(shown.page, shown.server, "known")
    shown.screenshot("called-off")
    assert shown.page.get_by_role("button", name=common.CANCEL).count() == 0

    # The page keeps working, on the same picture and elsewhere, and nothing begins again by itself.
    choice = shown.page.locator(".st-key-choice-of-switch [role=combobox]")
    choice.click()
    choice.press("ArrowDown")  # a click alone does not open the list where it already has the focus
    shown.page.get_by_role("option", name=what_if.SECTIONS["hide"]).click()
    shown.page.wait_for_url(re.compile(r"^(?!.*switch=)"))
    shown.page.get_by_role("link", name=rollout.PAGE.title, exact=True).first.click()
    shown.page.get_by_role("heading", name=rollout.PAGE.question).wait_for()
    shown.settled()
    assert computing(shown.page, shown.server, "under way") == []
    assert shown.errors() == []


@pytest.mark.long
def test_asked_again_it_begins_again(tab):
    shown = tab("what_if?image=coffee")
    begin(shown, f"{WORTH}&image=coffee")
    shown.page.get_by_role("button", name=common.CANCEL).click()
    shown.page.get_by_role("button", name=common.ASK_AGAIN).click()
    shown.expect(progress_of(shown)).to_contain_text(what_if.WORTH_RUNNING)
    until(shown.page, shown.server, lambda names: "head importance" in names)
    shown.page.get_by_role("button", name=common.CANCEL).click()
    shown.expect(shown.page.get_by_text(common.CALLED_OFF)).to_be_visible()


@pytest.mark.long
def test_the_second_in_line_sees_the_place_and_moves_up_when_the_first_gives_up(tab):
    first, second = tab("what_if?image=cat"), tab("what_if?image=bricks")
    begin(first, f"{WORTH}&image=cat")
    until(first.page, first.server, lambda names: "head importance" in names)
    begin(second, f"{WORTH}&image=bricks")
    waiting = re.compile(re.escape(common.IN_QUEUE.format(what="", count=1)))
    second.expect(progress_of(second)).to_contain_text(waiting)
    second.screenshot("in-queue")
    first.page.get_by_role("button", name=common.CANCEL).click()
    second.expect(progress_of(second)).to_contain_text(what_if.WORTH_RUNNING)
    second.expect(progress_of(second)).not_to_contain_text(waiting)
    # Giving up for oneself stops nobody else's work.
    assert "head importance" in until(first.page, first.server, bool)
    second.page.get_by_role("button", name=common.CANCEL).click()
    second.expect(second.page.get_by_text(common.CALLED_OFF)).to_be_visible()


@pytest.mark.long
def test_two_who_want_the_same_share_it_and_one_may_go(tab):
    one, other = tab("what_if?image=astronaut"), tab("what_if?image=astronaut")
    for shown in (one, other):
        begin(shown, f"{WORTH}&image=astronaut")
        shown.expect(progress_of(shown)).to_contain_text(what_if.WORTH_RUNNING)
    assert computing(one.page, one.server, "under way").count("head importance") == 1
    one.page.get_by_role("button", name=common.CANCEL).click()
    one.expect(one.page.get_by_text(common.CALLED_OFF)).to_be_visible()
    one.page.wait_for_timeout(1500)
    assert "head importance" in computing(one.page, one.server, "under way"), "the other still waits for it"
    assert how_far(other) > 0
    other.page.get_by_role("button", name=common.CANCEL).click()
    other.expect(other.page.get_by_text(common.CALLED_OFF)).to_be_visible()
