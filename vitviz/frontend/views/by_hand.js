// One head by hand: the photograph stays visible, and beside it a canvas of constant size shows one step of the attention
// computation at a time. From step to step, items move to their new places, so that a number can be followed.

import { sceneOf } from "../core/by_hand.js";
import { middleOf, neighbour, patchName, patchNamed } from "../core/layout.js";
import { number } from "../core/scale.js";
import { Chips } from "../parts/controls.js";
import { element, pixelRatio, setAttribute, setText, windowHeight } from "../parts/dom.js";
import { cellUnder, flushOnLeaving, leaveElsewhere, STEPS, watchPointer } from "../parts/input.js";
import { View } from "../parts/view.js";
import { boxOf, drawCuts, drawFrame, clearedContext } from "../render/canvas.js";
import { greyOf, MapPainter, paintScale } from "../render/heat.js";
import { SceneCanvas } from "../render/scenes.js";

const MOVE_MS = 700;
const BLEND = 0.65;
const REPORT_AFTER_MS = 250; // steps within this time cause one report
const FINEST_CUTS = 5; // CSS pixels of a patch; smaller patches get no grid lines
const NARROW = 600; // CSS pixels
const GAP = 28;
const SCALE_HEIGHT = 58; // CSS pixels of the colour bar below the photograph
const AROUND = { wide: 350, narrow: 540, presented: 225 }; // CSS pixels of the window height that the page needs besides the canvas

export const mount = (node, host) => new ByHand(node, host);

class ByHand extends View {
  constructor(parent, host) {
    super(host);
    this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    // shown: { data, picture, grey, numbers, matrix }, all of one request
    this.step = null;
    this.chosen = "";
    this.hover = null; // cell of the photograph under the pointer
    this.pointed = null; // { item, index } of the number under the pointer
    this.scenes = new SceneCanvas();
    this.painters = { scores: new MapPainter(), weights: new MapPainter() };
    this.show(parent, this.build());
    this.listen();
  }

  build() {
    const label = (key) => this.words.format(key);
    this.number = element("span", { class: "number" });
    this.title = element("span", { class: "title" });
    this.caption = element("p", { class: "caption" });
    this.heading = element("div", { class: "heading" }, element("div", { class: "header" }, this.number, this.title), this.caption);
    this.photo = element("canvas", { class: "photo main", tabindex: 0, role: "application" });
    this.scale = element("div", { class: "scale" });
    this.overlay = element("canvas", { class: "scene", role: "img" });
    this.base = element("canvas"); // the photograph below its frames
    this.area = element("div", { class: "area" }, this.photo, this.scale, this.overlay);
    this.readout = element("p", { class: "readout" });
    this.chips = new Chips(label("tokens"), { choose: (name) => this.follow(name, 0) });
    this.back = element("button", { type: "button", class: "go", text: label("back"), onclick: () => this.go(-1) });
    this.next = element("button", { type: "button", class: "go", text: label("next"), onclick: () => this.go(1) });
    this.list = element("ol", { class: "steps" });
    this.bar = element("nav", { class: "transport", "aria-label": label("steps") }, this.back, this.list, this.next);
    const foot = element("div", { class: "foot" }, this.chips.node, this.readout);
    return element("div", { class: "by-hand" }, this.status.node, this.heading, this.area, this.bar, foot, this.announcer.node);
  }

  listen() {
    this.photo.addEventListener("click", (event) => {
      const cell = this.shown && cellUnder(event, this.photo, this.grid);
      if (cell) this.follow(patchName(cell), 0);
    });
    this.photo.addEventListener("keydown", (event) => this.movePatch(event));
    watchPointer(this.area, { hover: (event) => this.point(event), leave: () => this.pointAt(null, null) });
    this.onDestroy(leaveElsewhere(this.area, () => this.pointAt(null, null)));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.onDestroy(flushOnLeaving(this.root, this.reports));
    // Arrow keys work as soon as the page is loaded, if no other element has the focus.
    const { signal } = this.controller;
    document.addEventListener("keydown", (event) => document.activeElement === document.body && this.key(event), { signal });
    // In the presenter's view, Page Up and Page Down first go through the steps and then to another page.
    document.addEventListener("vitviz-step", (event) => this.given && this.go(event.detail) && event.preventDefault(), { signal });
  }

