// Canvas helpers: sizes in CSS pixels and screen pixels, partial repainting, and drawing of frames, lines, hidden patches
// and links over a picture.

import { pixelRatio } from "../parts/dom.js";

const AROUND = 6; // CSS pixels by which a mark may extend beyond its box
const FINEST_GRID = 5; // CSS pixels of a cell; grids of smaller cells are not drawn

// Sets the size of a canvas in CSS pixels, and its number of pixels by the device pixel ratio. Both sizes are compared, because at
// another zoom the same number of pixels may belong to another size. -> whether anything changed
export function sizeCanvas(canvas, width, height) {
  const ratio = pixelRatio();
  const [pixelWidth, pixelHeight] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  const [styleWidth, styleHeight] = [`${width}px`, `${height}px`];
  const alike = canvas.width === pixelWidth && canvas.height === pixelHeight;
  if (alike && canvas.style.width === styleWidth && canvas.style.height === styleHeight) return false;
  if (!alike) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  canvas.style.width = styleWidth;
  canvas.style.height = styleHeight;
  return true;
}

// -> canvas pixels per CSS pixel. They are computed from the size that sizeCanvas has set, because reading the element's size while
// a frame changes the page would force a layout each time.
export function unitOf(canvas) {
  return canvas.width / (parseFloat(canvas.style.width) || canvas.width);
}

// Sizes and clears the canvas. -> its context, in CSS pixels
export function clearedContext(canvas, width, height) {
  sizeCanvas(canvas, width, height);
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  return context;
}

// Gives `base`, a canvas for what is drawn below marks, as many pixels as `canvas`, and clears it. -> its context, in CSS pixels
export function contextUnder(base, canvas) {
  [base.width, base.height] = [canvas.width, canvas.height];
  const [context, unit] = [base.getContext("2d"), unitOf(canvas)];
  context.setTransform(unit, 0, 0, unit, 0, 0);
  return context;
}

export function clearCanvas(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// Clears one box of a canvas and clips to it. -> the context, in CSS pixels from the corner of the box;
// the caller must `restore` it
export function clippedContext(canvas, [x, y], width, height) {
  const context = canvas.getContext("2d");
  const unit = unitOf(canvas);
  context.save();
  context.setTransform(unit, 0, 0, unit, x * unit, y * unit);
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  context.clearRect(0, 0, width, height);
  return context;
}

// Marks over a picture. Only the areas in which a mark was added or removed are painted again.
export class Marks {
  // under(context): paints the picture below the marks, in canvas pixels; it may be clipped to a part.
  constructor(canvas, under) {
    Object.assign(this, { canvas, under, shown: new Map() });
  }

  // marks: Map from a key, which describes appearance and position of a mark, to { box: [x, y, width, height], draw(context) }, in
  // CSS pixels and in drawing order. all: whether the picture or the size of the canvas has changed.
  paint(marks, all) {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const before = this.shown;
    this.shown = marks;
    const changed = [];
    for (const [key, { box }] of before) if (!marks.has(key)) changed.push(box);
    for (const [key, { box }] of marks) if (!before.has(key)) changed.push(box);
    if (!all && !changed.length) return;
    const unit = unitOf(canvas);
    const areas = all ? [[0, 0, canvas.width, canvas.height]] : changed.map((box) => around(box, unit));
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    for (const area of areas) context.rect(...area);
    context.clip();
    if (all) context.clearRect(0, 0, canvas.width, canvas.height);
    else for (const area of areas) context.clearRect(...area);
    this.under(context);
    context.setTransform(unit, 0, 0, unit, 0, 0);
    for (const { box, draw } of marks.values()) {
      if (all || areas.some((area) => meet(area, around(box, unit)))) draw(context);
    }
    context.restore();
  }
}

function around([x, y, width, height], unit) {
  const [left, top] = [Math.floor((x - AROUND) * unit), Math.floor((y - AROUND) * unit)];
  return [left, top, Math.ceil((x + width + AROUND) * unit) - left, Math.ceil((y + height + AROUND) * unit) - top];
}

function meet([x, y, width, height], [left, top, across, down]) {
  return x < left + across && left < x + width && y < top + down && top < y + height;
}

// -> the box of a patch on a canvas of that size: [x, y, width, height]
export function boxOf([rows, cols], [row, col], { width, height }) {
  return [(col * width) / cols, (row * height) / rows, width / cols, height / rows];
}

// A frame of two strokes, dark outside and light inside, so that it is visible on every colour.
export function drawFrame(context, box, colour, thickness) {
  const [x, y, width, height] = box;
  context.setLineDash([]);
  context.lineWidth = thickness + 2;
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = thickness;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);
}

// -> the box of a label beside a marked patch, on the side that has space
export function tagBox(text, [x, y, width, height], whole) {
  const wide = 7 * text.length + 6;
  return [x + width + wide + 2 < whole ? x + width + 3 : x - wide - 3, y + height / 2 - 8, wide, 16];
}

