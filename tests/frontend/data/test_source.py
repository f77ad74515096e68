"""What the browser fetches and believes, under Node.js: slow, failing, late and reordered replies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.frontend.conftest import Run
from vitviz.ui.server.payloads import pack

LOADER = 'import { FetchError, payloadReader, Source } from "./data/source.js";\nimport { Loader } from "./data/source.js";\n'
# A server whose replies the test sends when it likes, and a loader over it whose pauses end when the test says so.
SERVER = """
const tick = async () => { for (let i = 0; i < 30; i++) await null; };
const asked = [], given_up = [], closed = [], log = [], pauses = [];
const replies = new Map();
const read = (url, signal) => new Promise((resolve, reject) => {
  asked.push(url);
  replies.set(url, { resolve, reject });
  signal.addEventListener("abort", () => { given_up.push(url); reject(new Error("aborted")); });
});
const payload = (url, bytes = 8) => ({ url, arrays: { values: new Uint8Array(bytes) }, shapes: {}, meta: {} });
const reply = async (url, bytes) => { replies.get(url).resolve(payload(url, bytes)); await tick(); };
const fail = async (url, reason = "network") => { replies.get(url).reject(new FetchError(reason, "no")); await tick(); };
const source = new Source(read, given.kept ?? 1e6);
const make = () => {
  const loader = new Loader(source, {
    arrived: (question, payloads) => log.push([question.name, Object.values(payloads).map((one) => one.url)]),
    changed: () => log.push(loader.state + (loader.error ? `: ${loader.missing} ${loader.error.reason}` : "")),
    stale: () => log.push("stale"),
  }, (ms, signal) => new Promise((resolve) => pauses.push({ ms, resolve })));
  return loader;
};
const resume = async () => { pauses.at(-1).resolve(); await tick(); };
const loader = make();
const ask = async (name, ...urls) => {
  loader.load({ name, urls: Object.fromEntries(urls.map((url, i) => [["picture", "numbers"][i], url])) });
  await tick();
};
"""


@pytest.fixture
def play(run: Run) -> Run:
    """play(body): `body` after SERVER; what it returns."""

    def play_body(body: str, **given: Any) -> Any:
        return run(LOADER, SERVER + body, **given)

    return play_body


@pytest.mark.parametrize("order", [("p", "n"), ("n", "p")])
def test_picture_and_numbers_arrive_together(play: Run, order: tuple[str, str]) -> None:
    first, second = order
    log = play(
        "await ask('one', 'p', 'n'); await reply(given.first); log.push('half'); await reply(given.second); return log;",
        first=first,
        second=second,
    )
    assert log == ["loading", "half", ["one", ["p", "n"]], "shown"]


def test_late_and_reordered_replies_are_passed_over(play: Run) -> None:
    body = """
    await ask('one', 'p1', 'n1'); await reply('p1');
    await ask('two', 'p2', 'n2'); await ask('three', 'p1', 'n3');
    await reply('n3'); await reply('n2'); await reply('p2'); await reply('n1');
    return [log, asked, given_up.sort()];"""
    log, asked, given_up = play(body)
    assert log == ["loading", "loading", "loading", ["three", ["p1", "n3"]], "shown"]
    assert asked == ["p1", "n1", "p2", "n2", "n3"], "what is here or under way is not asked for twice"
    assert given_up == ["n1", "n2", "p2"], "what nobody waits for is given up"


def test_what_is_here_is_shown_at_once(play: Run) -> None:
    body = """
    await ask('one', 'p', 'n1'); await reply('p'); await reply('n1'); await ask('two', 'p', 'n2'); await reply('n2');
    log.length = 0;
    loader.load({ name: 'one again', urls: { picture: 'p', numbers: 'n1' } });
    return [log, asked];"""
    log, asked = play(body)
    assert log == [["one again", ["p", "n1"]], "shown"], "without a moment of waiting in between"
    assert asked == ["p", "n1", "n2"]


def test_a_failure_is_tried_again_then_said_and_goes_away_with_a_good_reply(play: Run) -> None:
    body = """
    await ask('one', 'p', 'n'); await reply('p');
    for (let i = 0; i < 3; i++) { await fail('n'); await resume(); }
    const before = [...log]; log.length = 0;
    await fail('n'); const said = [...log]; log.length = 0;
    await ask('one', 'p', 'n'); const kept = [...log]; log.length = 0; // Python sends the same with another choice
    await reply('n');
    return { before, said, kept, after: log, pauses: pauses.map(({ ms }) => ms), asked };"""
    found = play(body)
    assert found["before"] == ["loading"], "three attempts more before anything is said"
    assert found["said"] == ["failed: numbers network"]
    assert found["kept"] == ["failed: numbers network"], "the message stays while the same is tried again"
    assert found["after"] == [["one", ["p", "n"]], "shown"], "and goes with a good reply"
    pauses = found["pauses"]
    assert pauses[:3] == sorted(pauses[:3]) and 100 <= pauses[0] < pauses[2] <= 5000
    assert found["asked"] == ["p", "n", "n", "n", "n", "n"], "what arrived is kept"


def test_the_network_is_watched_for_after_the_failure_was_said(play: Run) -> None:
    body = """
    await ask('one', 'p');
    for (let i = 0; i < 4; i++) { await fail('p'); if (i < 3) await resume(); }
    log.length = 0; await resume(); await fail('p'); await resume(); await reply('p');
    return log;"""
    assert play(body) == ["failed: picture network", ["one", ["p"]], "shown"]


@pytest.mark.parametrize("reason", ["gone", "server", "damaged"])
def test_what_the_server_refuses_is_asked_for_by_hand(play: Run, reason: str) -> None:
    body = """
    await ask('one', 'p');
    for (let i = 0; i < 4; i++) { await fail('p', given.reason); if (i < 3) await resume(); }
    const { length } = pauses; const said = [...log]; log.length = 0;
    loader.retry(); await tick(); await reply('p'); loader.retry(); await tick();
    return [said, length, log];"""
    said, pauses, after = play(body, reason=reason)
    assert said == ["loading", *(["stale"] if reason == "gone" else []), f"failed: picture {reason}"]
    assert pauses == 3, "nothing is tried without end"
    assert after == ["loading", ["one", ["p"]], "shown"]


def test_an_address_that_python_has_yet_to_give_is_waited_for(play: Run) -> None:
    body = """
    await ask('one', 'p', undefined); const first = [...log, ...asked];
    await ask('one', 'p', 'n'); await reply('p'); await reply('n');
    return [first, log];"""
    assert play(body) == [["loading"], ["loading", "loading", ["one", ["p", "n"]], "shown"]]


def test_nothing_arrives_after_the_end(play: Run) -> None:
    body = "await ask('one', 'p'); loader.stop(); await reply('p'); return [log, given_up];"
    assert play(body) == [["loading"], ["p"]]


def test_what_two_views_want_is_fetched_once_and_outlives_one_of_them(play: Run) -> None:
    body = """
    const other = make();
    await ask('one', 'p'); other.load({ name: 'other', urls: { picture: 'p' } });
    other.stop(); await tick(); await reply('p');
    return [asked, given_up, log];"""
    assert play(body) == [["p"], [], ["loading", "loading", ["one", ["p"]], "shown"]]


def test_bytes_kept_are_bounded_and_what_is_shown_is_not_closed(play: Run) -> None:
    body = """
    const picture = (url) => ({ ...payload(url, 10), picture: { width: 1, height: 10, close: () => closed.push(url) } });
    for (const url of ['a', 'b', 'c', 'd']) { await ask(url, url); replies.get(url).resolve(picture(url)); await tick(); }
    const kept = [...source.entries.keys()];
    await ask('e', 'e'); replies.get('e').resolve(picture('e')); // 'd' is shown until 'e' is here
    const atOnce = [...closed]; await tick();
    return { kept, atOnce, closed, now: [...source.entries.keys()] };"""
    found = play(body, kept=110)
    assert found["kept"] == ["c", "d"], "50 bytes each"
    assert found["atOnce"] == ["a", "b"]
    assert (found["closed"], found["now"]) == (["a", "b", "c"], ["d", "e"])
    alone = play(body, kept=0)
    assert alone["now"] == ["e"], "what is shown stays, however large it is"
    assert alone["closed"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_order_of_replies_only_the_last_question_is_answered(play: Run, seed: int) -> None:
    body = """
    let state = given.seed * 7919 + 17;
    const random = (n) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor((state / 2147483648) * n); };
    let current = null, wrong = 0, arrivals = 0;
    loader.arrived = (question, payloads) => {
      arrivals += 1;
      const urls = Object.values(question.urls);
      if (question.name !== current || String(Object.values(payloads).map((one) => one.url)) !== String(urls)) wrong += 1;
    };
    for (let i = 0; i < 400; i++) {
      const act = random(8), open = [...replies.keys()];
      if (act === 0) await ask(current = i, `p${random(3)}`, `n${random(6)}`);
      else if (act < 6 && open.length) await reply(open[random(open.length)]);
      else if (open.length) {
        await fail(open[random(open.length)], ['network', 'gone', 'server'][random(3)]);
        if (pauses.length) await resume();
      }
    }
    await ask(current = 'last', 'p0', 'n0');
    for (let i = 0; i < 9 && loader.state !== 'shown'; i++) {
      for (const url of ['p0', 'n0']) if (replies.has(url)) await reply(url);
      if (pauses.length) await resume();
    }
    return { wrong, arrivals, state: loader.state };"""
    found = play(body, seed=seed, kept=20)
    assert found["wrong"] == 0
    assert found["arrivals"] > 5
    assert found["state"] == "shown"


def test_what_a_failed_fetch_is_called(run: Run) -> None:
    body = """
    const signal = new AbortController().signal;
    const cases = {
      network: () => { throw new TypeError('Failed to fetch'); },
      gone: () => ({ ok: false, status: 404 }),
      server: () => ({ ok: false, status: 503 }),
      damaged: () => ({ ok: true, arrayBuffer: async () => new TextEncoder().encode('<!doctype html>').buffer }),
      broken: () => ({ ok: true, arrayBuffer: async () => { throw new TypeError('network error'); } }),
      undecodable: () => ({ ok: true, arrayBuffer: async () => buffers[0] }),
    };
    globalThis.createImageBitmap = async () => { throw new Error('no picture'); };
    const found = {};
    for (const [name, answer] of Object.entries(cases)) {
      globalThis.fetch = async () => answer();
      found[name] = await payloadReader(resolve)('x', signal).then(() => 'taken', (error) => error.reason);
    }
    return found;"""
    found = run(
        LOADER + 'import { resolve } from "./hosts/streamlit.js";\n',
        body,
        pack({"picture": np.arange(9, dtype=np.uint8)}),
    )
    assert found == {
        "network": "network",
        "gone": "gone",
        "server": "server",
        "damaged": "damaged",
        "broken": "network",
        "undecodable": "damaged",
    }
