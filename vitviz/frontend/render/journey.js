// Draws the journey's canvases: the photograph, the sequence of patches, the map of a layer, and arcs from a query to its strongest
// targets. Every function draws one given state; no state is kept here except prepared pictures.

import { coloursOf } from "../core/scale.js";
import { staggered } from "../core/timeline.js";
import { boxOf, drawFrame } from "./canvas.js";
import { MapPainter } from "./heat.js";

export const ACCENT_ON_PICTURES = "#3ddcff";
const CASING = "rgba(4, 12, 18, 0.85)";
const LIFT = 34; // CSS pixels by which a moving patch rises
const MOVING = 0.2; // duration of one patch's movement, as a fraction of the step

// Attention shares are shown relative to the uniform share, 1 / tokens. A share is visible from FAINTEST times the uniform share,
// opaque from FULL times, and has the brightest colour from BRIGHTEST times.
export const FAINTEST = 0.5;
const FULL = 3;
export const BRIGHTEST = 15;
const COLOURS = coloursOf({ signed: false });
const FIRST_COLOUR = 76; // darker colours of the palette are not visible over a dark photograph

// attention share -> [index of the palette, opacity 0..1]
export function shade(share, uniform) {
  const relative = share / uniform;
  const opacity = Math.min(1, Math.max(0, (relative - FAINTEST) / (FULL - FAINTEST)));
  const place = Math.min(1, Math.sqrt(Math.max(0, relative) / BRIGHTEST));
  return [FIRST_COLOUR + Math.round(place * (255 - FIRST_COLOUR)), opacity];
}

