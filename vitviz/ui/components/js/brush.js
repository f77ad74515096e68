// Painting cells of a grid: which are painted, the stroke under way, and when Python hears of it.

const REST_MS = 350; // after the last stroke, so that several quick ones ask once

export class Brush {
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

// Ties a brush to a canvas: drawn with a mouse or a pen, tapped with a finger (which must stay free to scroll), and by
// keyboard at the cursor. cellAt(event) and cursor() -> a cell or null; painting() -> whether this is wanted at all.
export function handle(canvas, brush, { cellAt, cursor, painting }) {
  let finger = false;
  canvas.addEventListener("pointerdown", (event) => {
    finger = event.pointerType === "touch";
    const cell = painting() && !finger && event.button === 0 ? cellAt(event) : null;
    if (cell !== null) brush.begin(cell);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (brush.stroke !== null) brush.over(cellAt(event));
  });
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) canvas.addEventListener(name, () => brush.end());
  canvas.addEventListener("click", (event) => {
    const cell = painting() && finger ? cellAt(event) : null;
    if (cell !== null) brush.toggle(cell);
  });
  canvas.addEventListener("keydown", (event) => {
    if (!painting() || (event.key !== " " && event.key !== "Enter")) return;
    if (cursor() !== null) brush.toggle(cursor());
    event.preventDefault();
  });
}

// A cell that is painted: darkened, and struck through, so that it can be told without colour.
export function strike(pen, [x, y, width, height], colour) {
  pen.fillStyle = "rgba(20, 20, 20, 0.6)";
  pen.fillRect(x, y, width, height);
  for (const [ink, wide] of [["rgba(0, 0, 0, 0.85)", 4], [colour, 2]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = wide;
    pen.beginPath();
    pen.moveTo(x + 2, y + 2);
    pen.lineTo(x + width - 2, y + height - 2);
    pen.moveTo(x + width - 2, y + 2);
    pen.lineTo(x + 2, y + height - 2);
    pen.stroke();
  }
}
