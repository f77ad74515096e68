// Numbers what is chosen here, so that a reply from Python is known for late: Python says with everything it sends which number
// it had received by then, from any component of the page. What is chosen: a value, cells that are painted, the microscope's state.
// No DOM.

const DEBOUNCE_MS = 60; // after the last stroke, so that several quick ones ask once

let last = 0; // largest number given in this module

// Numbers rise within a page, across the modules of all its components.
function next() {
  last = Math.max(last + 1, Math.round(performance.timeOrigin + performance.now()));
  return last;
}

export class Reports {
  // send(value, number): sends it to Python.
  constructor(send) {
    this.send = send;
    this.sentAt = -Infinity; // when something was sent last
    this.number = 0; // Python has to have received this one before it may move anything here
    this.pending = null; // { value, timer } of a choice that has not been sent
  }

  // `value` is sent to Python after `delay` milliseconds, or what is chosen until then in its place: a held key asks once.
  // -> a number for `follow`
  make(value, delay = 0) {
    this.drop();
    this.pending = { value, timer: delay > 0 ? setTimeout(() => this.flush(), delay) : 0 };
    if (delay <= 0) this.flush();
    return next();
  }

  // Sends what waits, before something else is pressed.
  flush() {
    if (!this.pending) return;
    const { value } = this.pending;
    this.drop();
    this.number = next();
    this.sentAt = performance.now();
    this.send(value, this.number);
  }

  // What waits is not sent: it was about something that is no longer here.
  drop() {
    clearTimeout(this.pending?.timer);
    this.pending = null;
  }

  // A choice was made elsewhere that is shown here, too.
  follow(number) {
    this.number = Math.max(this.number, number);
  }

  // Whether a reply that goes with `received` knows of everything that was chosen here.
  acknowledgedBy(received) {
    return this.pending === null && (received ?? 0) >= this.number;
  }
}

// Cells of a grid that are painted: which they are, the stroke under way, and when it is sent to Python.
export class Mask {
  // changed(): draw again. reports: of all painted cells, ascending, so that a message that is lost is made good by the next.
  constructor(changed, reports) {
    Object.assign(this, { changed, reports, cells: new Set(), stroke: null });
  }

  // What Python holds, as it was when Python had received the report number `received`.
  show(cells, received) {
    if (this.stroke === null && this.reports.acknowledgedBy(received)) this.cells = new Set(cells);
  }

  // A stroke paints where its first cell was clear, and clears where it was painted.
  begin(cell) {
    this.before = new Set(this.cells);
    this.stroke = !this.cells.has(cell);
    this.over(cell);
  }

  over(cell) {
    if (this.stroke === null || cell === null || this.cells.has(cell) === this.stroke) return;
    if (this.stroke) this.cells.add(cell);
    else this.cells.delete(cell);
    this.changed();
  }

  end() {
    if (this.stroke === null) return;
    this.stroke = null;
    this.changed();
    const cells = [...this.cells].sort((one, other) => one - other);
    this.reports.make(cells, DEBOUNCE_MS);
  }

  // The stroke was none: two fingers came to zoom.
  cancel() {
    if (this.stroke === null) return;
    this.stroke = null;
    this.cells = this.before;
    this.changed();
  }

  toggle(cell) {
    this.begin(cell);
    this.end();
  }

  // The grid is another one: what was painted on the old one means nothing here.
  clear() {
    this.stroke = null;
    this.cells = new Set();
  }
}

// The cells [row, col] that a straight line meets between two points [row, col] in fractions of cells, in its order, and of those
// only what lies in the grid: a pointer reports some points of its way, and the cells between them belong to the stroke, too.
export function cellsBetween(from, to, [rows, cols]) {
  const cell = from.map(Math.floor);
  const last = to.map(Math.floor);
  const by = to.map((end, axis) => end - from[axis]);
  const step = by.map(Math.sign);
  // Share of the way at which the line crosses the next border across each axis, and from one border to the next.
  const next = by.map((way, axis) => (way ? (cell[axis] + (way > 0 ? 1 : 0) - from[axis]) / way : Infinity));
  const each = by.map((way) => (way ? Math.abs(1 / way) : Infinity));
  const found = [];
  const count = Math.abs(last[0] - cell[0]) + Math.abs(last[1] - cell[1]);
  for (let i = 0; i <= count; i++) {
    const [row, col] = cell;
    if (row >= 0 && row < rows && col >= 0 && col < cols) found.push([row, col]);
    const axis = next[0] < next[1] ? 0 : 1;
    cell[axis] += step[axis];
    next[axis] += each[axis];
  }
  return found;
}

// The state of the microscope: what is being looked at, and how. Small enough to be sent to Python whole.
export const INITIAL = {
  token: null, // the pinned token's name: "r3c5", "cls", "reg0"; null when nothing is pinned
  layer: 0,
  head: "all", // "all", "mean" or a number
  direction: "at", // "at": the row of the token as a query; "by": its column as a key
  measure: "weight", // "weight" or "value"
  scale: "robust", // "robust" or "raw"
  shared: false, // one scale for all heads
  links: true, // arcs over the picture
};

const REPORT_AFTER_MS = 150;

export class MicroscopeState {
  constructor(reports) {
    this.current = { ...INITIAL };
    this.reports = reports;
  }

  // selection: Python's, as it was when Python had received the choice number `received`; older ones are passed over.
  accept(received, selection) {
    if (this.reports.acknowledgedBy(received)) this.current = { ...INITIAL, ...selection };
  }

  // The browser's own change. The first of a burst is reported at once, and then no more than one in REPORT_AFTER_MS: a held
  // arrow key must not start a script run for every patch it passes.
  change(part) {
    this.current = { ...this.current, ...part };
    const burst = performance.now() - this.reports.sentAt <= REPORT_AFTER_MS;
    this.reports.make({ ...this.current }, burst ? REPORT_AFTER_MS : 0);
  }
}
