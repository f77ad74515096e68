// Puts values on a canvas: one pixel a patch, scaled up without smoothing, so that a patch stays a square of one colour.

import { COLOURS } from "./given.js";
import { shader } from "./scale.js";

const FINEST_GRID = 5; // CSS pixels

const TABLES = { sequential: table(COLOURS.sequential), signed: table(COLOURS.signed) };

// "rrggbb" times 256 -> Uint32Array of opaque pixels, in the byte order of an ImageData.
function table(hex) {
  const bytes = new Uint8Array(1024).fill(255);
  for (let i = 0; i < 768; i++) bytes[Math.floor(i / 3) * 4 + (i % 3)] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return new Uint32Array(bytes.buffer);
}

// 0..255 on the scale.
export function shade(value, extent) {
  return shader(extent)(value);
}

export function colourOf(value, extent) {
  const [r, g, b] = rgb(value, extent);
  return `rgb(${r}, ${g}, ${b})`;
}

// Black or white, whichever can be read on that colour.
export function inkOn(value, extent) {
  const [r, g, b] = rgb(value, extent);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}

function rgb(value, extent) {
  const pixel = TABLES[extent.signed ? "signed" : "sequential"][shade(value, extent)];
  return new Uint8Array(Uint32Array.of(pixel).buffer);
}

// A small canvas of one map, kept between frames because making one is slower than filling it.
export class MapPainter {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
  }

  // patches: (rows * cols) values
  fill(patches, [rows, cols], extent) {
    if (this.canvas.width !== cols || this.canvas.height !== rows || !this.pixels) {
      this.canvas.width = cols;
      this.canvas.height = rows;
      this.image = this.context.createImageData(cols, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const colours = TABLES[extent.signed ? "signed" : "sequential"];
    const shadeOf = shader(extent);
    for (let i = 0; i < patches.length; i++) this.pixels[i] = colours[shadeOf(patches[i])];
    this.context.putImageData(this.image, 0, 0);
  }

  drawOn(context) {
    context.imageSmoothingEnabled = false;
    context.drawImage(this.canvas, 0, 0, context.canvas.width, context.canvas.height);
    context.imageSmoothingEnabled = true;
  }
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

// A photograph without its colours, under a map that has some: its luminance, as the filter grayscale(1) has it, which Safari does
// not know on a canvas. -> a canvas of the picture's own size
export function greyOf(picture) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  toGrey(image.data);
  context.putImageData(image, 0, 0);
  return canvas;
}

// Bytes of red, green, blue and opacity, changed in place (https://www.w3.org/TR/filter-effects-1/#grayscaleEquivalent).
export function toGrey(bytes) {
  for (let i = 0; i < bytes.length; i += 4) {
    const grey = Math.round(0.2126 * bytes[i] + 0.7152 * bytes[i + 1] + 0.0722 * bytes[i + 2]);
    bytes[i] = bytes[i + 1] = bytes[i + 2] = grey;
  }
}

// The colours of a scale from its low end (left) to its high end.
export function drawScale(context, signed) {
  const { width, height } = context.canvas;
  for (let i = 0; i < 256; i++) {
    context.fillStyle = colourOf(i, { low: 0, high: 255, signed });
    context.fillRect(Math.floor((i * width) / 256), 0, Math.ceil(width / 256) + 1, height);
  }
}
