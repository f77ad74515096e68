// Canvases: their size on the page and in pixels of the screen, what is kept between paintings, and the marks over a picture: frames
// around patches, lines between them, hidden cells, and links.

import { pixelRatio } from "../parts/dom.js";

const AROUND = 6; // CSS pixels that a mark may reach beyond its box
const FINEST_GRID = 5; // CSS pixels

// Gives a canvas a size on the page and as many pixels as the screen has for it. -> whether that changed anything. The size on the
// page is compared too: at another zoom the same pixels may stand for another size.
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

// Canvas pixels in one CSS pixel, from what sizeCanvas set: asking the page for its layout in the middle of a frame that writes
// to it would make the browser lay it out again each time.
export function unitOf(canvas) {
  return canvas.width / (parseFloat(canvas.style.width) || canvas.width);
}

// The cleared canvas at that size. -> its context, in CSS pixels.
export function clearedContext(canvas, width, height) {
  sizeCanvas(canvas, width, height);
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  return context;
}

// `base` as a cleared canvas of as many pixels as `canvas`, for what lies under its marks. -> its context, in CSS pixels
export function contextUnder(base, canvas) {
  [base.width, base.height] = [canvas.width, canvas.height];
  const [context, unit] = [base.getContext("2d"), unitOf(canvas)];
  context.setTransform(unit, 0, 0, unit, 0, 0);
  return context;
}

export function clearCanvas(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

// The cleared box of a canvas that shows several things. -> its context, in CSS pixels from the box's corner; `restore` it afterwards.
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

// Marks over what is kept of a canvas: a move paints only where marks came or went.
export class Marks {
  // under(context): paints all that lies under the marks, in canvas pixels; called where only a part is to be painted, too.
  constructor(canvas, under) {
    Object.assign(this, { canvas, under, shown: new Map() });
  }

  // marks: Map of a key for what a mark looks like and where, to { box: [x, y, width, height], draw(context) }, in CSS
  // pixels and in the order of painting. all: whether what lies under them is another, or the canvas has another size.
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

// The box of one patch in a canvas of that size: [x, y, width, height].
export function boxOf([rows, cols], [row, col], { width, height }) {
  return [(col * width) / cols, (row * height) / rows, width / cols, height / rows];
}

// Two strokes, dark outside and light inside, so that the frame can be seen on every colour and every photograph.
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

// A word beside a marked patch: the box that it takes, on the side where there is space, and its drawing.
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

// Lines between corners of cells, [row, col, row, col] each: pale and thin, or in `colour` where one is given, and never so
// thick that they cover a cell.
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

// unit: canvas pixels in one CSS pixel. The finer the grid, the fainter: lines must not hide what they divide.
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

// The page's colour over the whole picture.
export function drawDimming(context, colour, opacity, width, height) {
  context.fillStyle = colour;
  context.globalAlpha = opacity;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 1;
}

// The cuts between patches, `line` wide.
export function drawCuts(context, [rows, cols], width, height, line, colour) {
  context.fillStyle = colour;
  for (let row = 1; row < rows; row++) context.fillRect(0, (row * height) / rows - line / 2, width, line);
  for (let col = 1; col < cols; col++) context.fillRect((col * width) / cols - line / 2, 0, line, height);
}

// A patch that is hidden, as the model gets it: the same place of `hidden`, the picture with every patch hidden. A hairline separates
// that it is no part of the photograph.
export function drawHiddenPatch(context, hidden, from, [x, y, width, height]) {
  context.drawImage(hidden, ...from, x, y, width, height);
  context.setLineDash([]);
  context.lineWidth = 1;
  context.strokeStyle = "rgba(255, 255, 255, 0.45)";
  context.strokeRect(x + 1, y + 1, width - 2, height - 2);
}

// A cell that is painted: darkened, and struck through, so that it can be recognised without colour.
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

// A straight line from one point [x, y] to another, with a dark edge, so that it can be seen on every colour.
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

// A link is an arc that points the way the attention goes: from the query to the key. from, to: points of queries and keys in canvas pixels; strength 0..1 gives the width.
export function drawLink(context, from, to, strength, unit) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return drawLoop(context, from, strength, unit);
  // The bow stands at a right angle to the straight line; a fifth of its length separates crossing links.
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
