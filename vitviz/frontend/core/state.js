// What the visitor has chosen in a view, and how it is reported to Python: a value, the painted cells of a grid, or the
// state of the microscope. Reports are numbered, and every message from Python contains the last number that it had received
// from any component of the page. A message with a smaller number was computed before the last choice, and must not
// overwrite it. No DOM is used here.

const DEBOUNCE_MS = 60; // delay after a stroke, so that several quick strokes are one report

let last = 0; // the largest number that this module has given

// Numbers follow the clock, so that they increase within a page even if its components load separate copies of this module.
function next() {
  last = Math.max(last + 1, Math.round(performance.timeOrigin + performance.now()));
  return last;
}

// Sends a view's choices to Python with rising numbers, and decides which messages from Python are outdated.
export class Reports {
  // send(value, number): sends a value to Python.
  constructor(send) {
    this.send = send;
    this.sentAt = -Infinity; // time of the last report
    this.number = 0; // number of the last choice; messages from Python with a smaller one are outdated
    this.pending = null; // { value, timer } of a choice that has not been sent yet
  }

  // Sends `value` to Python after `delay` milliseconds. A later value replaces it in the meantime, so that a key that is
  // held down causes one report.
  // -> a number for `follow`
  make(value, delay = 0) {
    this.drop();
    this.pending = { value, timer: delay > 0 ? setTimeout(() => this.flush(), delay) : 0 };
    if (delay <= 0) this.flush();
    return next();
  }

  // Sends a waiting value at once, before the next action of the visitor.
  flush() {
    if (!this.pending) return;
    const { value } = this.pending;
    this.drop();
    this.number = next();
    this.sentAt = performance.now();
    this.send(value, this.number);
  }

  // Discards a waiting value, for example because it refers to patches that no longer exist.
  drop() {
    clearTimeout(this.pending?.timer);
    this.pending = null;
  }

  // Accepts the number of a choice that another view reported and this view shows as well.
  follow(number) {
    this.number = Math.max(this.number, number);
  }

  // -> whether a message with the number `received` was computed after everything that was chosen here
  acknowledgedBy(received) {
    return this.pending === null && (received ?? 0) >= this.number;
  }
}

// Painted cells of a grid, such as hidden patches: the set of cells, the current stroke, and the report after it.
export class Mask {
  // changed(): draw again. reports: a Reports for all painted cells in ascending order; as each report contains all of
  // them, a lost one does no harm.
  constructor(changed, reports) {
    Object.assign(this, { changed, reports, cells: new Set(), stroke: null });
  }

  // Takes the cells of a message from Python, unless a stroke is in progress or the message is outdated.
  show(cells, received) {
    if (this.stroke === null && this.reports.acknowledgedBy(received)) this.cells = new Set(cells);
  }

  // A stroke that starts on an unpainted cell paints, one that starts on a painted cell erases.
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

  // Undoes the current stroke: a second finger came down, and the gesture is a pinch zoom.
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

  // Removes all cells, because they belong to another grid.
  clear() {
    this.stroke = null;
    this.cells = new Set();
  }
}

// The cells [row, col] inside the grid that a straight line between two points crosses, in order; points are [row, col] in
// fractions of cells. Pointer events are samples of a movement, and a stroke must also include the cells between them.
export function cellsBetween(from, to, [rows, cols]) {
  const cell = from.map(Math.floor);
  const last = to.map(Math.floor);
  const by = to.map((end, axis) => end - from[axis]);
  const step = by.map(Math.sign);
  // Position on the line (0 at `from`, 1 at `to`) of the next cell border along each axis, and the distance
  // between two such borders.
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

// The microscope's selection: token, layer, head and display options. It is small enough to be sent to Python as a whole.
export const INITIAL = {
  token: null, // the pinned token's name ("r3c5", "cls", "reg0"), or null
  layer: 0,
  head: "all", // "all", "mean" or a number
  direction: "at", // "at": the row of the token as a query; "by": its column as a key
  measure: "weight", // "weight" or "value"
  scale: "robust", // "robust" or "raw"
  shared: false, // one scale for all heads
  links: true, // arcs over the picture
};

const REPORT_AFTER_MS = 150;

// The microscope's selection in the browser, reported to Python after changes.
export class MicroscopeState {
  constructor(reports) {
    this.current = { ...INITIAL };
    this.reports = reports;
  }

  // Takes Python's selection, unless a message with the number `received` is outdated.
  accept(received, selection) {
    if (this.reports.acknowledgedBy(received)) this.current = { ...INITIAL, ...selection };
  }

  // Changes the selection. The first of several quick changes is reported at once, the others at most every REPORT_AFTER_MS: a key
  // that is held down must not start a run of the script for each patch on its way.
  change(part) {
    this.current = { ...this.current, ...part };
    const burst = performance.now() - this.reports.sentAt <= REPORT_AFTER_MS;
    this.reports.make({ ...this.current }, burst ? REPORT_AFTER_MS : 0);
  }
}
