// Heat maps on a canvas: one pixel a patch, scaled up without smoothing, so that a patch stays a square of one colour; and the
// grey photograph under them.

import { coloursOf } from "../core/palette.js";
import { shader } from "../core/scale.js";

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
    const colours = coloursOf(extent);
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
