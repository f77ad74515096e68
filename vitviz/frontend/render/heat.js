// Heat maps and their colour bars. A map is a canvas of one pixel per patch that is scaled up without smoothing, so that each
// patch is a square of one colour; the photograph below it is grey. The colour bar shows the values at its ends and the
// number of values beyond them.

import { colourOf, coloursOf, countBeyond, isFlat, number, shader } from "../core/scale.js";
import { element, setText } from "../parts/dom.js";
import { sizeCanvas } from "./canvas.js";

const BAR_HEIGHT = 12; // CSS pixels
const GROUPED = new Intl.NumberFormat("en-GB");

// A small canvas with one map, kept between frames because creating a canvas is slower than filling it.
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

// The photograph in grey, for display below a coloured map. It computes the filter grayscale(1), which Safari does not support on a
// canvas. -> a canvas of the picture's size
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

// Converts bytes of red, green, blue and opacity to grey in place (https://www.w3.org/TR/filter-effects-1/#grayscaleEquivalent).
export function toGrey(bytes) {
  for (let i = 0; i < bytes.length; i += 4) {
    const grey = Math.round(0.2126 * bytes[i] + 0.7152 * bytes[i + 1] + 0.0722 * bytes[i + 2]);
    bytes[i] = bytes[i + 1] = bytes[i + 2] = grey;
  }
}

// The microscope's colour bar, whose values are computed in the browser.
export class ColourBar {
  constructor(words) {
    this.words = words;
    this.canvas = element("canvas", { "aria-hidden": "true", height: BAR_HEIGHT });
    this.ends = ["low", "middle", "high"].map((name) => element("span", { class: name }));
    this.uniform = element("span", { class: "even" });
    this.caption = element("p", { class: "scale-words" });
    this.colours = element("div", { class: "colours" }, this.canvas, this.uniform);
    this.node = element("div", { class: "scale" }, this.colours, element("div", { class: "ends" }, ...this.ends), this.caption);
    this.signed = null;
  }

  resize(width) {
    if (sizeCanvas(this.canvas, width, BAR_HEIGHT)) this.signed = null;
  }

  // head: the head whose scale is shown if every head has its own.
  draw(maps, view, head, sumToOne) {
    const extent = maps.extent(head);
    if (this.signed !== extent.signed) {
      drawScale(this.canvas.getContext("2d"), extent.signed);
      this.signed = extent.signed;
    }
    const shown = view.shared && view.head === "all" ? [...Array(maps.heads).keys()] : [head];
    let [beyond, count, most] = [0, 0, 0];
    for (const one of shown) {
      const patches = maps.patches(one);
      beyond += countBeyond(patches, extent);
      count += patches.length;
      for (const value of patches) if (Math.abs(value) > Math.abs(most)) most = value;
    }
    const label = (key, blanks) => this.words.format(key, blanks);
    const { low, high } = extent;
    const flat = isFlat(extent);
    this.colours.hidden = flat; // one value has one colour, which needs no bar
    setText(this.ends[0], flat ? "" : number(low));
    setText(this.ends[1], flat ? "" : number((low + high) / 2));
    setText(this.ends[2], flat ? "" : `${beyond ? "≥ " : ""}${number(high)}`);
    this.#markEven(maps, view, extent, sumToOne);

    const quantity = label(view.measure === "value" ? "quantity_value" : "quantity_weight");
    const whose = view.shared ? label("scale_shared") : label("scale_own", { head: this.words.head(head) });
    const ends = label(view.scale === "robust" ? "scale_robust" : "scale_raw");
    const kind = flat ? label("scale_flat", { value: number(high) }) : ends;
    const clipped = beyond ? `; ${label("scale_clipped", { beyond: GROUPED.format(beyond), count: GROUPED.format(count), most: number(most) })}` : "";
    setText(this.caption, `${quantity}: ${whose}, ${kind}${clipped}.`);
  }

  // Marks the weight that every key has if attention is uniform.
  #markEven(maps, view, { low, high }, sumToOne) {
    const uniform = 1 / maps.count;
    const place = (uniform - low) / (high - low); // NaN or infinite on a flat scale
    const meant = sumToOne && view.direction === "at" && view.measure === "weight" && place >= 0 && place <= 1;
    this.uniform.hidden = !meant;
    if (!meant) return;
    this.uniform.style.left = `${place * 100}%`;
    this.uniform.title = this.words.format("even", { count: maps.count, value: number(uniform) });
  }
}

// The colour bar below a picture or board, with numbers from Python. heat: { signed, flat, ticks: [[place,
// text]], caption } or null.
export function paintScale(box, heat) {
  box.replaceChildren();
  box.hidden = !heat;
  if (!heat) return;
  const parts = [];
  if (!heat.flat) {
    const bar = element("canvas", { class: "ramp", width: 256, height: 1, "aria-hidden": "true" });
    drawScale(bar.getContext("2d"), heat.signed);
    const ticks = heat.ticks.map(([place, text]) =>
      element("span", { text, style: `left: ${place * 100}%; transform: translateX(${-place * 100}%)` }),
    );
    parts.push(bar, element("div", { class: "ticks" }, ...ticks));
  }
  box.append(...parts, element("div", { class: "caption", text: heat.caption }));
}

// Paints the colours of a scale from the low end (left) to the high end.
function drawScale(context, signed) {
  const { width, height } = context.canvas;
  for (let i = 0; i < 256; i++) {
    context.fillStyle = colourOf(i, { low: 0, high: 255, signed });
    context.fillRect(Math.floor((i * width) / 256), 0, Math.ceil(width / 256) + 1, height);
  }
}
