// Cells of a grid that are painted: which they are, the stroke under way, and when Python hears of it.

const REST_MS = 350; // after the last stroke, so that several quick ones ask once

export class Mask {
  // changed(): draw again. reports: of all painted cells, ascending, so that a message that is lost is made good by the next.
  constructor(changed, reports) {
    Object.assign(this, { changed, reports, cells: new Set(), stroke: null });
  }

  // What Python holds, as it was when Python had heard of the report number `heard`.
  show(cells, heard) {
    if (this.stroke === null && this.reports.answeredBy(heard)) this.cells = new Set(cells);
  }

  // A stroke paints where its first cell was clear, and clears where it was painted.
  begin(cell) {
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
