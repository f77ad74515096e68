"""Numbered choices and what is painted, under Node.js: late replies move nothing back."""

from __future__ import annotations

import numpy as np

from tests.frontend.conftest import Run

CHOICES = 'import { cellsBetween, Mask, Reports } from "./core/state.js";\n'
# A clock that the test moves.
CLOCK = """
let now = 0, id = 0; const timers = new Map();
globalThis.setTimeout = (call, ms) => { timers.set(++id, { call, at: now + ms }); return id; };
globalThis.clearTimeout = (which) => timers.delete(which);
const pass = (ms) => {
  now += ms;
  for (const [key, { call, at }] of [...timers]) if (at <= now) { timers.delete(key); call(); }
};
const sent = []; const reports = new Reports((value, number) => sent.push({ value, number }));
const values = () => sent.map(({ value }) => value); const received = () => sent.at(-1)?.number ?? 0;
"""


def test_a_late_reply_moves_nothing_back(run: Run) -> None:
    body = """
    const known = [reports.acknowledgedBy(0), reports.acknowledgedBy(undefined)];
    reports.make('a'); const first = received(); const waiting = reports.acknowledgedBy(0);
    reports.make('b');
    return [known, waiting, received() > first, [first, received(), received() + 1000].map((n) => reports.acknowledgedBy(n)),
    values()];"""
    assert run(CHOICES, CLOCK + body) == [[True, True], False, True, [False, True, True], ["a", "b"]]


def test_a_held_key_asks_once_and_what_waits_is_sent_first(run: Run) -> None:
    body = """
    for (const value of ['a', 'b', 'c']) { reports.make(value, 200); pass(50); }
    const held = [values(), reports.acknowledgedBy(1e15)];
    pass(200); const after = values();
    reports.make('d', 200); reports.flush(); pass(500);
    const flushed = values();
    reports.make('e', 200); reports.drop(); pass(500);
    return [held, after, flushed, values(), reports.acknowledgedBy(received())];"""
    assert run(CHOICES, CLOCK + body) == [[[], False], ["c"], ["c", "d"], ["c", "d"], True]


def test_a_choice_in_a_linked_picture_is_not_moved_back_either(run: Run) -> None:
    body = """
    const linked = new Reports(() => {});
    reports.make('a'); const before = received();
    const stamp = reports.make('b'); linked.follow(stamp);
    const late = linked.acknowledgedBy(before);
    reports.make('c');
    return [late, linked.acknowledgedBy(received())];"""
    assert run(CHOICES, CLOCK + body) == [False, True]


MASK = "const mask = new Mask(() => {}, reports); const cells = () => [...mask.cells].sort((a, b) => a - b);"


def test_after_the_last_cell_was_erased_a_button_of_the_page_is_followed(run: Run) -> None:
    body = """
    mask.show([3], 0); mask.toggle(3); pass(400); const erased = [values(), cells()];
    mask.show([3], 0); const late = cells();                          // the run before the erasing
    mask.show([], received()); const receivedOf = cells();
    mask.show([5, 6], received()); const sinks = cells();                // "Cut the sinks", at once
    mask.toggle(9); pass(400);
    return { erased, late, receivedOf, sinks, last: values().at(-1) };"""
    assert run(CHOICES, CLOCK + MASK + body) == {
        "erased": [[[]], []],
        "late": [],
        "receivedOf": [],
        "sinks": [5, 6],
        "last": [5, 6, 9],
    }


def test_no_reply_reaches_into_a_stroke_and_it_is_sent_whole(run: Run) -> None:
    body = """
    mask.begin(1); mask.over(2); pass(1000); mask.show([8], 0); mask.over(3); mask.over(null); mask.end();
    const painted = cells(); pass(40); mask.toggle(3); pass(400);
    return [painted, values()];"""
    assert run(CHOICES, CLOCK + MASK + body) == [[1, 2, 3], [[1, 2]]]


def test_two_fingers_make_no_stroke(run: Run) -> None:
    body = """
    mask.show([3], 0); mask.begin(1); mask.over(2); mask.over(3); mask.cancel(); pass(1000);
    return [cells(), values()];"""
    assert run(CHOICES, CLOCK + MASK + body) == [[3], []]


def test_a_stroke_has_no_gaps(run: Run) -> None:
    """Between two points that a pointer tells, every cell that the line passes through belongs to the stroke."""
    random = np.random.default_rng(2)
    shape = (9, 14)
    ways = [random.uniform(-3, 17, (2, 2)) for _ in range(60)]
    ways += [np.array([[2, 3.5], [2, 11.5]]), np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[7.0, 5.0], [1.0, 5.0]])]
    body = "return given.ways.map(([from, to]) => cellsBetween(from, to, given.shape));"
    found = run(CHOICES, body, ways=[way.tolist() for way in ways], shape=shape)
    for way, cells in zip(ways, found, strict=True):
        start, end = way
        points = start + np.linspace(0, 1, 20001)[:, None] * (end - start)  # (points, 2)
        crossed = {tuple(cell) for cell in np.unique(np.floor(points).astype(int), axis=0).tolist()}
        within = {(row, col) for row, col in crossed if 0 <= row < shape[0] and 0 <= col < shape[1]}
        assert within <= {tuple(cell) for cell in cells}
        # The sampling may miss a corner that is cut by less than its step, and passing through a corner adds one cell.
        assert len(cells) <= len(within) + 2, (way, cells)
        assert all(0 <= row < shape[0] and 0 <= col < shape[1] for row, col in cells)
        steps = np.abs(np.diff(np.array(cells).reshape(-1, 2), axis=0)).sum(1)
        assert (steps <= 1).all() or len(within) < len(crossed), "neighbours, but where the way leads outside"


def test_the_microscopes_state_follows_answers_and_no_late_reply(run: Run) -> None:
    body = """
    const state = new MicroscopeState(reports);
    state.accept(0, { token: 'cls', layer: 3 }); const first = state.current.token;
    state.change({ token: 'r1c1' }); const before = received(); state.change({ token: 'r2c2' });
    state.accept(before, { token: 'r1c1' }); const waiting = state.current.token;
    pass(200); state.accept(before, { token: 'r1c1' }); const late = state.current.token;
    state.accept(received(), { token: 'r9c9' });
    return [first, waiting, late, state.current.token, values().map(({ token }) => token), state.current.head];"""
    imports = CHOICES + 'import { MicroscopeState } from "./core/state.js";\n'
    found = run(imports, CLOCK + body)
    assert found == ["cls", "r2c2", "r2c2", "r9c9", ["r1c1", "r2c2"], "all"]
