// Compares two networks step by step: the receptive field of each at the same depth, or its input at the same level of a
// perturbation, with a line chart over all steps. Steps are selected by playback, the slider or the pointer on the chart; all
// pictures are loaded at the start.

import { coloursOf } from "../core/scale.js";
import { element, setAttribute, setText } from "../parts/dom.js";
import { watchPointer } from "../parts/input.js";
import { View } from "../parts/view.js";
import { sizeCanvas, unitOf } from "../render/canvas.js";
import { greyOf } from "../render/heat.js";
import { LineChart } from "../render/lines.js";

const NARROW = 560; // CSS pixels of width below which the chart is under the pictures
const GAP = 24;
const CHART = 0.9; // width of the chart beside the pictures, relative to one of them
const SMALLEST = 120; // CSS pixels of a picture's height
const AROUND = 340; // CSS pixels of the window height that the rest of the page needs
const FIELD_MS = 400; // duration of a step of maps
const FIELDS_MS = 4800; // longest duration of all steps
const PICTURE_MS = 900;
const LARGEST_STEP_MS = 100;
const UNDER = 0.5; // brightness of the photograph below a map
const SEQUENTIAL = { low: 0, high: 255, signed: false };

export const mount = (node, host) => new Networks(node, host);

class Networks extends View {
  constructor(parent, host) {
    super(host);
    this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    // shown: { data, sides: [{ picture, grey, frames, meta }] }, all of one request
    this.at = 0; // position in steps; fractional during playback only
    this.playing = false;
    this.show(parent, this.build(), parent instanceof Element ? parent : undefined);
    this.reducedMotion.addEventListener("change", () => this.reducedMotion.matches && this.pause(), { signal: this.controller.signal });
  }

