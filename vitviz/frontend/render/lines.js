// An SVG line chart over steps with one line per network. Lines differ in their dashes and have their names at their ends;
// the selected step is marked.

import { svgElement } from "../parts/dom.js";

const LEFT = 40; // CSS pixels for the numbers of the vertical axis
const RIGHT = 42; // for the names of the lines
const TOP = 28; // for the name of the vertical axis
const BOTTOM = 42; // for the numbers and the name of the horizontal axis
const DASHES = ["", "6 4"];
const [NAME, MIDDLE] = [15, 4]; // least distance between two names; from the middle of a name down to its baseline
const BESIDE = 10; // from the end of a line to its name, past the mark of a selected last step

export class LineChart {
  constructor() {
    this.node = svgElement("svg", { class: "chart", role: "img" });
    this.data = null;
  }

  // data: { sides: [{ name, x, values, low, high }], steps: [{ x, frames }], axes: { x, y, top, ticks, x_ticks }, chart_alt }
  setData(data) {
    this.data = data;
    this.node.setAttribute("aria-label", data.chart_alt);
    this.draw();
  }

  resize(width, height) {
    Object.assign(this, { width: Math.max(120, width), height: Math.max(120, height) });
    this.draw();
  }

  // -> the step nearest to a pointer event; null without data
  nearest(event) {
    if (!this.data || !this.width) return null;
    const x = event.clientX - this.node.getBoundingClientRect().left;
    let best = 0;
    this.data.steps.forEach((step, i) => {
      if (Math.abs(this.across(step.x) - x) < Math.abs(this.across(this.data.steps[best].x) - x)) best = i;
    });
    return best;
  }

  across(x) {
    const { steps } = this.data;
    const [low, high] = [steps[0].x, steps.at(-1).x];
    return LEFT + ((x - low) / (high - low || 1)) * (this.width - LEFT - RIGHT);
  }

  up(value) {
    return this.height - BOTTOM - (value / this.data.axes.top) * (this.height - TOP - BOTTOM);
  }

  draw() {
    if (!this.data || !this.width) return;
    const { sides, axes } = this.data;
    const { width, height } = this;
    const base = height - BOTTOM;
    const parts = [];
    for (const [value, text] of axes.ticks) {
      parts.push(svgElement("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: this.up(value), y2: this.up(value) }));
      parts.push(label(text, LEFT - 6, this.up(value) + 4, "end"));
    }
    for (const [value, text] of axes.x_ticks) parts.push(label(text, this.across(value), base + 17, "middle"));
    parts.push(label(axes.x, (LEFT + width - RIGHT) / 2, height - 6, "middle"));
    sides.forEach(({ x, values, low, high }, i) => {
      const points = (numbers) => numbers.map((value, n) => `${this.across(x[n])},${this.up(value)}`);
      if (low) parts.push(svgElement("polygon", { class: "band", points: [...points(high), ...points(low).reverse()].join(" ") }));
      parts.push(svgElement("polyline", { class: i ? "line second" : "line", points: points(values).join(" "), "stroke-dasharray": DASHES[i] }));
      values.forEach((value, n) => parts.push(svgElement("circle", { class: "point", cx: this.across(x[n]), cy: this.up(value), r: 2 })));
    });
    parts.push(label(axes.y, LEFT, 12, "start"));
    const ends = namePlaces(sides.map(({ values }) => this.up(values.at(-1))), TOP, base + MIDDLE);
    sides.forEach(({ name, x }, i) => {
      const text = label(name, this.across(x.at(-1)) + BESIDE, ends[i], "start");
      text.setAttribute("class", "end");
      parts.push(text);
    });
    this.marks = svgElement("g");
    this.node.replaceChildren(...parts, this.marks);
    for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) this.node.setAttribute(key, value);
    this.marked = null;
  }

  // Marks the selected step by a vertical line and a dot on each curve.
  mark(step) {
    if (!this.marks || this.marked === step) return;
    this.marked = step;
    const { sides, steps } = this.data;
    const x = this.across(steps[step].x);
    const dots = sides.map((side, i) => {
      const frame = steps[step].frames[i];
      return svgElement("circle", { class: "now", cx: this.across(side.x[frame]), cy: this.up(side.values[frame]), r: 5 });
    });
    this.marks.replaceChildren(svgElement("line", { class: "at", x1: x, x2: x, y1: TOP - 6, y2: this.height - BOTTOM }), ...dots);
  }
}

// -> baselines of the names beside lines that end at these heights: at the height of the end, but at least NAME apart
// and between `top` and `base`
export function namePlaces(ends, top, base) {
  const order = ends.map((_, i) => i).sort((one, other) => ends[one] - ends[other]);
  const crowded = order.length > 1 ? Math.max(0, NAME - (ends[order[1]] - ends[order[0]])) : 0;
  const places = [];
  let least = Math.max(top, ends[order[0]] + MIDDLE - crowded / 2);
  order.forEach((line, rank) => {
    const most = base - NAME * (order.length - 1 - rank);
    places[line] = Math.min(most, Math.max(rank ? ends[line] + MIDDLE : least, least));
    least = places[line] + NAME;
  });
  return places;
}

function label(text, x, y, anchor) {
  const node = svgElement("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}