  destroy() {
    cancelAnimationFrame(this.clock);
    super.destroy();
  }

  get grid() {
    return [this.given.rows, this.given.cols];
  }

  // Data from Python.

  update(data) {
    this.given = data;
    if (this.reports.acknowledgedBy(data.received)) {
      this.step = data.step;
      this.chosen = data.query;
    }
    this.arrangeSteps();
    this.chips.arrange(data.prefix);
    const { accent, paper, ink, font } = this.host.theme();
    const mix = (share) => `color-mix(in srgb, ${ink} ${share}%, ${paper})`;
    this.colours = { accent, ink, font, muted: mix(70), rest: mix(52), edge: mix(12) };
    this.loader.load({ urls: { picture: data.picture, numbers: data.numbers, matrix: data.matrix }, data });
  }

  onLoaded({ data }, { picture: { picture }, numbers, matrix }) {
    const before = this.shown;
    const grey = before?.picture === picture ? before.grey : greyOf(picture);
    this.shown = { data, picture, grey, numbers, matrix: matrix && matrixOf(matrix) };
    for (const name of ["scores", "weights"]) this.painters[name].fill(numbers.arrays[name].subarray(data.prefix.length), [data.rows, data.cols], data.scales[name]);
    this.arrangeScene(false);
  }

  showStatus() {
    this.status.show(this.root, this.loader);
    this.updateTexts();
    this.redraw();
  }

  arrangeSteps() {
    const { steps } = this.given;
    const asked = steps.map(({ name }) => name).join();
    if (asked === this.arranged) return;
    this.arranged = asked;
    const buttons = steps.map(({ step, name }, at) =>
      element("li", {}, element("button", { type: "button", "data-step": step, onclick: () => this.goTo(step) }, element("span", { class: "count", text: String(at + 1) }), element("span", { class: "name", text: name }))),
    );
    this.list.replaceChildren(...buttons);
  }

  // The steps.

  get at() {
    return this.given.steps.findIndex(({ step }) => step === this.step);
  }

  // -> whether that step exists
  go(by) {
    const step = this.given?.steps[this.at + by];
    if (step) this.goTo(step.step);
    return step !== undefined;
  }

  goTo(step) {
    if (step === this.step) return;
    this.step = step;
    this.pointed = null;
    this.report(REPORT_AFTER_MS);
    this.arrangeScene(true);
    this.updateTexts(true);
  }

