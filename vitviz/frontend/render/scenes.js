// Draws the scenes of core/by_hand.js on a canvas: one function for each kind of item, and the animation
// from one scene to the next.

import { eased } from "../core/timeline.js";
import { boxOf } from "./canvas.js";
import { MapPainter } from "./heat.js";

const PAINT = { text, bars, bar, ticks, grid, patch, matrix };

const between = (one, two, t) => one.map((value, i) => value + (two[i] - value) * t);

// The items on the canvas, which move to the boxes of the current scene.
export class SceneCanvas {
  constructor() {
    this.items = []; // { item, start, box, alpha, fade }: box and opacity now, and at the start (start, fade)
    this.leaving = [];
  }

  // place(cell) -> the box of a patch of the photograph. moving: whether the change is animated.
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

  // t: progress of the animation, 0 to 1.
  advance(t) {
    const moved = eased(t);
    for (const each of this.items) {
      each.box = between(each.start, each.item.box, moved);
      each.alpha = each.fade + (1 - each.fade) * moved;
    }
    for (const each of this.leaving) each.alpha = each.fade * Math.max(0, 1 - 2.5 * t);
    if (t >= 1) this.leaving = [];
  }

  // style: { ink, muted, accent, rest, edge, font, picture, grid, cell, matrix }
  paint(context, style) {
    for (const { item, box, alpha } of [...this.leaving, ...this.items]) {
      if (alpha <= 0.01) continue;
      context.save();
      context.globalAlpha = alpha;
      PAINT[item.kind](context, item, box, style);
      context.restore();
    }
  }

  // -> the number at a point: { item, index }, or null
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

function text(context, item, [x, y, width, height], style) {
  context.font = `${item.strong ? 600 : 400} 12px ${style.font}`;
  context.fillStyle = item.muted ? style.muted : style.ink;
  context.textBaseline = "middle";
  context.textAlign = item.align ?? "left";
  const shown = fitting(context, item.text, width);
  context.fillText(shown, item.align === "right" ? x + width : x, y + height / 2);
}

// -> the text, shortened to fit the width
function fitting(context, whole, width) {
  if (context.measureText(whole).width <= width) return whole;
  let count = whole.length;
  while (count > 1 && context.measureText(`${whole.slice(0, count)}\u2026`).width > width) count -= 1;
  return `${whole.slice(0, count).trimEnd()}\u2026`;
}

function bars(context, { values, most, mark, mean }, [x, y, width, height], style) {
  const middle = y + height / 2;
  const step = width / values.length;
  const wide = Math.max(step * (step > 4 ? 0.8 : 1), 0.75);
  context.fillStyle = style.edge;
  context.fillRect(x, middle - 0.5, width, 1);
  const draw = (index, colour, least = 0) => {
    const length = Math.max(least, (Math.min(1, Math.abs(values[index]) / most) * height) / 2);
    context.fillStyle = colour;
    const thick = Math.max(wide, least);
    context.fillRect(x + index * step + (wide - thick) / 2, values[index] < 0 ? middle : middle - length, thick, length);
  };
  for (let index = 0; index < values.length; index++) draw(index, style.rest);
  if (mark !== undefined) draw(mark, style.accent, 2);
  if (mean === undefined) return;
  context.fillStyle = style.ink;
  context.fillRect(x, middle - (mean / most) * (height / 2) - 0.5, width, 1);
}

function bar(context, { value, high, chosen }, [x, y, width, height], style) {
  context.fillStyle = style.edge;
  context.fillRect(x, y, width, height);
  context.fillStyle = chosen ? style.ink : style.rest;
  context.fillRect(x, y, Math.max((value / (high || 1)) * width, 0.5), height);
}

// Marks a number on a line from the smallest to the largest of all; the other numbers are thin ticks.
function ticks(context, { all, value, chosen }, [x, y, width, height], style) {
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const place = (number) => x + ((number - low) / (high - low || 1)) * width;
  context.fillStyle = style.edge;
  for (const each of all) context.fillRect(place(each) - 0.5, y + height * 0.2, 1, height * 0.6);
  context.fillStyle = chosen ? style.ink : style.rest;
  context.fillRect(place(value) - 2, y, 4, height);
}

let painter = null; // created at the first use, because Node has no canvas

function grid(context, { values, rows, cols, most, corner }, [x, y, width, height], style) {
  painter ??= new MapPainter();
  painter.fill(values, [rows, cols], { low: -most, high: most, signed: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(painter.canvas, x, y, width, height);
  if (corner) outline(context, [x, y, width / cols, height / rows], style.ink);
}

function patch(context, item, box, { picture, grid: cut, cell, ink }) {
  const [x, y, width, height] = box;
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, ...boxOf(cut, cell, picture), x, y, width, height);
  outline(context, [x, y, width / item.cells[1], height / item.cells[0]], ink);
}

// A thin outline, for cells that are too small for a frame.
function outline(context, [x, y, width, height], colour) {
  context.lineWidth = 1;
  for (const [style, grow] of [["#fff", 0.5], [colour, 1.5]]) {
    context.strokeStyle = style;
    context.strokeRect(x - grow, y - grow, width + 2 * grow, height + 2 * grow);
  }
}

function matrix(context, item, [x, y, width, height], { matrix: shown, accent, edge, ink }) {
  context.fillStyle = edge;
  context.fillRect(x, y, width, height);
  if (!shown) return; // still loading
  const { canvas, rows, cols, row, col } = shown;
  context.imageSmoothingEnabled = canvas.width > width;
  context.drawImage(canvas, x, y, width, height);
  const [down, across] = [height / rows, width / cols];
  arrow(context, accent, [x - 2, y + (row + 0.5) * down], [-1, 0]);
  arrow(context, accent, [x + width + 2, y + (row + 0.5) * down], [1, 0]);
  outline(context, [x, y + row * down, width, Math.max(down, 2)], accent);
  if (rows === cols) arrow(context, ink, [x + (col + 0.5) * across, y - 2], [0, -1]);
}

// An arrowhead with its tip at a point. [right, down]: the side of the point on which the arrowhead lies.
function arrow(context, colour, [x, y], [right, down]) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 8 * right + 5 * down, y + 8 * down + 5 * right);
  context.lineTo(x + 8 * right - 5 * down, y + 8 * down - 5 * right);
  context.fill();
}