  build() {
    const label = (key) => this.words.format(key);
    this.sides = [0, 1].map(() => {
      const title = element("p", { class: "title" });
      const canvas = element("canvas", { role: "img" });
      const caption = element("p", { class: "under" });
      return { title, canvas, caption, node: element("div", { class: "side" }, title, canvas, caption), scratch: document.createElement("canvas") };
    });
    this.chart = new LineChart();
    this.play = element("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.scrub = element("input", { type: "range", min: "0", step: "1", class: "scrub", "aria-label": label("scrub"), oninput: () => this.seek(Number(this.scrub.value)) });
    this.said = element("p", { class: "said" });
    this.transport = element("div", { class: "transport" }, this.play, this.scrub);
    this.row = element("div", { class: "row" }, ...this.sides.map(({ node }) => node), this.chart.node);
    const point = (event) => this.seek(this.chart.nearest(event));
    watchPointer(this.chart.node, { hover: point, leave: () => {}, tap: point });
    return element("div", { class: "networks" }, this.status.node, this.row, this.transport, this.said, this.announcer.node);
  }

  destroy() {
    cancelAnimationFrame(this.clock);
    super.destroy();
  }

  showStatus() {
    this.status.show(this.root, this.loader); // playback continues meanwhile
  }

  update(data) {
    this.given = data;
    setText(this.play, this.words.format(this.playing ? "pause" : "play"));
    this.loader.load({ urls: Object.fromEntries(data.sides.map(({ url }, i) => [i ? "second" : "picture", url])), data });
  }

  onLoaded({ data }, payloads) {
    const before = this.shown;
    const sides = data.sides.map((_, i) => {
      const { picture, arrays, shapes, meta } = payloads[i ? "second" : "picture"];
      const last = before?.sides[i];
      // The mean over several photographs has no photograph below it.
      const grey = !picture || !arrays.frames ? null : last?.picture === picture ? last.grey : pixelsOf(greyOf(picture));
      return { picture, grey, frames: arrays.frames, shape: shapes.frames, meta };
    });
    this.shown = { data, sides };
    setAttribute(this.root, "data-question", data.question);
    if (before?.data.question !== data.question) {
      const { memory } = this.host;
      const known = memory.question === data.question;
      this.halt(known ? memory.at : data.start);
      if (data.smooth && !known && !this.reducedMotion.matches) this.start(0);
    }
    setAttribute(this.scrub, "max", data.steps.length - 1);
    this.chart.setData(data);
    this.resize();
  }

  resize(size = this.size) {
    this.size = size;
    if (!size || !this.shown) return;
    const { width, windowHeight, spare } = size;
    const narrow = width < NARROW;
    const count = this.shown.sides.length;
    this.root.classList.toggle("narrow", narrow);
    const tallest = Math.max(SMALLEST, windowHeight + spare - AROUND);
    const available = narrow ? (width - GAP * (count - 1)) / count : (width - GAP * count) / (count + CHART);
    const ratios = this.shown.data.sides.map(({ ratio }) => ratio);
    const height = Math.floor(Math.min(tallest, ...ratios.map((ratio) => available / ratio)));
    this.sides.forEach(({ node, canvas, caption }, i) => {
      node.hidden = i >= count;
      if (i >= count) return;
      const wide = Math.floor(height * ratios[i]);
      sizeCanvas(canvas, wide, height);
      node.style.width = `${wide}px`;
      caption.style.maxWidth = `${wide}px`;
    });
    const left = narrow ? width : width - ratios.reduce((sum, ratio) => sum + Math.floor(height * ratio) + GAP, 0);
    this.chart.resize(Math.floor(left), narrow ? 200 : height + 24);
    this.redraw();
  }

  // Playback.

  get last() {
    return this.shown.data.steps.length - 1;
  }

  toggle() {
    if (!this.shown) return;
    if (this.playing) return this.pause();
    if (this.reducedMotion.matches) return this.seek((Math.round(this.at) + 1) % (this.last + 1));
    this.start(this.at >= this.last ? 0 : this.at);
  }

  start(from) {
    this.at = from;
    this.playing = true;
    setText(this.play, this.words.format("pause"));
    let before = performance.now();
    const tick = (now) => {
      const ms = Math.min(LARGEST_STEP_MS, now - before);
      before = now;
      this.at = Math.min(this.last, this.at + ms / (this.shown.data.smooth ? Math.min(FIELD_MS, FIELDS_MS / this.last) : PICTURE_MS));
      if (this.at >= this.last) return this.pause();
      this.redraw(true);
      this.clock = requestAnimationFrame(tick);
    };
    cancelAnimationFrame(this.clock);
    this.clock = requestAnimationFrame(tick);
  }

  pause() {
    if (this.shown) this.stopAt(Math.round(this.at));
  }

  seek(step) {
    if (!this.shown || step === null || (step === this.at && !this.playing)) return;
    this.stopAt(step);
  }

  // Stops at a position and announces it.
  stopAt(at) {
    this.halt(at);
    Object.assign(this.host.memory, { question: this.shown.data.question, at });
    this.draw();
    this.announcer.announce(this.said.textContent);
  }

  halt(at) {
    cancelAnimationFrame(this.clock);
    this.playing = false;
    this.at = at;
    setText(this.play, this.words.format("play"));
  }

  // Painting.

  draw() {
    if (!this.shown || !this.size) return;
    const { data, sides } = this.shown;
    const step = data.smooth ? Math.round(this.at) : Math.floor(this.at + 1e-6);
    const { frames, said } = data.steps[step];
    data.sides.forEach((side, i) => {
      const { title, canvas, caption } = this.sides[i];
      const frame = frames[i];
      setText(title, side.title);
      setText(caption, side.captions[frame]);
      this.announcer.label(canvas, `${side.title}. ${side.captions[frame]}. ${side.alt}`);
      if (side.frames === "fields") this.paintField(i, sides[i], this.place(i, step));
      else this.paintPicture(canvas, sides[i].picture, frame, side.captions.length);
    });
    this.chart.mark(step, this.host.theme());
    setText(this.said, said);
    this.scrub.value = step;
    setAttribute(this.scrub, "aria-valuetext", said);
    setAttribute(this.root, "data-step", step);
    setAttribute(this.root, "data-playing", this.playing);
  }

  // -> the position among the frames of one network; fractional during playback
  place(i, step) {
    const { steps, sides } = this.shown.data;
    const count = sides[i].captions.length;
    return this.playing ? (this.at / Math.max(1, steps.length - 1)) * (count - 1) : steps[step].frames[i];
  }

  paintPicture(canvas, picture, frame, count) {
    const context = canvas.getContext("2d");
    const height = picture.height / count;
    context.imageSmoothingEnabled = canvas.width < picture.width;
    context.drawImage(picture, 0, frame * height, picture.width, height, 0, 0, canvas.width, canvas.height);
  }

  // Paints the magnitude of the gradient over the grey photograph, and the square that contains most of it.
  paintField(i, { grey, frames, shape, meta }, place) {
    const { canvas, scratch } = this.sides[i];
    const [, rows, cols] = shape;
    const size = rows * cols;
    const first = Math.min(shape[0] - 1, Math.floor(place));
    const second = Math.min(shape[0] - 1, first + 1);
    const share = place - first;
    if (scratch.width !== cols || scratch.height !== rows) {
      Object.assign(scratch, { width: cols, height: rows });
      this.sides[i].image = scratch.getContext("2d").createImageData(cols, rows);
    }
    const { data } = this.sides[i].image;
    const colours = new Uint8Array(coloursOf(SEQUENTIAL).buffer);
    for (let p = 0; p < size; p++) {
      const value = (1 - share) * frames[first * size + p] + share * frames[second * size + p];
      const over = value / 255;
      const colour = 4 * Math.round(value);
      for (let c = 0; c < 3; c++) data[4 * p + c] = over * colours[colour + c] + (1 - over) * UNDER * (grey ? grey[4 * p] : 0);
      data[4 * p + 3] = 255;
    }
    scratch.getContext("2d").putImageData(this.sides[i].image, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(scratch, 0, 0, canvas.width, canvas.height);
    this.paintSquare(context, canvas, meta, interpolated(meta.sides, first, second, share), [0, 1].map((axis) => interpolated(meta.centres.map((at) => at[axis]), first, second, share)));
  }

  paintSquare(context, canvas, { pixels: [height, width] }, side, [row, col]) {
    const [x, y] = [canvas.width / width, canvas.height / height];
    const clamp = (value, most) => Math.min(most, Math.max(0, value));
    const line = Math.max(2, Math.round(2 * unitOf(canvas)));
    const [left, right] = [clamp((col - side / 2) * x, canvas.width), clamp((col + side / 2) * x, canvas.width)];
    const [top, bottom] = [clamp((row - side / 2) * y, canvas.height), clamp((row + side / 2) * y, canvas.height)];
    context.lineWidth = line;
    context.strokeStyle = "#ffffff";
    context.strokeRect(left + line / 2, top + line / 2, Math.max(0, right - left - line), Math.max(0, bottom - top - line));
  }
}

function interpolated(values, first, second, share) {
  return (1 - share) * values[first] + share * values[second];
}

function pixelsOf(canvas) {
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
}