  report(delay) {
    this.reports.make({ step: this.step, query: this.chosen }, delay);
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !this.given) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by && this.go(by)) event.preventDefault();
  }

  // The followed token.

  movePatch(event) {
    const step = STEPS[event.key];
    if (!step || !this.given) return;
    event.preventDefault(); // on the photograph the arrow keys move between patches
    const from = patchNamed(this.chosen) ?? middleOf(this.grid);
    this.follow(patchName(neighbour(from, step, this.grid)), REPORT_AFTER_MS);
  }

  follow(name, delay) {
    this.chosen = name;
    this.report(delay);
    this.updateTexts(true);
    this.redraw();
  }

  // Layout and painting.

  resize({ width, windowHeight }) {
    const { rows, cols, ratio } = this.given ?? { rows: 16, cols: 16, ratio: 1 };
    const narrow = width < NARROW;
    this.root.classList.toggle("narrow", narrow);
    const larger = Number(getComputedStyle(this.root).getPropertyValue("--vv-type")) || 1; // scale of the type in the presenter's view
    const around = larger > 1 ? AROUND.presented : narrow ? AROUND.narrow : AROUND.wide;
    const height = clampTo(windowHeight / larger - around, 280, 840);
    const widest = narrow ? 132 : Math.min(0.38 * width, (height - SCALE_HEIGHT) * ratio);
    this.size = [Math.round(widest), Math.round(widest / ratio)];
    const [across, down] = this.size;
    const top = narrow ? Math.max(132, down) + SCALE_HEIGHT + 8 : 0;
    this.box = narrow ? [0, top, width, height] : [across + GAP, 0, width - across - GAP, height];
    this.whole = [width, top + height];
    this.fitted = [rows, cols, ratio].join();
    this.area.style.height = `${top + height}px`;
    this.root.style.setProperty("--photo", `${narrow ? width : across}px`);
    this.root.style.setProperty("--beside", `${across + 12}px`);
    this.scale.style.top = `${(narrow ? Math.max(132, down) : down) + 2}px`;
    this.arrangeScene(false);
  }

  arrangeScene(moving) {
    if (!this.shown || !this.box) return this.redraw();
    const { data, numbers } = this.shown;
    if (this.fitted !== [data.rows, data.cols, data.ratio].join()) return this.resize({ width: this.whole[0], windowHeight: windowHeight() });
    const given = { arrays: numbers.arrays, meta: { ...numbers.meta, matrix: this.shown.matrix ?? (data.matrices && { rows: data.matrices, cols: data.matrices, row: 0, col: 0 }) } };
    const place = (cell) => boxOf(this.grid, cell, { width: this.size[0], height: this.size[1] });
    const scene = sceneOf(this.step, given, this.box, this.words);
    this.scenes.show(scene, place, moving && !this.reducedMotion.matches);
    this.run(moving && !this.reducedMotion.matches ? MOVE_MS : 0);
  }

  run(ms) {
    cancelAnimationFrame(this.clock);
    const began = performance.now();
    const tick = (now) => {
      const t = ms ? Math.min(1, Math.max(0, now - began) / ms) : 1;
      this.scenes.advance(t);
      this.advanced = true;
      this.draw();
      setAttribute(this.root, "data-moving", t < 1);
      setAttribute(this.root, "data-shown", this.step);
      if (t < 1) this.clock = requestAnimationFrame(tick);
    };
    tick(began);
  }

  get heat() {
    return { scores: "scores", softmax: "weights", output: "weights", matrices: "weights" }[this.step];
  }

  draw() {
    if (!this.size || !this.given) return;
    const [width, height] = this.size;
    const context = clearedContext(this.photo, width, height);
    const { shown, colours } = this;
    if (!shown) {
      clearedContext(this.overlay, ...this.whole);
      this.drawn = null;
      return;
    }
    const place = (cell) => boxOf(this.grid, cell, { width, height });
    context.drawImage(this.paintBase(width, height), 0, 0, width, height);
    const { meta } = shown.numbers;
    for (const { cell } of this.compares ? meta.shown : []) if (cell) drawFrame(context, place(cell), "#ffffff", 1);
    if (this.compares && meta.written.cell) drawFrame(context, place(meta.written.cell), "#ffffff", 3);
    const followed = patchNamed(this.chosen);
    if (followed) drawFrame(context, place(followed), colours.accent, 3);
    if (this.hover) drawFrame(context, place(this.hover), "#ffffff", 2);
    // A movement of the pointer over the photograph does not change the scene.
    const scene = [shown, shown.matrix, colours, pixelRatio(), ...this.whole];
    if (!this.advanced && scene.every((part, i) => part === this.drawn?.[i])) return;
    Object.assign(this, { advanced: false, drawn: scene });
    const overlay = clearedContext(this.overlay, ...this.whole);
    this.scenes.paint(overlay, { ...colours, picture: shown.picture, grid: this.grid, cell: meta.cell, matrix: shown.matrix });
  }

  // The photograph with its map or grid, kept while only frames change.
  paintBase(width, height) {
    const { shown, heat, base } = this;
    const under = [shown, heat, this.photo.width, this.photo.height];
    if (under.every((part, i) => part === this.under?.[i])) return base;
    this.under = under;
    const context = clearedContext(base, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(heat ? shown.grey : shown.picture, 0, 0, width, height);
    if (heat) {
      context.imageSmoothingEnabled = false;
      context.globalAlpha = BLEND;
      context.drawImage(this.painters[heat].canvas, 0, 0, width, height);
      context.globalAlpha = 1;
    } else if (width / this.grid[1] >= FINEST_CUTS) drawCuts(context, this.grid, width, height, 0.5, "#ffffff");
    return base;
  }

  // Whether the step is about keys, which are then framed in the photograph.
  get compares() {
    return this.heat !== undefined || this.step === "qkv";
  }

  point(event) {
    if (!this.shown) return;
    const box = this.area.getBoundingClientRect();
    const cell = cellUnder(event, this.photo, this.grid);
    const larger = box.width / this.whole[0];
    this.pointAt(cell, cell ? null : this.scenes.at((event.clientX - box.left) / larger, (event.clientY - box.top) / larger));
  }

  pointAt(cell, pointed) {
    const still = String(cell) === String(this.hover) && pointed?.item === this.pointed?.item && pointed?.index === this.pointed?.index;
    if (still) return; // most movements stay on the same cell and number
    this.hover = cell;
    this.pointed = pointed;
    this.updateTexts();
    this.redraw();
  }

  // Whether the data of the followed token are loaded and shown.
  get current() {
    return this.shown !== null && this.loader.state === "shown" && this.shown.data.query === this.chosen;
  }

  // The texts around the figure. aloud: whether they are announced, after a choice.
  updateTexts(aloud = false) {
    if (!this.given || this.step === null) return;
    const { steps } = this.given;
    const at = this.at;
    const { name, title, caption } = steps[at];
    setText(this.number, `${at + 1} / ${steps.length}`);
    setText(this.title, title);
    setText(this.caption, caption);
    for (const button of this.list.querySelectorAll("button")) {
      const now = button.dataset.step === this.step;
      if (now) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    }
    this.back.disabled = at === 0;
    this.next.disabled = at === steps.length - 1;
    this.chips.paint((token) => ({ pressed: this.chosen === token }));
    this.scale.hidden = this.heat === undefined;
    const scale = this.heat && (this.shown?.data ?? this.given).scales[this.heat];
    if (scale && this.painted !== JSON.stringify(scale)) {
      this.painted = JSON.stringify(scale);
      paintScale(this.scale, scale);
    }
    const reading = this.reading();
    setText(this.readout, reading);
    this.announcer.label(this.overlay, `${title}. ${caption}`);
    this.announcer.label(this.photo, `${this.given.alt} ${reading}`);
    if (aloud) this.announcer.announce(`${this.words.format("step_of", { at: at + 1, count: steps.length, name })} ${caption} ${reading}`);
  }

  reading() {
    if (!this.current) return this.placeholder;
    if (this.pointed) {
      const { item, index } = this.pointed;
      return this.words.format("component", { index, value: number(item.values[index], 4).replace("-", "\u2212") });
    }
    const cell = this.hover ?? patchNamed(this.chosen);
    if (!cell) return "\u00a0";
    const [row, col] = cell;
    const values = this.heat && this.shown.numbers.arrays[this.heat];
    const value = values && values[values.length - this.given.rows * this.given.cols + row * this.given.cols + col];
    return this.words.format("place", { row, col }) + (values ? ` · ${number(value)}` : "");
  }
}

function clampTo(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// -> the matrix of the whole head as a canvas, one pixel per entry, with the followed row and column
function matrixOf({ arrays, shapes, meta }) {
  const [rows, cols] = shapes.matrix;
  const painter = new MapPainter();
  painter.fill(arrays.matrix, [rows, cols], meta.scale);
  return { canvas: painter.canvas, rows, cols, signed: meta.scale.signed, ...meta.marks };
}