export function drawTag(context, text, [x, y, width, height], font) {
  context.font = `600 12px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = "rgba(0, 0, 0, 0.75)";
  context.fillRect(x, y, width, height);
  context.fillStyle = "#ffffff";
  context.fillText(text, x + width / 2, y + height / 2);
}

// Lines between corners of cells, each [row, col, row, col]: thin and white, or in `colour`. The width is limited so
// that they never cover a cell.
export function drawSegments(context, segments, [rows, cols], { width, height }, colour) {
  const thick = colour ? Math.max(1, Math.min(3, Math.min(width / cols, height / rows) / 5)) : 1;
  context.setLineDash([]);
  for (const [style, line] of [["rgba(0, 0, 0, 0.7)", thick + 2], [colour || "#fff", thick]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    for (const [row, col, lastRow, lastCol] of segments) {
      context.moveTo((col * width) / cols, (row * height) / rows);
      context.lineTo((lastCol * width) / cols, (lastRow * height) / rows);
    }
    context.stroke();
  }
}

// The patch grid. unit: canvas pixels per CSS pixel. Lines of finer grids are fainter, so that they do not hide the picture.
export function drawGrid(context, [rows, cols], unit) {
  const { width, height } = context.canvas;
  const cell = width / cols / unit;
  if (cell < FINEST_GRID) return;
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
  context.lineWidth = 1;
  context.strokeStyle = `rgba(255, 255, 255, ${Math.min(0.3, 0.015 * cell)})`;
  context.stroke();
}

// Covers the whole picture with the page's background colour at that opacity.
export function drawDimming(context, colour, opacity, width, height) {
  context.fillStyle = colour;
  context.globalAlpha = opacity;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 1;
}

// Lines of that width along the borders of patches.
export function drawCuts(context, [rows, cols], width, height, line, colour) {
  context.fillStyle = colour;
  for (let row = 1; row < rows; row++) context.fillRect(0, (row * height) / rows - line / 2, width, line);
  for (let col = 1; col < cols; col++) context.fillRect((col * width) / cols - line / 2, 0, line, height);
}

// A hidden patch as the model receives it: the same place in `hidden`, the picture with every patch hidden. A thin outline shows
// that it does not belong to the photograph.
export function drawHiddenPatch(context, hidden, from, [x, y, width, height]) {
  context.drawImage(hidden, ...from, x, y, width, height);
  context.setLineDash([]);
  context.lineWidth = 1;
  context.strokeStyle = "rgba(255, 255, 255, 0.45)";
  context.strokeRect(x + 1, y + 1, width - 2, height - 2);
}

// A painted cell: darkened and crossed out, so that it is recognisable without colour.
export function drawStruckCell(context, [x, y, width, height], colour) {
  context.fillStyle = "rgba(20, 20, 20, 0.6)";
  context.fillRect(x, y, width, height);
  for (const [ink, wide] of [["rgba(0, 0, 0, 0.85)", 4], [colour, 2]]) {
    context.strokeStyle = ink;
    context.lineWidth = wide;
    context.beginPath();
    context.moveTo(x + 2, y + 2);
    context.lineTo(x + width - 2, y + height - 2);
    context.moveTo(x + width - 2, y + 2);
    context.lineTo(x + 2, y + height - 2);
    context.stroke();
  }
}

// A straight line between points [x, y], with a dark edge so that it is visible on every colour.
export function drawLine(context, from, to, colour, thickness) {
  for (const [ink, wide] of [["rgba(0, 0, 0, 0.6)", thickness + 2], [colour, thickness]]) {
    context.strokeStyle = ink;
    context.lineWidth = wide;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }
}

// A link: an arc with an arrowhead from the query to the key. from, to: their points in canvas pixels.
// strength 0..1 sets the width.
export function drawLink(context, from, to, strength, unit) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return drawLoop(context, from, strength, unit);
  // The control point of the curve is a fifth of the length away from the straight line, which separates links that would coincide.
  const bend = [(from[0] + to[0]) / 2 - dy * 0.2, (from[1] + to[1]) / 2 + dx * 0.2];
  const tip = Math.atan2(to[1] - bend[1], to[0] - bend[0]);
  const head = unit * (4 + 4 * strength);
  const path = new Path2D();
  path.moveTo(...from);
  path.quadraticCurveTo(...bend, ...to);
  for (const side of [-1, 1]) {
    path.moveTo(...to);
    path.lineTo(to[0] - head * Math.cos(tip + side * 0.45), to[1] - head * Math.sin(tip + side * 0.45));
  }
  stroke(context, path, strength, unit);
}

function drawLoop(context, [x, y], strength, unit) {
  const path = new Path2D();
  path.arc(x, y - 6 * unit, 6 * unit, Math.PI * 0.6, Math.PI * 2.4);
  stroke(context, path, strength, unit);
}

function stroke(context, path, strength, unit) {
  const width = unit * (1.25 + 3 * strength);
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = width + 2 * unit;
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = "#ffffff";
  context.stroke(path);
}
