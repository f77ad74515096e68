// Scenes of items (core/by_hand.js) on a canvas: the painting of each kind, and the way from one scene to the next.

import { boxOf } from "./canvas.js";
import { MapPainter } from "./heat.js";

const PAINT = { text, bars, bar, ticks, grid, patch, matrix };

const ease = (t) => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);
const between = (one, two, t) => one.map((value, i) => value + (two[i] - value) * t);

// The items on the canvas, each moving to its box.
export class SceneCanvas {
  constructor() {
    this.items = []; // { item, start, box, alpha, fade }: start and fade where it began, box and alpha where it is
    this.leaving = [];
  }

  // place(cell) -> the box of a patch of the photograph. moving: whether items come from where they were.
  show(scene, place, moving) {
    const before = new Map(this.items.map((each) => [each.item.id, each]));
    const kept = new Set();
    this.items = scene.map((item) => {
      const old = moving ? before.get(item.id) : null;
      if (old) kept.add(item.id);
      const source = Array.isArray(item.from) ? place(item.from) : before.get(item.from)?.box;
      const start = old ? old.box : (moving && source) || item.box;
      const fade = old ? old.alpha : moving ? 0 : 1;
      return { item, start, box: moving ? start : item.box, fade, alpha: fade };
    });
    this.leaving = moving ? [...before.values()].filter(({ item }) => !kept.has(item.id)).map((each) => ({ ...each, fade: each.alpha })) : [];
  }

  // t: 0 at the beginning of the way, 1 at its end.
  advance(t) {
    const moved = ease(t);
    for (const each of this.items) {
      each.box = between(each.start, each.item.box, moved);
      each.alpha = each.fade + (1 - each.fade) * moved;
    }
    for (const each of this.leaving) each.alpha = each.fade * Math.max(0, 1 - 2.5 * t);
    if (t >= 1) this.leaving = [];
  }

  // look: { ink, muted, accent, rest, edge, font, picture, grid, cell, matrix }
  paint(pen, look) {
    for (const { item, box, alpha } of [...this.leaving, ...this.items]) {
      if (alpha <= 0.01) continue;
      pen.save();
      pen.globalAlpha = alpha;
      PAINT[item.kind](pen, item, box, look);
      pen.restore();
    }
  }

  // The item with numbers at a point, and which of its numbers: { item, index }; null where there is none.
  at(x, y) {
    for (const { item, box } of this.items) {
      const [left, top, width, height] = box;
      if (!item.values || x < left || x >= left + width || y < top || y >= top + height) continue;
      const col = Math.floor(((x - left) / width) * (item.cols ?? item.values.length));
      const row = item.rows ? Math.floor(((y - top) / height) * item.rows) : 0;
      return { item, index: row * (item.cols ?? 0) + col };
    }
    return null;
  }
}

function text(pen, item, [x, y, width, height], look) {
  pen.font = `${item.strong ? 600 : 400} 12px ${look.font}`;
  pen.fillStyle = item.muted ? look.muted : look.ink;
  pen.textBaseline = "middle";
  pen.textAlign = item.align ?? "left";
  const shown = fitting(pen, item.text, width);
  pen.fillText(shown, item.align === "right" ? x + width : x, y + height / 2);
}

// The text, or as much of its beginning as fits.
function fitting(pen, whole, width) {
  if (pen.measureText(whole).width <= width) return whole;
  let count = whole.length;
  while (count > 1 && pen.measureText(`${whole.slice(0, count)}\u2026`).width > width) count -= 1;
  return `${whole.slice(0, count).trimEnd()}\u2026`;
}

function bars(pen, { values, most, mark, mean }, [x, y, width, height], look) {
  const middle = y + height / 2;
  const step = width / values.length;
  const wide = Math.max(step * (step > 4 ? 0.8 : 1), 0.75);
  pen.fillStyle = look.edge;
  pen.fillRect(x, middle - 0.5, width, 1);
  const draw = (index, colour, least = 0) => {
    const length = Math.max(least, (Math.min(1, Math.abs(values[index]) / most) * height) / 2);
    pen.fillStyle = colour;
    const thick = Math.max(wide, least);
    pen.fillRect(x + index * step + (wide - thick) / 2, values[index] < 0 ? middle : middle - length, thick, length);
  };
  for (let index = 0; index < values.length; index++) draw(index, look.rest);
  if (mark !== undefined) draw(mark, look.accent, 2);
  if (mean === undefined) return;
  pen.fillStyle = look.ink;
  pen.fillRect(x, middle - (mean / most) * (height / 2) - 0.5, width, 1);
}

function bar(pen, { value, high, chosen }, [x, y, width, height], look) {
  pen.fillStyle = look.edge;
  pen.fillRect(x, y, width, height);
  pen.fillStyle = chosen ? look.ink : look.rest;
  pen.fillRect(x, y, Math.max((value / (high || 1)) * width, 0.5), height);
}

// One number among all between the lowest and the highest, each of which is a hairline.
function ticks(pen, { all, value, chosen }, [x, y, width, height], look) {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const place = (number) => x + ((number - low) / (high - low || 1)) * width;
  pen.fillStyle = look.edge;
  for (const each of all) pen.fillRect(place(each) - 0.5, y + height * 0.2, 1, height * 0.6);
  pen.fillStyle = chosen ? look.ink : look.rest;
  pen.fillRect(place(value) - 2, y, 4, height);
}

let painter = null; // made when it is first asked for: outside a browser there is no canvas

function grid(pen, { values, rows, cols, most, corner }, [x, y, width, height], look) {
  painter ??= new MapPainter();
  painter.fill(values, [rows, cols], { low: -most, high: most, signed: true });
  pen.imageSmoothingEnabled = false;
  pen.drawImage(painter.canvas, x, y, width, height);
  if (corner) outline(pen, [x, y, width / cols, height / rows], look.ink);
}

function patch(pen, item, box, { picture, grid: cut, cell, ink }) {
  const [x, y, width, height] = box;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, ...boxOf(cut, cell, picture), x, y, width, height);
  outline(pen, [x, y, width / item.cells[1], height / item.cells[0]], ink);
}

// The outline of a cell that is too small for a frame around it.
function outline(pen, [x, y, width, height], colour) {
  pen.lineWidth = 1;
  for (const [style, grow] of [["#fff", 0.5], [colour, 1.5]]) {
    pen.strokeStyle = style;
    pen.strokeRect(x - grow, y - grow, width + 2 * grow, height + 2 * grow);
  }
}

function matrix(pen, item, [x, y, width, height], { matrix: shown, accent, edge, ink }) {
  pen.fillStyle = edge;
  pen.fillRect(x, y, width, height);
  if (!shown) return; // still loading
  const { canvas, rows, cols, row, col } = shown;
  pen.imageSmoothingEnabled = canvas.width > width;
  pen.drawImage(canvas, x, y, width, height);
  const [down, across] = [height / rows, width / cols];
  arrow(pen, accent, [x - 2, y + (row + 0.5) * down], [-1, 0]);
  arrow(pen, accent, [x + width + 2, y + (row + 0.5) * down], [1, 0]);
  outline(pen, [x, y + row * down, width, Math.max(down, 2)], accent);
  if (rows === cols) arrow(pen, ink, [x + (col + 0.5) * across, y - 2], [0, -1]);
}

// Points at a place, from the side that `out` says.
function arrow(pen, colour, [x, y], [right, down]) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x + 8 * right + 5 * down, y + 8 * down + 5 * right);
  pen.lineTo(x + 8 * right - 5 * down, y + 8 * down - 5 * right);
  pen.fill();
}
