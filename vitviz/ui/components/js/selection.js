// What is being looked at, and how: the one state of the component. Small enough to be sent to Python whole.

export const RESTING = {
  token: null, // the pinned token's name: "r3c5", "cls", "reg0"; null when nothing is pinned
  layer: 0,
  head: "all", // "all", "mean" or a number
  direction: "at", // "at": where the token looks; "by": who looks at it
  measure: "weight", // "weight" or "value"
  scale: "robust", // "robust" or "raw"
  shared: false, // one scale for all heads
  links: false, // arcs over the picture
};

const REPORT_AFTER_MS = 150;

// A change asked for by Python carries a new number; whatever has the number seen last is old news, and the browser's own
// state is newer. Remembered for each component key, because the node is made anew when its page is opened again.
const remembered = new Map();

export class Selection {
  constructor(key, report) {
    this.key = key;
    this.report = report;
    const known = remembered.get(key);
    this.number = known ? known.number : null;
    this.current = known ? known.current : { ...RESTING };
    this.reportedAt = -Infinity;
    this.timer = 0;
    this.taken = false; // whether this view has followed Python before
  }

  // asked: { number, selection } from Python. Following it is reported, so that both sides know the same.
  take(asked) {
    if (asked.number === this.number) return;
    clearTimeout(this.timer);
    this.number = asked.number;
    this.current = { ...RESTING, ...asked.selection };
    this.#remember();
    if (this.taken) this.#send(performance.now());
    this.taken = true;
  }

  // The browser's own change. The first of a burst is reported at once, the last one when the burst is over: a held arrow
  // key must not start a script run for every patch it passes.
  change(part) {
    this.current = { ...this.current, ...part };
    this.#remember();
    clearTimeout(this.timer);
    const now = performance.now();
    if (now - this.reportedAt > REPORT_AFTER_MS) this.#send(now);
    else this.timer = setTimeout(() => this.#send(performance.now()), REPORT_AFTER_MS);
  }

  #send(now) {
    this.reportedAt = now;
    this.report({ ...this.current });
  }

  #remember() {
    remembered.set(this.key, { number: this.number, current: this.current });
  }
}
