"""Pictures of one's own: for their browser, for a while, within bounds, and gone when it asks."""

from __future__ import annotations

import pytest

from vitviz.ui.server.uploads import KeptUploads


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> KeptUploads:
    return KeptUploads(lifetime=100, max_bytes=10, clock=clock)


def test_a_picture_is_its_own_browsers_alone(kept: KeptUploads) -> None:
    own = kept.keep("ann", "upload", b"abc", (60, 40))
    assert kept.find("ann", "upload") == own and own.scaled == (60, 40)
    assert kept.find("bob", "upload") is None and kept.find("ann", "second") is None and kept.find("", "upload") is None


def test_a_browser_without_cookies_leaves_nothing_behind(kept: KeptUploads) -> None:
    own = kept.keep("", "upload", b"abc")
    assert kept.find("", "upload") is None and kept.nbytes == 0
    kept.forget("")
    assert kept.holds("", own)


def test_it_goes_a_while_after_it_was_last_shown(kept: KeptUploads, clock: Clock) -> None:
    kept.keep("ann", "upload", b"abc")
    for clock.now in (99.0, 198.0):
        assert kept.find("ann", "upload") is not None
    clock.now = 298.0
    assert kept.find("ann", "upload") is None and kept.nbytes == 0


def test_it_goes_though_nobody_comes_back(kept: KeptUploads, clock: Clock) -> None:
    kept.keep("ann", "upload", b"abc")
    clock.now = 99.0
    kept.clean()
    assert kept.nbytes == 3
    clock.now = 100.0
    kept.clean()
    assert kept.nbytes == 0


def test_those_shown_longest_ago_make_room(kept: KeptUploads) -> None:
    for visitor in ("ann", "bob", "cid"):
        kept.keep(visitor, "upload", b"abc")
    kept.find("ann", "upload")
    kept.keep("dan", "upload", b"abcd")
    assert [kept.find(visitor, "upload") is None for visitor in ("ann", "bob", "cid", "dan")] == [
        False,
        True,
        False,
        False,
    ]
    assert kept.nbytes == 10


def test_forgotten_is_forgotten_in_every_tab(kept: KeptUploads) -> None:
    first = kept.keep("ann", "upload", b"abc")
    other = kept.keep("bob", "upload", b"abc")
    kept.forget("ann")
    assert kept.find("ann", "upload") is None and not kept.holds("ann", first) and kept.holds("bob", other)
    assert first.content == b"" and other.content == b"abc"  # an open tab has nothing left, though it has not run since
    assert kept.holds("ann", kept.keep("ann", "upload", b"new"))