// A map of attention shares, one pixel per patch.
export class ShareMap {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
  }

  // shares: of patches, row by row; NaN for patches that the query cannot attend to
  fill(shares, [rows, cols], uniform) {
    if (this.canvas.width !== cols || this.canvas.height !== rows || !this.image) {
      [this.canvas.width, this.canvas.height] = [cols, rows];
      this.image = this.context.createImageData(cols, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.bytes = this.image.data;
    }
    for (let i = 0; i < this.pixels.length; i++) {
      if (Number.isNaN(shares[i])) {
        this.pixels[i] = 0;
        continue;
      }
      const [colour, opacity] = shade(shares[i], uniform);
      this.pixels[i] = COLOURS[colour];
      this.bytes[4 * i + 3] = Math.round(215 * opacity);
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

// -> the photograph in dark grey at its size on the screen, prepared once because filtering takes as long as a frame
export function dimmed(grey, width, height, ratio) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  const context = canvas.getContext("2d");
  context.drawImage(grey, 0, 0, canvas.width, canvas.height);
  context.fillStyle = "rgba(8, 8, 14, 0.62)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

// -> the place of patch `index` in the sequence: [x, y, size] from the corner of its canvas
export function placeInSequence(index, { size, columns }, gap) {
  const line = Math.floor(index / columns);
  return [(index % columns) * size, line * (2 * size + gap), size];
}

const [COLUMN_NUMBERS, WIDEST_NUMBER] = [18, 16]; // CSS pixels below the columns, and of a number there

function drawPatch(context, picture, grid, cell, x, y, width, height = width) {
  const [sx, sy, sw, sh] = boxOf(grid, cell, picture);
  context.drawImage(picture, sx, sy, sw, sh, x, y, width, height);
}

// Draws one patch with its pixels as squares. side: CSS pixels of a square; pixels: [rows, columns] of a patch.
export function drawPixels(context, { picture, grid, cell, pixels: [rows, cols], side }) {
  context.imageSmoothingEnabled = false;
  drawPatch(context, picture, grid, cell, 0, 0, cols * side, rows * side);
  if (side < 5) return;
  context.strokeStyle = "rgba(0, 0, 0, 0.25)";
  context.lineWidth = 1;
  context.beginPath();
  for (let row = 1; row < rows; row++) (context.moveTo(0, row * side), context.lineTo(cols * side, row * side));
  for (let col = 1; col < cols; col++) (context.moveTo(col * side, 0), context.lineTo(col * side, rows * side));
  context.stroke();
}

// Draws a map, and below it the colours of its scale with the values at its ends. map: a MapPainter
export const RAMP = 28; // CSS pixels below the map

export function drawScaledMap(context, width, height, { map, grid, marks, ends, ink, font }) {
  context.imageSmoothingEnabled = false;
  context.drawImage(map.canvas, 0, 0, width, height);
  drawMarks(context, grid, width, height, marks, 2);
  const ramp = new MapPainter();
  ramp.fill(Float32Array.from({ length: 256 }, (_, i) => i), [1, 256], { low: 0, high: 255, signed: false });
  context.drawImage(ramp.canvas, 0, height + 4, width, 8);
  context.fillStyle = ink;
  context.font = `12px ${font}`;
  context.textBaseline = "bottom";
  for (const [end, align] of ["left", "right"].entries()) {
    context.textAlign = align;
    context.fillText(ends[end], end * width, height + RAMP);
  }
}

// Draws columns for values from 0 to 1, one for the input and one for each layer, with the layer's number below. The column at
// `step` has the accent colour.
export function drawColumns(context, { values, step, width, height, accent, ink }) {
  const [across, tall] = [width / values.length, height - COLUMN_NUMBERS];
  const every = Math.ceil(WIDEST_NUMBER / across); // which of the numbers have room, from the last on
  context.font = "12px sans-serif";
  context.textAlign = "center";
  values.forEach((value, at) => {
    const long = Math.max(1, Math.min(1, Math.max(0, value)) * tall);
    context.fillStyle = at === step ? accent : ink;
    context.globalAlpha = at <= step ? 1 : 0.25;
    context.fillRect(at * across + 1, tall - long, across - 2, long);
    if (at && (values.length - 1 - at) % every === 0) context.fillText(at - 1, (at + 0.5) * across, height - 2);
    context.globalAlpha = 1;
  });
}

// Draws the photograph, the first part of the figure.
// state: { picture, dark, grid, dim 0..1, cut 0..1, map, heat 0..1, hidden: Set, fill, covered, marks: [{ cell, kind }],
// links: [[from, to, share]] }
export function drawPhotograph(context, width, height, state) {
  const { picture, dark, grid, dim, cut, map, heat, hidden, fill, covered, marks, links } = state;
  context.imageSmoothingEnabled = true;
  if (dim < 1) context.drawImage(picture, 0, 0, width, height);
  if (dim > 0) {
    context.globalAlpha = dim;
    context.drawImage(dark, 0, 0, width, height);
    context.globalAlpha = 1;
  }
  if (map && heat > 0) {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = heat;
    context.drawImage(map.canvas, 0, 0, width, height);
    context.globalAlpha = 1;
  }
  if (hidden.size) {
    context.fillStyle = fill;
    for (const index of hidden) {
      const [x, y, w, h] = boxOf(grid, [Math.floor(index / grid[1]), index % grid[1]], { width, height });
      if (covered) drawPatch(context, covered, grid, [Math.floor(index / grid[1]), index % grid[1]], x, y, w + 0.5, h + 0.5);
      else context.fillRect(x, y, w + 0.5, h + 0.5);
    }
  }
  if (cut > 0) drawGridLines(context, grid, width, height, cut);
  drawMarks(context, grid, width, height, marks, 2);
  drawArcs(context, grid, width, height, links);
}

function drawGridLines(context, [rows, cols], width, height, opacity) {
  const cell = width / cols;
  context.strokeStyle = `rgba(255, 255, 255, ${opacity * Math.min(0.55, 0.035 * cell)})`;
  context.lineWidth = 1;
  context.beginPath();
  for (let row = 1; row < rows; row++) {
    const y = Math.round((row * height) / rows) + 0.5;
    context.moveTo(0, y);
    context.lineTo(width, y);
  }
  for (let col = 1; col < cols; col++) {
    const x = Math.round((col * width) / cols) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, height);
  }
  context.stroke();
}

// Marks differ in shape as well as colour: "pinned" has brackets at its corners, the others are frames.
function drawMarks(context, grid, width, height, marks, thickness) {
  for (const { cell, kind } of marks) {
    const box = boxOf(grid, cell, { width, height });
    if (kind === "pinned") drawBrackets(context, box, thickness);
    else drawFrame(context, box, kind === "query" ? ACCENT_ON_PICTURES : "#ffffff", Math.max(1, thickness - 0.5));
  }
}

function drawBrackets(context, [x, y, w, h], thickness) {
  const arm = Math.max(3, 0.42 * Math.min(w, h));
  const out = Math.max(1, thickness);
  const corners = [[x - out, y - out, 1, 1], [x + w + out, y - out, -1, 1], [x - out, y + h + out, 1, -1], [x + w + out, y + h + out, -1, -1]];
  for (const [colour, wide] of [[CASING, thickness + 2.5], [ACCENT_ON_PICTURES, thickness + 0.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.lineCap = "square";
    context.beginPath();
    for (const [cx, cy, dx, dy] of corners) {
      context.moveTo(cx + dx * arm, cy);
      context.lineTo(cx, cy);
      context.lineTo(cx, cy + dy * arm);
    }
    context.stroke();
  }
}

// Draws arcs from a query to its strongest targets, which are dots. grown: how much of an arc is drawn, 0..1.
function drawArcs(context, grid, width, height, links) {
  const thin = width < 160 ? 0.45 : 1;
  for (const { from, to, grown, strength } of links) {
    const [a, b] = [from, to].map((cell) => {
      const [x, y, w, h] = boxOf(grid, cell, { width, height });
      return [x + w / 2, y + h / 2];
    });
    drawArc(context, a, b, grown, thin * (1.2 + 1.4 * strength), thin);
  }
}

function drawArc(context, from, to, grown, thickness, thin) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  if (grown <= 0 || Math.hypot(dx, dy) < 2) return;
  const bend = [(from[0] + to[0]) / 2 + dy * 0.18, (from[1] + to[1]) / 2 - Math.abs(dx) * 0.18 - 4];
  // The first part of a quadratic curve is one, too.
  const between = (one, other) => [0, 1].map((axis) => (1 - grown) * one[axis] + grown * other[axis]);
  const middle = between(from, bend);
  const tip = between(middle, between(bend, to));
  const path = new Path2D();
  path.moveTo(...from);
  path.quadraticCurveTo(...middle, ...tip);
  context.lineCap = "round";
  for (const [colour, wide] of [[CASING, thickness + 2 * thin], [ACCENT_ON_PICTURES, thickness]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.stroke(path);
  }
  if (grown < 1) return;
  for (const [colour, radius] of [[CASING, thickness + 2.6 * thin], [ACCENT_ON_PICTURES, thickness + 1.4 * thin]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(...tip, radius, 0, 2 * Math.PI);
    context.fill();
  }
}

// Draws the sequence of patches in the order of the model's tokens, each above a small map of its position.
// state: { picture, grid, arrived 0..1, positions 0..1, lines, gap, ink, accent, faint, hidden, fill, covered }
export function drawSequence(context, state) {
  const { picture, grid, arrived, positions, lines, gap, ink, accent, faint, hidden, fill, covered } = state;
  const count = grid[0] * grid[1];
  const inner = Math.max(1, lines.size - (lines.size > 8 ? 1.5 : 0.5));
  context.imageSmoothingEnabled = true;
  for (let i = 0; i < count; i++) {
    const [x, y] = placeInSequence(i, lines, gap);
    const cell = [Math.floor(i / grid[1]), i % grid[1]];
    context.fillStyle = faint;
    context.fillRect(x, y, inner, inner);
    if (staggered(arrived, i, count, MOVING) >= 1) {
      if (hidden.has(i) && !covered) {
        context.fillStyle = fill;
        context.fillRect(x, y, inner, inner);
      } else drawPatch(context, hidden.has(i) ? covered : picture, grid, cell, x, y, inner);
    }
    const shown = staggered(positions, i, count, 0.25);
    if (shown <= 0 || lines.size < 6) continue;
    const top = y + lines.size;
    context.globalAlpha = shown;
    context.fillStyle = faint;
    context.fillRect(x, top, inner, inner - 1);
    // While positions are added, the dot has the accent colour of the current step.
    const now = positions < 1;
    context.fillStyle = now ? accent : ink;
    const dot = Math.max(2, inner * (now ? 0.28 : 0.2));
    const [px, py] = [(cell[1] + 0.5) / grid[1], (cell[0] + 0.5) / grid[0]];
    context.fillRect(x + px * (inner - dot), top + py * (inner - 1 - dot), dot, dot);
    context.globalAlpha = 1;
  }
}

// Draws the patches on their way from the photograph to the sequence. from, to: boxes { x, y, width, height } of the two canvases,
// in the context's coordinates.
export function drawMovingPatches(context, { picture, grid, progress, from, to, lines, gap }) {
  const count = grid[0] * grid[1];
  const [sourceWidth, sourceHeight] = [from.width / grid[1], from.height / grid[0]];
  for (let i = 0; i < count; i++) {
    const t = staggered(progress, i, count, MOVING);
    if (t <= 0 || t >= 1) continue;
    const cell = [Math.floor(i / grid[1]), i % grid[1]];
    const [lx, ly] = placeInSequence(i, lines, gap);
    const [x0, y0] = [from.x + cell[1] * sourceWidth, from.y + cell[0] * sourceHeight];
    const [x, y] = [x0 + t * (to.x + lx - x0), y0 + t * (to.y + ly - y0) - LIFT * Math.sin(Math.PI * t)];
    const [w, h] = [sourceWidth + t * (lines.size - sourceWidth), sourceHeight + t * (lines.size - sourceHeight)];
    context.fillStyle = "rgba(0, 0, 0, 0.35)";
    context.fillRect(x + 1, y + 2, w, h);
    drawPatch(context, picture, grid, cell, x, y, w, h);
  }
}

// Makes patches pale in the photograph that have moved to the sequence, until it is complete.
export function drawMovedAway(context, { grid, progress, width, height, paper }) {
  const count = grid[0] * grid[1];
  context.fillStyle = paper;
  context.globalAlpha = 0.72;
  for (let i = 0; i < count; i++) {
    if (staggered(progress, i, count, MOVING) <= 0) continue;
    const [x, y, w, h] = boxOf(grid, [Math.floor(i / grid[1]), i % grid[1]], { width, height });
    context.fillRect(x + 0.5, y + 0.5, w - 1, h - 1);
  }
  context.globalAlpha = 1;
}

// Draws the map of one layer. state: { dark, map, grid, marks, links }; map is null while the layer is loading.
export function drawLayer(context, width, height, { dark, map, heat, grid, marks, links, whole }) {
  context.imageSmoothingEnabled = true;
  if (dark) context.drawImage(dark, 0, 0, width, height);
  if (map && heat > 0) {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = heat;
    context.drawImage(map.canvas, 0, 0, width, height);
    context.globalAlpha = 1;
  }
  if (whole) {
    context.strokeStyle = ACCENT_ON_PICTURES;
    context.lineWidth = 2;
    context.strokeRect(1, 1, width - 2, height - 2);
  }
  drawMarks(context, grid, width, height, marks, 1.5);
  drawArcs(context, grid, width, height, links);
}

// -> an SVG path of horizontal and vertical lines through points, with rounded corners
export function rounded(points, radius = 7) {
  let path = `M${points[0]}`;
  for (let i = 1; i < points.length; i++) {
    const [from, at, to] = [points[i - 1], points[i], points[i + 1]];
    if (!to) return `${path}L${at}`;
    const toward = (other) => {
      const way = [other[0] - at[0], other[1] - at[1]];
      const length = Math.hypot(...way) || 1;
      const share = Math.min(radius, length / 2) / length;
      return [at[0] + way[0] * share, at[1] + way[1] * share];
    };
    path += `L${toward(from)}Q${at} ${toward(to)}`;
  }
  return path;
}

export function isDark(colour) {
  const found = /^#?([\da-f]{2})([\da-f]{2})([\da-f]{2})/i.exec(colour);
  if (found) return found.slice(1).reduce((sum, part) => sum + parseInt(part, 16), 0) < 384;
  const parts = colour.match(/\d+/g);
  return Boolean(parts) && parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) < 384;
}
