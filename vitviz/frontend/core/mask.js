// Cells of a grid that are painted: which they are, the stroke under way, and when it is sent to Python.

const REST_MS = 60; // after the last stroke, so that several quick ones ask once

export class Mask {
  // changed(): draw again. reports: of all painted cells, ascending, so that a message that is lost is made good by the next.
  constructor(changed, reports) {
    Object.assign(this, { changed, reports, cells: new Set(), stroke: null });
  }

  // What Python holds, as it was when Python had received the report number `received`.
  show(cells, received) {
    if (this.stroke === null && this.reports.answeredBy(received)) this.cells = new Set(cells);
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
    this.reports.make(cells, REST_MS);
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
