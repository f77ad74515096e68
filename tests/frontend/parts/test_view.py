"""The life cycle that all views share: what was begun with one ends with it."""

from __future__ import annotations

from tests.frontend.conftest import Run

IMPORTS = 'import { Announcer, View } from "./parts/view.js";\n'
# As much of a browser as a view needs before anything is painted, which counts what is still going on.
BROWSER = """
const going = new Set(); const frames = []; const asked = [];
class Node extends EventTarget {
  constructor(tag) { super(); Object.assign(this, { tag, children: [], attributes: {} }); }
  append(...children) { this.children.push(...children); }
  setAttribute(name, value) { this.attributes[name] = value; }
  getAttribute(name) { return this.attributes[name] ?? null; }
  hasAttribute(name) { return name in this.attributes; }
  remove() { page.children = page.children.filter((child) => child !== this); }
}
const listening = (target, name) => {
  const [add, remove] = [target.addEventListener.bind(target), target.removeEventListener.bind(target)];
  target.addEventListener = (type, call, options) => { going.add(`${name} ${type}`); add(type, call, options); };
  target.removeEventListener = (type, call, options) => { going.delete(`${name} ${type}`); remove(type, call, options); };
  return target;
};
globalThis.window = listening(Object.assign(new EventTarget(), {
  innerHeight: 860, devicePixelRatio: 1, matchMedia: () => listening(new EventTarget(), 'media') }), 'window');
globalThis.document = { createElement: (tag) => new Node(tag), documentElement: { clientHeight: 800 } };
globalThis.getComputedStyle = () => ({ getPropertyValue: () => '' });
globalThis.ResizeObserver = class {
  constructor(call) { this.call = call; }
  observe() { going.add(this); sized.push(this.call); }
  disconnect() { going.delete(this); }
};
const sized = [];
globalThis.setInterval = () => { going.add('interval'); return 'interval'; };
globalThis.clearInterval = (name) => going.delete(name);
globalThis.requestAnimationFrame = (call) => frames.push(call);
globalThis.cancelAnimationFrame = (number) => { delete frames[number - 1]; };
const page = new Node('page'); const reported = [];
const host = { words: {}, memory: {}, resolve: (url, signal) => { asked.push(signal); return new Promise(() => {}); },
  report: (value) => reported.push(value), stale: () => {} };
class Square extends View {
  constructor(parent) {
    super(host); this.drawn = 0; this.show(parent, new Node('section')); this.onDestroy(() => reported.push('destroyed'));
  }
  update(data) { this.given = data; this.loader.load({ urls: { picture: data }, data }); }
  draw() { this.drawn += 1; }
}
"""


def test_nothing_of_a_view_goes_on_after_it(run: Run) -> None:
    body = """
    const view = new Square(page);
    view.update('one');
    sized[0]([{ contentRect: { width: 640 } }]);
    const size = [view.width, view.windowHeight];
    view.redraw(); view.redraw(); frames.splice(0).forEach((frame) => frame());
    const shown = [page.children.length, view.drawn, asked.map(({ aborted }) => aborted), view.root.attributes['aria-busy']];
    view.reports.make('late', 5); view.announcer.announce('late'); view.redraw();
    view.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    frames.forEach((frame) => frame());
    view.redraw(true);
    const after = [page.children.length, view.drawn, asked.map(({ aborted }) => aborted)];
    return { size, shown, after, reported, going: [...going] };"""
    assert run(IMPORTS, BROWSER + body) == {
        "size": [640, 800],
        "shown": [1, 1, [False], True],
        "after": [0, 1, [True]],
        "reported": ["destroyed"],
        "going": [],
    }


def test_a_text_alternative_is_written_once_when_the_pointer_rests(run: Run) -> None:
    body = """
    let now = 0; const timers = new Map();
    globalThis.setTimeout = (call, ms) => { const id = {}; timers.set(id, [call, now + ms]); return id; };
    globalThis.clearTimeout = (id) => timers.delete(id);
    const pass = (ms) => {
      now += ms;
      for (const [id, [call, at]] of [...timers]) if (at <= now) { timers.delete(id); call(); }
    };
    const announcer = new Announcer(); const canvas = new Node('canvas'); const written = [];
    canvas.setAttribute = (name, value) => { written.push(value); canvas.attributes[name] = value; };
    for (let row = 0; row < 5; row++) { announcer.label(canvas, `row ${row}`); pass(50); }
    const moving = [...written];
    pass(100);
    announcer.label(canvas, 'late'); announcer.destroy(); pass(1000);
    return [moving, written];"""
    assert run(IMPORTS, BROWSER + body) == [["row 0"], ["row 0", "row 4"]]
